//! The keys of a lookup in ascending order.

use std::cell::Cell;

use super::words::{common_prefix, eight_bytes};
use crate::scratch;

thread_local! {
    static ORDER: Cell<Vec<(u64, u32)>> = const { Cell::new(Vec::new()) };
}

/// The distinct keys of a lookup in ascending order, so that each structure meets keys that share
/// something one after the other.
pub(super) struct SortedKeys<'a> {
    keys: &'a [&'a [u8]],
    /// The eight bytes of each key behind what all keys begin with, and the place of the key.
    /// Comparing these numbers first, most keys need not be read again.
    order: Vec<(u64, u32)>,
}

impl<'a> SortedKeys<'a> {
    pub(super) fn new(keys: &'a [&'a [u8]]) -> Self {
        let n_shared = keys.split_first().map_or(0, |(first, others)| {
            let shared = others.iter().map(|key| common_prefix(first, key, 0));
            shared.fold(first.len(), usize::min)
        });
        let mut order = scratch::take(&ORDER);
        let heads = keys.iter().map(|key| eight_bytes(key, n_shared));
        order.extend(heads.zip(0..));
        let key = |place: u32| keys[place as usize];
        order.sort_unstable_by(|(a, i), (b, j)| a.cmp(b).then_with(|| key(*i).cmp(key(*j))));
        order.dedup_by(|(a, i), (b, j)| a == b && key(*i) == key(*j));
        Self { keys, order }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    #[inline]
    pub(super) fn get(&self, i: usize) -> &'a [u8] {
        self.keys[self.order[i].1 as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.order
            .iter()
            .map(|&(_, place)| self.keys[place as usize])
    }
}

impl Drop for SortedKeys<'_> {
    fn drop(&mut self) {
        scratch::put_back(&ORDER, std::mem::take(&mut self.order));
    }
}
