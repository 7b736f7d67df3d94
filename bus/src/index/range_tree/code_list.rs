//! Codes in order.

use super::codes::Code;
use crate::index::entries::{insert_tightly, split_tightly};

/// Codes in ascending or in descending order.
#[derive(Debug, Default)]
pub(super) struct CodeList {
    heads: Vec<u64>,
    /// Empty unless the list [keeps tails](Self::of).
    tails: Vec<u64>,
}

/// The order of a list.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Ascending,
    Descending,
}

impl Order {
    #[inline]
    const fn is_before(self, a: u64, b: u64) -> bool {
        match self {
            Self::Ascending => a < b,
            Self::Descending => a > b,
        }
    }
}

impl CodeList {
    /// A list of codes that are in order.
    pub(super) fn of(codes: &[Code], keeps_tails: bool) -> Self {
        let tails = codes.iter().map(|code| code.tail).filter(|_| keeps_tails);
        Self {
            heads: codes.iter().map(|code| code.head).collect(),
            tails: tails.collect(),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// The number of codes before the head `head` and the tail that `tail` returns. Of codes that
    /// are equal `is_before` decides, which reads the keys.
    #[inline]
    pub(super) fn n_before(
        &self,
        order: Order,
        head: u64,
        tail: impl FnOnce() -> u64,
        is_before: impl Fn(usize) -> bool,
    ) -> usize {
        let n = n_before(&self.heads, |other| order.is_before(other, head));
        if self.heads.get(n) == Some(&head) {
            self.n_before_equal(n, order, tail(), is_before)
        } else {
            n
        }
    }

    /// Like `n_before`, when the first `n` codes have another head and the next one has the same.
    /// Kept out of line: most codes differ in their heads.
    #[inline(never)]
    fn n_before_equal(
        &self,
        n: usize,
        order: Order,
        tail: u64,
        is_before: impl Fn(usize) -> bool,
    ) -> usize {
        let mut equal = n..self.end_of_equal(n);
        if let Some(tails) = self.tails.get(equal.clone()) {
            // A key that has the head of a single bound mostly lies in its range. As a branch, and
            // not as a number, this lets the processor go on before the tail has come from memory.
            if let [other] = tails
                && *other != tail
            {
                if order.is_before(*other, tail) {
                    return n + 1;
                }
                std::hint::cold_path();
                return n;
            }
            let lower = tails.partition_point(|other| order.is_before(*other, tail));
            let n_equal = tails[lower..].partition_point(|other| *other == tail);
            equal = n + lower..n + lower + n_equal;
        }
        // Of nested ranges a key mostly lies in all that begin alike, so the last is tried first.
        let mut middle = equal.end.saturating_sub(1);
        while !equal.is_empty() {
            if is_before(middle) {
                equal.start = middle + 1;
            } else {
                equal.end = middle;
            }
            middle = equal.start + equal.len() / 2;
        }
        equal.start
    }

    /// Where the codes that have the head of the one at `first` end. Mostly they are few, so the
    /// ones that follow it are compared first.
    fn end_of_equal(&self, first: usize) -> usize {
        let head = self.heads[first];
        let mut distance = 1;
        while self.heads.get(first + distance) == Some(&head) {
            distance *= 2;
        }
        let between = first + distance / 2..self.len().min(first + distance);
        between.start + self.heads[between].partition_point(|other| *other == head)
    }

    pub(super) fn insert(&mut self, i: usize, code: Code, keeps_tails: bool) {
        insert_tightly(&mut self.heads, i, code.head);
        if keeps_tails {
            insert_tightly(&mut self.tails, i, code.tail);
        }
    }

    /// Removes the codes whose places are marked, and returns them.
    pub(super) fn split_off(&mut self, is_marked: &[bool]) -> Self {
        let is_marked_tail = &is_marked[..self.tails.len()];
        Self {
            tails: split_tightly(&mut self.tails, is_marked_tail),
            heads: split_tightly(&mut self.heads, is_marked),
        }
    }

    /// The codes, without tails if the list does not keep them.
    pub(super) fn codes(&self) -> impl Iterator<Item = Code> + Clone {
        (0..self.len()).map(|i| self.get(i))
    }

    pub(super) fn has_distinct_heads(&self) -> bool {
        self.heads.array_windows().all(|[a, b]| a != b)
    }

    /// Whether the code at `i` may become one of this head: it is strictly between those beside it.
    pub(super) fn has_place(&self, order: Order, i: usize, head: u64) -> bool {
        let before = i.checked_sub(1).and_then(|i| self.heads.get(i));
        before.is_none_or(|before| order.is_before(*before, head))
            && (self.heads.get(i + 1)).is_none_or(|after| order.is_before(head, *after))
    }

    /// Replaces a code by one that [has its place](Self::has_place).
    pub(super) fn set(&mut self, i: usize, code: Code) {
        self.heads[i] = code.head;
        if let Some(tail) = self.tails.get_mut(i) {
            *tail = code.tail;
        }
    }

    pub(super) fn remove(&mut self, i: usize) {
        self.heads.remove(i);
        if !self.tails.is_empty() {
            self.tails.remove(i);
        }
    }

    /// Replaces each code. The order stays.
    pub(super) fn replace(&mut self, replace: impl Fn(Code) -> Code) {
        for i in 0..self.heads.len() {
            self.set(i, replace(self.get(i)));
        }
    }

    /// A code; without its tail if the list does not keep them.
    pub(super) fn get(&self, i: usize) -> Code {
        Code {
            head: self.heads[i],
            tail: self.tails.get(i).copied().unwrap_or_default(),
        }
    }
}

/// How many codes come before a point in their order: a partition point.
///
/// Compares the last code of each block of eight, and then searches one block. A binary search
/// would compare fewer, but each of its steps waits for the step before, and in a large index each
/// waits for memory.
#[inline]
fn n_before(codes: &[u64], is_before: impl Fn(u64) -> bool) -> usize {
    let (blocks, rest) = codes.as_chunks::<8>();
    let mut n_blocks = 0;
    for block in blocks {
        n_blocks += usize::from(is_before(block[7]));
    }
    let in_block = match blocks.get(n_blocks) {
        Some(block) => {
            let mut n = 4 * usize::from(is_before(block[3]));
            n += 2 * usize::from(is_before(block[n + 1]));
            n + usize::from(is_before(block[n]))
        }
        None => rest.partition_point(|code| is_before(*code)),
    };
    8 * n_blocks + in_block
}
