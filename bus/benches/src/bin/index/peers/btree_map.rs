//! The standard library's B-tree, over segments of keys that the same ranges hold.

use std::collections::BTreeMap;

use rangewatch_bus::KeyRange;

use super::{Ids, Index, bounds, take_out};

/// Each bound of a range starts a segment, which the next one ends.
pub(super) struct BTreeMapOfSets<'a> {
    ranges: &'a [KeyRange],
    segments: BTreeMap<&'a [u8], Segment>,
}

struct Segment {
    /// The ranges that cover the segment.
    ids: Ids,
    /// How many ranges start or end where the segment starts.
    n_bounds: u32,
}

impl<'a> BTreeMapOfSets<'a> {
    pub(super) fn new(ranges: &'a [KeyRange]) -> Self {
        Self {
            ranges,
            segments: BTreeMap::new(),
        }
    }

    fn add_bound(&mut self, bound: &'a [u8]) {
        if let Some(segment) = self.segments.get_mut(bound) {
            segment.n_bounds += 1;
            return;
        }
        let below = self.segments.range(..bound).next_back();
        let ids = below.map_or_else(Ids::new, |(_, segment)| segment.ids.clone());
        self.segments.insert(bound, Segment { ids, n_bounds: 1 });
    }

    fn remove_bound(&mut self, bound: &'a [u8]) {
        let segment = self.segments.get_mut(bound);
        let segment = segment.expect("the range is in the index");
        segment.n_bounds -= 1;
        if segment.n_bounds == 0 {
            self.segments.remove(bound);
        }
    }
}

impl Index for BTreeMapOfSets<'_> {
    fn insert(&mut self, id: u32) {
        let (from, to) = bounds(&self.ranges[id as usize]);
        self.add_bound(from);
        self.add_bound(to);
        for (_, segment) in self.segments.range_mut(from..to) {
            segment.ids.push(id);
        }
    }

    fn remove(&mut self, id: u32) {
        let (from, to) = bounds(&self.ranges[id as usize]);
        for (_, segment) in self.segments.range_mut(from..to) {
            take_out(&mut segment.ids, id);
        }
        self.remove_bound(from);
        self.remove_bound(to);
    }

    fn find(&self, key: &[u8], found: &mut Vec<u32>) {
        if let Some((_, segment)) = self.segments.range(..=key).next_back() {
            found.extend_from_slice(&segment.ids);
        }
    }
}
