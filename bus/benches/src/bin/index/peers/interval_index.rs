//! The index of this project.

use rangewatch_bus::KeyRange;
use rangewatch_bus::index::{Handle, IntervalIndex};

use super::{Dedup, Index};

/// The handles are the caller's, so that the time to look one up counts and its memory does not.
pub(super) struct Ours<'a> {
    ranges: &'a [KeyRange],
    handles: Vec<Option<Handle>>,
    index: IntervalIndex<u32>,
}

impl<'a> Ours<'a> {
    pub(super) fn new(ranges: &'a [KeyRange]) -> Self {
        Self {
            ranges,
            handles: vec![None; ranges.len()],
            index: IntervalIndex::new(),
        }
    }
}

impl Index for Ours<'_> {
    fn insert(&mut self, id: u32) {
        let range = self.ranges[id as usize].clone();
        self.handles[id as usize] = Some(self.index.insert(range, id));
    }

    fn remove(&mut self, id: u32) {
        let handle = self.handles[id as usize].take();
        let removed = handle.and_then(|handle| self.index.remove(handle));
        assert_eq!(removed, Some(id));
    }

    fn find(&self, key: &[u8], found: &mut Vec<u32>) {
        self.index.find(key, found);
    }

    fn find_any(&self, keys: &[Vec<u8>], _: &mut Dedup, found: &mut Vec<u32>) {
        self.index.find_any(keys, found);
    }
}
