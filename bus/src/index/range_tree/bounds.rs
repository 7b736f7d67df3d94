//! The bounds of the items of a node, in two orders.

use std::hint::black_box;

use super::code_list::{CodeList, Order};
use super::codes::{Code, Prefix, Probe, Shared, is_above_prefix};
use crate::KeyRange;
use crate::index::entries::{insert_tightly, split_tightly};

/// The bounds of the items of a node: their starts in ascending order, and their ends in descending
/// order, both as [codes](Prefix).
///
/// An item has a *rank* in the order of the starts and a *position* in the order of the ends.
/// Nothing here reads a key but to tell bounds of equal code apart; callers pass what reads it.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    prefix: Prefix,
    starts: CodeList,
    ends: CodeList,
    /// The position of each item, by its rank.
    positions: Vec<u8>,
    /// How often codes differ in their tails alone, as far as it was seen.
    n_ties: usize,
    /// Whether the tails of the codes are stored, because there are many ties.
    keeps_tails: bool,
}

/// Tails are stored if there is more than one tie for so many items.
const ITEMS_PER_TIE: usize = 4;

impl Bounds {
    /// The number of items.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Reads what a search reads first, so that it is in the cache of the processor.
    #[inline]
    pub(super) fn load(&self) {
        let lists = (self.starts.len(), self.ends.len(), self.positions.len());
        black_box((self.prefix.len(), lists));
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

    pub(super) fn into_positions(self) -> Vec<u8> {
        self.positions
    }

    #[inline]
    pub(super) fn probe(&self, key: &[u8], shared: Shared) -> Option<Probe> {
        self.prefix.probe(key, shared)
    }

    /// The number of items that start before a key of this head. Of an item with the same code
    /// `starts_before` decides, by its rank.
    #[inline]
    pub(super) fn n_started(
        &self,
        head: u64,
        key: &[u8],
        starts_before: impl Fn(usize) -> bool,
    ) -> usize {
        if is_above_prefix(head) {
            return self.len();
        }
        let tail = || self.prefix.tail(key, head);
        self.starts
            .n_before(Order::Ascending, head, tail, starts_before)
    }

    /// The number of items that end above a key of this head. Of an item with the same code
    /// `ends_above` decides, by its position.
    #[inline]
    pub(super) fn n_ending_above(
        &self,
        head: u64,
        key: &[u8],
        ends_above: impl Fn(usize) -> bool,
    ) -> usize {
        let tail = || self.prefix.tail(key, head);
        self.ends
            .n_before(Order::Descending, head, tail, ends_above)
    }

    /// Inserts an item of the start `start` and the range `range`. `ends_before` tells of an item
    /// with the same code, by its position, whether it comes first in the order of the ends.
    /// Returns the position of the item.
    pub(super) fn insert(
        &mut self,
        rank: usize,
        start: &[u8],
        range: &KeyRange,
        ends_before: impl Fn(usize) -> bool,
    ) -> usize {
        let start = self.include(start);
        let end = self.prefix.code_of_end(range);
        let position = self
            .ends
            .n_before(Order::Descending, end.head, || end.tail, ends_before);
        let place = u8::try_from(position).expect("a node has fewer than 256 items");
        for other in &mut self.positions {
            *other += u8::from(*other >= place);
        }
        insert_tightly(&mut self.positions, rank, place);
        self.starts.insert(rank, start, self.keeps_tails);
        self.ends.insert(position, end, self.keeps_tails);
        self.n_ties += usize::from(is_tie(start, end));
        position
    }

    /// Changes the bounds of the item of a rank to the start `start` and the range `range`, if no
    /// item changes its rank or its position, and all starts still share the prefix. Returns false,
    /// and changes nothing, if they do not, or if heads alone do not tell.
    pub(super) fn replace(&mut self, rank: usize, start: &[u8], range: &KeyRange) -> bool {
        if self.prefix.n_shared(start) < self.prefix.len() {
            return false;
        }
        let (start, end) = (self.prefix.code(start), self.prefix.code_of_end(range));
        let position = self.position(rank);
        let has_place = self.starts.has_place(Order::Ascending, rank, start.head)
            && self.ends.has_place(Order::Descending, position, end.head);
        if !has_place {
            return false;
        }
        self.starts.set(rank, start);
        self.ends.set(position, end);
        self.n_ties += usize::from(is_tie(start, end));
        true
    }

    /// The code of a start, for which the prefix is shortened to what all starts share.
    fn include(&mut self, start: &[u8]) -> Code {
        if self.len() == 0 {
            self.prefix = Prefix::of(start, start);
        }
        let n_shared = self.prefix.n_shared(start);
        if n_shared < self.prefix.len() {
            let shorten = |code| self.prefix.shorten_code(code, n_shared);
            self.starts.replace(shorten);
            self.ends.replace(shorten);
            self.prefix.truncate(n_shared);
        }
        self.prefix.code(start)
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

    /// Which positions are those of items from a rank on.
    pub(super) fn are_from(&self, rank: usize) -> Vec<bool> {
        let mut are_from = vec![false; self.len()];
        for position in &self.positions[rank..] {
            are_from[usize::from(*position)] = true;
        }
        are_from
    }

    /// Removes the items from a rank on, at the positions `is_second`, and returns them. The codes
    /// stay, so that [`is_best`](Self::is_best) has to be asked of both.
    pub(super) fn split_off(&mut self, rank: usize, is_second: &[bool]) -> Self {
        // The position of an item among those of its half.
        let mut n_before = [0; 2];
        let new_positions: Vec<u8> = is_second
            .iter()
            .map(|is_second| {
                let n_before = &mut n_before[usize::from(*is_second)];
                *n_before += 1;
                *n_before - 1
            })
            .collect();
        for position in &mut self.positions {
            *position = new_positions[usize::from(*position)];
        }
        let ranks: Vec<bool> = (0..self.len()).map(|other| other >= rank).collect();
        let mut second = Self {
            prefix: self.prefix.clone(),
            starts: self.starts.split_off(&ranks),
            ends: self.ends.split_off(is_second),
            positions: split_tightly(&mut self.positions, &ranks),
            n_ties: self.n_ties,
            keeps_tails: self.keeps_tails,
        };
        self.count_ties();
        second.count_ties();
        second
    }

    /// Counts the ties if the codes tell them.
    fn count_ties(&mut self) {
        if self.keeps_tails {
            let ends = self
                .positions
                .iter()
                .map(|position| self.ends.get(usize::from(*position)));
            self.n_ties = n_ties(self.starts.codes(), self.ends.codes(), ends);
        }
    }

    /// Whether [`new`](Self::new) would make the same codes. The starts go from `first` to `last`.
    pub(super) fn is_best(&self, first: &[u8], last: &[u8]) -> bool {
        let has_right_tails = match self.keeps_tails {
            true => self.has_many_ties(),
            // Heads do not tell equal bounds from those whose tails differ.
            false => {
                self.n_ties == 0
                    && self.starts.has_distinct_heads()
                    && self.ends.has_distinct_heads()
            }
        };
        has_right_tails && !self.has_longer_prefix(first, last)
    }

    /// Whether [`new`](Self::new) would find that tails are worth their memory.
    pub(super) fn lacks_tails(&self) -> bool {
        !self.keeps_tails && self.has_many_ties()
    }

    fn has_many_ties(&self) -> bool {
        self.n_ties * ITEMS_PER_TIE > self.positions.len()
    }

    /// Whether starts from `first` to `last` share more than the prefix.
    pub(super) fn has_longer_prefix(&self, first: &[u8], last: &[u8]) -> bool {
        self.prefix.can_be_longer(first, last)
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
        let starts = positions
            .iter()
            .map(|position| prefix.code(start_of(position)));
        let starts: Vec<_> = starts.collect();
        let ends = (0..positions.len()).map(|position| prefix.code_of_end(range(position)));
        let ends: Vec<_> = ends.collect();
        let of_items = positions
            .iter()
            .map(|position| ends[usize::from(*position)]);
        let mut bounds = Self {
            n_ties: n_ties(starts.iter().copied(), ends.iter().copied(), of_items),
            prefix,
            positions,
            ..Self::default()
        };
        bounds.keeps_tails = bounds.has_many_ties();
        bounds.starts = CodeList::of(&starts, bounds.keeps_tails);
        bounds.ends = CodeList::of(&ends, bounds.keeps_tails);
        bounds
    }
}

/// How often codes differ in their tails alone: neighbors in either order, and the bounds of an
/// item, whose ends `ends_of` has in the order of the starts.
fn n_ties(
    starts: impl Iterator<Item = Code> + Clone,
    ends: impl Iterator<Item = Code> + Clone,
    ends_of: impl Iterator<Item = Code>,
) -> usize {
    n_tied(starts.clone().zip(starts.clone().skip(1)))
        + n_tied(ends.clone().zip(ends.skip(1)))
        + n_tied(starts.zip(ends_of))
}

fn n_tied(pairs: impl Iterator<Item = (Code, Code)>) -> usize {
    pairs.filter(|(a, b)| is_tie(*a, *b)).count()
}

/// Whether tails tell two codes apart that heads do not.
fn is_tie(a: Code, b: Code) -> bool {
    a.head == b.head && a.tail != b.tail
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
        let stored = |code: Code| Code {
            tail: if self.keeps_tails { code.tail } else { 0 },
            ..code
        };
        for rank in 0..self.len() {
            let position = self.position(rank);
            let start = start(position);
            assert_eq!(self.prefix.n_shared(start), self.prefix.len());
            assert_eq!(self.starts.get(rank), stored(self.prefix.code(start)));
            let end = self.prefix.code_of_end(range(position));
            assert_eq!(self.ends.get(position), stored(end));
        }
        for i in 1..self.len() {
            assert!(self.starts.get(i - 1) <= self.starts.get(i));
            assert!(self.ends.get(i - 1) >= self.ends.get(i));
        }
    }
}
