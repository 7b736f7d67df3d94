//! `rangemap`, over segments of keys that the same ranges hold.

use std::ops::Range;

use rangemap::RangeMap;
use rangewatch_bus::KeyRange;

use super::{Ids, Index, bounds};

pub(super) struct RangeMapOfSets<'a> {
    ranges: &'a [KeyRange],
    /// The ids are sorted, because adjacent segments with equal values are one.
    segments: RangeMap<&'a [u8], Ids>,
    /// A scratch buffer: what an operation changes.
    changed: Vec<(Range<&'a [u8]>, Ids)>,
}

impl<'a> RangeMapOfSets<'a> {
    pub(super) fn new(ranges: &'a [KeyRange]) -> Self {
        Self {
            ranges,
            segments: RangeMap::new(),
            changed: Vec::new(),
        }
    }
}

impl Index for RangeMapOfSets<'_> {
    fn insert(&mut self, id: u32) {
        let (from, to) = bounds(&self.ranges[id as usize]);
        let mut covered_to = from;
        for (segment, ids) in self.segments.overlapping(&(from..to)) {
            let (start, end) = (segment.start.max(from), segment.end.min(to));
            if covered_to < start {
                self.changed
                    .push((covered_to..start, Ids::from_slice(&[id])));
            }
            covered_to = end;
            let mut ids = ids.clone();
            let place = ids.partition_point(|other| *other < id);
            ids.insert(place, id);
            self.changed.push((start..end, ids));
        }
        if covered_to < to {
            self.changed.push((covered_to..to, Ids::from_slice(&[id])));
        }
        for (segment, ids) in self.changed.drain(..) {
            self.segments.insert(segment, ids);
        }
    }

    fn remove(&mut self, id: u32) {
        let (from, to) = bounds(&self.ranges[id as usize]);
        for (segment, ids) in self.segments.overlapping(&(from..to)) {
            let mut ids = ids.clone();
            let place = ids.binary_search(&id);
            ids.remove(place.expect("the range is in the index"));
            self.changed
                .push((segment.start.max(from)..segment.end.min(to), ids));
        }
        for (segment, ids) in self.changed.drain(..) {
            if ids.is_empty() {
                self.segments.remove(segment);
            } else {
                self.segments.insert(segment, ids);
            }
        }
    }

    fn find(&self, key: &[u8], found: &mut Vec<u32>) {
        if let Some(ids) = self.segments.get(&key) {
            found.extend_from_slice(ids);
        }
    }
}
