//! The bounds of the items of a node, in two orders.

use super::codes::{Prefix, Probe, Shared, UNBOUNDED, is_above_prefix};
use crate::KeyRange;
use crate::index::entries::insert_tightly;

/// The bounds of the items of a node: their starts in ascending order, and their ends in descending
/// order, both as [codes](Prefix).
///
/// An item has a *rank* in the order of the starts and a *position* in the order of the ends.
/// Nothing here reads a key but to tell bounds of equal code apart; callers pass what reads it.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    prefix: Prefix,
    starts: Vec<u64>,
    ends: Vec<u64>,
    /// The position of each item, by its rank.
    positions: Vec<u8>,
}

impl Bounds {
    /// The number of items.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    #[inline]
    pub(super) fn position(&self, rank: usize) -> usize {
        usize::from(self.positions[rank])
    }

    /// The positions of the items of the ranks in `ranks`.
    #[inline]
    pub(super) fn positions(&self, ranks: std::ops::Range<usize>) -> &[u8] {
        &self.positions[ranks]
    }

    /// The rank of each item, by its position.
    pub(super) fn ranks(&self) -> Vec<usize> {
        let mut ranks = vec![0; self.len()];
        for (rank, &position) in self.positions.iter().enumerate() {
            ranks[usize::from(position)] = rank;
        }
        ranks
    }

    #[inline]
    pub(super) fn probe(&self, key: &[u8], shared: Shared) -> Option<Probe> {
        self.prefix.probe(key, shared)
    }

    /// The number of items that start at or below a key. `starts_by_key` tells it of an item by its
    /// rank.
    #[inline]
    pub(super) fn n_started(&self, code: u64, starts_by_key: impl Fn(usize) -> bool) -> usize {
        if is_above_prefix(code) {
            return self.len();
        }
        let lower = n_before(&self.starts, |start| start < code);
        if self.starts.get(lower) != Some(&code) {
            return lower;
        }
        self.partition_equal(&self.starts, lower, starts_by_key)
    }

    /// The number of items that end above a key, or above a bound. `ends_above` tells it of an item
    /// by its position.
    #[inline]
    pub(super) fn n_ending_above(&self, code: u64, ends_above: impl Fn(usize) -> bool) -> usize {
        let lower = n_before(&self.ends, |end| end > code);
        if self.ends.get(lower) != Some(&code) {
            return lower;
        }
        self.partition_equal(&self.ends, lower, ends_above)
    }

    /// The partition point among the bounds that have the same code as the one at `lower`, the
    /// first of them. Kept out of line: most bounds differ in their codes.
    #[inline(never)]
    fn partition_equal(
        &self,
        codes: &[u64],
        lower: usize,
        is_before: impl Fn(usize) -> bool,
    ) -> usize {
        let code = codes[lower];
        let mut equal = lower..lower + codes[lower..].partition_point(|other| *other == code);
        while !equal.is_empty() {
            let middle = equal.start + equal.len() / 2;
            if is_before(middle) {
                equal.start = middle + 1;
            } else {
                equal.end = middle;
            }
        }
        equal.start
    }

    /// The code of the start of a range for [`n_started`](Self::n_started), after the prefix was
    /// shortened to what this start shares with the others.
    pub(super) fn include_start(&mut self, start: &[u8]) -> u64 {
        if self.len() == 0 {
            self.prefix = Prefix::of(start, start);
        }
        let n_shared = self.prefix.n_shared(start);
        if n_shared < self.prefix.len() {
            for code in self.starts.iter_mut().chain(&mut self.ends) {
                *code = self.prefix.shorten_code(*code, n_shared);
            }
            self.prefix.truncate(n_shared);
        }
        self.prefix.code(start)
    }

    /// The code of the end of a range whose start is [included](Self::include_start).
    pub(super) fn end_code(&self, range: &KeyRange) -> u64 {
        range.end().map_or(UNBOUNDED, |end| self.prefix.code(end))
    }

    pub(super) fn insert(&mut self, rank: usize, start: u64, position: usize, end: u64) {
        let position = u8::try_from(position).expect("a node has fewer than 256 items");
        for other in &mut self.positions {
            *other += u8::from(*other >= position);
        }
        insert_tightly(&mut self.starts, rank, start);
        insert_tightly(&mut self.ends, usize::from(position), end);
        insert_tightly(&mut self.positions, rank, position);
    }

    /// Removes an item and returns its position.
    pub(super) fn remove(&mut self, rank: usize) -> usize {
        let position = self.positions.remove(rank);
        self.starts.remove(rank);
        self.ends.remove(usize::from(position));
        for other in &mut self.positions {
            *other -= u8::from(*other > position);
        }
        usize::from(position)
    }

    /// Whether starts from `first` to `last` share more than the prefix.
    pub(super) fn has_longer_prefix(&self, first: &[u8], last: &[u8]) -> bool {
        Prefix::of(first, last).len() > self.prefix.len()
    }

    /// The bounds of items whose orders are known: `positions` holds the position of each item by
    /// its rank. The functions read the bounds of the item at a position.
    pub(super) fn new<'a>(
        positions: Vec<u8>,
        start: impl Fn(usize) -> &'a [u8],
        range: impl Fn(usize) -> &'a KeyRange,
    ) -> Self {
        let start_of = |position: &u8| start(usize::from(*position));
        let prefix = match (positions.first(), positions.last()) {
            (Some(first), Some(last)) => Prefix::of(start_of(first), start_of(last)),
            _ => Prefix::default(),
        };
        let mut bounds = Self {
            prefix,
            ..Self::default()
        };
        bounds.starts = positions
            .iter()
            .map(|position| bounds.prefix.code(start_of(position)))
            .collect();
        bounds.ends = (0..positions.len())
            .map(|position| bounds.end_code(range(position)))
            .collect();
        bounds.positions = positions;
        bounds
    }
}

/// How many codes come before a point in their order: a partition point.
///
/// Compares the last code of each block of sixteen, and then searches one block. A binary search
/// would compare fewer, but each of its steps waits for the step before, and in a large index each
/// waits for memory.
#[inline]
fn n_before(codes: &[u64], is_before: impl Fn(u64) -> bool) -> usize {
    let (blocks, rest) = codes.as_chunks::<16>();
    let mut n_blocks = 0;
    for block in blocks {
        n_blocks += usize::from(is_before(block[15]));
    }
    let in_block = match blocks.get(n_blocks) {
        Some(block) => {
            let mut n = 8 * usize::from(is_before(block[7]));
            n += 4 * usize::from(is_before(block[n + 3]));
            n += 2 * usize::from(is_before(block[n + 1]));
            n + usize::from(is_before(block[n]))
        }
        None => rest.partition_point(|code| is_before(*code)),
    };
    16 * n_blocks + in_block
}

#[cfg(test)]
impl Bounds {
    /// Panics unless the codes are those of the bounds of the item at each position.
    pub(super) fn check<'a>(
        &self,
        start: impl Fn(usize) -> &'a [u8],
        range: impl Fn(usize) -> &'a KeyRange,
    ) {
        let mut positions = self.positions.clone();
        positions.sort_unstable();
        assert!(positions.into_iter().map(usize::from).eq(0..self.len()));
        assert_eq!(self.ends.len(), self.len());
        for rank in 0..self.len() {
            let position = self.position(rank);
            let start = start(position);
            assert_eq!(self.prefix.n_shared(start), self.prefix.len());
            assert_eq!(self.starts[rank], self.prefix.code(start));
            assert_eq!(self.ends[position], self.end_code(range(position)));
        }
        assert!(self.starts.is_sorted() && self.ends.is_sorted_by(|a, b| a >= b));
    }
}
