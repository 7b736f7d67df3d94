//! `iset`: a red-black tree with the greatest end of each subtree.

use iset::IntervalMap;
use rangewatch_bus::KeyRange;

use super::{Index, bounds};

pub(super) struct Iset<'a> {
    ranges: &'a [KeyRange],
    tree: IntervalMap<&'a [u8], u32>,
}

impl<'a> Iset<'a> {
    pub(super) fn new(ranges: &'a [KeyRange]) -> Self {
        Self {
            ranges,
            tree: IntervalMap::new(),
        }
    }
}

impl Index for Iset<'_> {
    fn insert(&mut self, id: u32) {
        let (from, to) = bounds(&self.ranges[id as usize]);
        self.tree.force_insert(from..to, id);
    }

    fn remove(&mut self, id: u32) {
        let (from, to) = bounds(&self.ranges[id as usize]);
        let removed = self.tree.remove_where(from..to, |other| *other == id);
        assert_eq!(removed, Some(id));
    }

    fn find(&self, key: &[u8], found: &mut Vec<u32>) {
        found.extend(self.tree.values_overlap(key));
    }
}
