//! A node of the tree: items and their bounds.

use super::bounds::Bounds;
use super::codes::{Probe, Shared};
use super::items::{Bounded, Items};
use crate::index::entries::Entries;

/// A leaf or an inner node.
#[derive(Debug, Default)]
pub(super) struct Node<I> {
    pub(super) bounds: Bounds,
    pub(super) items: I,
}

/// The most items of a node. A node that has more is split.
pub(super) const MAX_ITEMS: usize = if cfg!(test) { 8 } else { 192 };
/// A node of fewer items is merged with one beside it, if both together have at most
/// [`MAX_MERGED`]: so few that the next insertions do not split the result.
pub(super) const MIN_ITEMS: usize = MAX_ITEMS / 4;
pub(super) const MAX_MERGED: usize = MAX_ITEMS / 4 * 3;

impl<I: Items> Node<I> {
    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }

    /// The entries with the least start and with the greatest end. There is at least one item.
    pub(super) fn extremes(&self) -> (u32, u32) {
        (
            self.items.first(self.bounds.position(0)),
            self.items.greatest(0),
        )
    }

    /// The entry with the least start of the item of this rank.
    #[inline]
    pub(super) fn first(&self, rank: usize) -> u32 {
        self.items.first(self.bounds.position(rank))
    }

    /// The number of items that start at or below `key`, whose code has this head.
    #[inline]
    pub(super) fn n_started(&self, head: u64, key: &[u8], entries: &Entries) -> usize {
        let starts_by_key = |rank| entries.range(self.first(rank)).start() <= key;
        self.bounds.n_started(head, key, starts_by_key)
    }

    /// The number of items that end above `key`, whose code has this head.
    #[inline]
    pub(super) fn n_ending_above(&self, head: u64, key: &[u8], entries: &Entries) -> usize {
        let ends_above = |position| entries.range(self.items.greatest(position)).ends_above(key);
        self.bounds.n_ending_above(head, key, ends_above)
    }

    /// The number of items whose first entry lies before `entry`: entries of equal start are
    /// ordered by their places, so that each can be found again.
    pub(super) fn n_before(&self, entry: u32, entries: &Entries) -> usize {
        entries.count_step();
        let start = entries.range(entry).start();
        let Some(Probe { head, .. }) = self.bounds.probe(start, Shared::AtLeast(0)) else {
            return 0;
        };
        self.bounds.n_started(head, start, |rank| {
            let first = self.first(rank);
            (entries.range(first).start(), first) < (start, entry)
        })
    }

    /// Adds an item at a rank.
    pub(super) fn insert(&mut self, rank: usize, item: I::Item, entries: &Entries) {
        let start = entries.range(item.first()).start();
        let range = entries.range(item.greatest());
        // Behind items of the same end, so that the first of them, which the node above names,
        // stays.
        let position = self.bounds.insert(rank, start, range, |position| {
            let other = entries.range(self.items.greatest(position));
            !range.ends_above_end(other)
        });
        self.items.insert(position, item);
        if self.bounds.lacks_tails() {
            self.encode_again(entries);
        }
    }

    /// Encodes the bounds again after those of the item of this rank were changed, if that makes
    /// the codes better.
    pub(super) fn encode_better(&mut self, rank: usize, entries: &Entries) {
        if self.bounds.lacks_tails() {
            self.encode_again(entries);
        } else {
            self.lengthen_prefix(rank, entries);
        }
    }

    /// Removes the item of a rank.
    pub(super) fn remove(&mut self, rank: usize, entries: &Entries) -> I::Item {
        let item = self.items.remove(self.bounds.remove(rank));
        self.lengthen_prefix(rank, entries);
        item
    }

    /// Replaces the item of a rank by one with other bounds, which has the same rank.
    pub(super) fn replace(
        &mut self,
        rank: usize,
        entries: &Entries,
        replace: impl FnOnce(I::Item) -> I::Item,
    ) {
        let item = self.items.remove(self.bounds.remove(rank));
        // The prefix is lengthened after both: in between it might be longer.
        self.insert(rank, replace(item), entries);
        self.lengthen_prefix(rank, entries);
    }

    /// Lengthens the prefix if the item of this rank, which was removed or replaced, was at an end
    /// and the starts of all items share more now.
    fn lengthen_prefix(&mut self, rank: usize, entries: &Entries) {
        let start = |rank| entries.range(self.first(rank)).start();
        let Some(last) = self.len().checked_sub(1) else {
            return;
        };
        if (rank == 0 || rank >= last) && self.bounds.has_longer_prefix(start(0), start(last)) {
            self.encode_again(entries);
        }
    }

    /// Splits the node behind its first `n_first` items if it has too many. Returns the others.
    ///
    /// `rank` is where the last item was added: items that come in order leave full nodes behind.
    pub(super) fn split(&mut self, rank: usize, entries: &Entries) -> Option<Self> {
        let n = self.len();
        if n <= MAX_ITEMS {
            return None;
        }
        let n_first = match rank {
            0 => MIN_ITEMS,
            rank if rank + 1 == n => n - MIN_ITEMS,
            _ => n / 2,
        };
        let is_second = self.bounds.are_from(n_first);
        let mut second = Self {
            bounds: self.bounds.split_off(n_first, &is_second),
            items: self.items.split_off(&is_second),
        };
        for half in [self, &mut second] {
            let start = |rank| entries.range(half.first(rank)).start();
            let last = half.len() - 1;
            if !half.bounds.is_best(start(0), start(last)) {
                half.encode_again(entries);
            }
        }
        Some(second)
    }

    /// Adds the items of `other`, which all start behind those of this node.
    pub(super) fn append(&mut self, other: Self, entries: &Entries) {
        let mut items = other.into_items();
        items.sort_unstable_by_key(|(rank, _)| *rank);
        for (_, item) in items {
            self.insert(self.len(), item, entries);
        }
    }

    /// The items with their ranks, in the order of their ends.
    fn into_items(self) -> Vec<(usize, I::Item)> {
        let ranks = self.bounds.ranks();
        ranks.into_iter().zip(self.items.into_vec()).collect()
    }

    /// Encodes the bounds of the items with the longest prefix that there is.
    fn encode_again(&mut self, entries: &Entries) {
        let positions = std::mem::take(&mut self.bounds).into_positions();
        self.bounds = encode(positions, &self.items, entries);
    }
}

/// Encodes the bounds of items. `positions` holds the position of each by its rank.
fn encode<I: Items>(positions: Vec<u8>, items: &I, entries: &Entries) -> Bounds {
    let start = |position| entries.range(items.first(position)).start();
    let range = |position| entries.range(items.greatest(position));
    Bounds::new(positions, start, range)
}
