//! `rb-interval-map`: a red-black tree of different ranges.

use rangewatch_bus::KeyRange;
use rb_interval_map::{Interval, IntervalMap};
use smallvec::SmallVec;

use super::{Ids, Index, bounds, take_out};

pub(super) struct RbIntervalMap<'a> {
    ranges: &'a [KeyRange],
    /// The ids of equal ranges.
    tree: IntervalMap<&'a [u8], Ids>,
}

impl<'a> RbIntervalMap<'a> {
    pub(super) fn new(ranges: &'a [KeyRange]) -> Self {
        Self {
            ranges,
            tree: IntervalMap::new(),
        }
    }
}

impl Index for RbIntervalMap<'_> {
    fn insert(&mut self, id: u32) {
        let (from, to) = bounds(&self.ranges[id as usize]);
        let entry = self.tree.entry(Interval::new(from, to));
        entry.or_insert(Ids::new()).push(id);
    }

    fn remove(&mut self, id: u32) {
        let (from, to) = bounds(&self.ranges[id as usize]);
        let range = Interval::new(from, to);
        let ids = self.tree.get_mut(&range);
        let ids = ids.expect("the range is in the index");
        if ids.len() > 1 {
            take_out(ids, id);
        } else {
            self.tree.remove(&range);
        }
    }

    fn find(&self, key: &[u8], found: &mut Vec<u32>) {
        // It looks up ranges: the one from the key to its successor is the key.
        let mut successor = SmallVec::<[u8; 128]>::from_slice(key);
        successor.push(0);
        let one_key = Interval::new(key, &*successor);
        for (_, ids) in self.tree.find_all_overlap(&one_key) {
            found.extend_from_slice(ids);
        }
    }
}
