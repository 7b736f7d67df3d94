//! The indexes that are compared, behind one trait.
//!
//! The peers borrow the bytes of their bounds from the ranges of the workload, so that none of them
//! spends time on copies of keys.

mod btree_map;
mod interval_index;
mod iset;
mod range_map;
mod rb_interval_map;

use rangewatch_bus::KeyRange;
use smallvec::SmallVec;

/// The number of keys of a `find_any`.
pub(crate) const N_KEYS: usize = 16;

/// An index of the ranges of a workload; the id of a range is its position there.
pub(crate) trait Index: Send + Sync {
    /// Adds a range that is not in the index.
    fn insert(&mut self, id: u32);

    /// Removes a range that is in the index.
    fn remove(&mut self, id: u32);

    /// Appends the ids of the ranges that hold the key, each once, in any order.
    fn find(&self, key: &[u8], found: &mut Vec<u32>);

    /// Appends the ids of the ranges that hold any of the keys, each once, in any order. `dedup`
    /// is for those indexes that have no such operation.
    fn find_any(&self, keys: &[Vec<u8>], dedup: &mut Dedup, found: &mut Vec<u32>) {
        for key in keys {
            self.find(key, found);
        }
        dedup.apply(found);
    }
}

/// A name, and the function that makes an empty index of that kind.
pub(crate) type Kind = (
    &'static str,
    for<'a> fn(&'a [KeyRange]) -> Box<dyn Index + 'a>,
);

/// The first one is ours.
pub(crate) const KINDS: &[Kind] = &[
    ("ours", |ranges| Box::new(interval_index::Ours::new(ranges))),
    ("rangemap", |ranges| {
        Box::new(range_map::RangeMapOfSets::new(ranges))
    }),
    ("BTreeMap", |ranges| {
        Box::new(btree_map::BTreeMapOfSets::new(ranges))
    }),
    ("iset", |ranges| Box::new(iset::Iset::new(ranges))),
    ("rb-interval-map", |ranges| {
        Box::new(rb_interval_map::RbIntervalMap::new(ranges))
    }),
];

/// The ids of the ranges that cover a segment of keys, or that are equal.
type Ids = SmallVec<[u32; 4]>;

/// Removes an id from a set that holds it.
fn take_out(ids: &mut Ids, id: u32) {
    let place = ids.iter().position(|other| *other == id);
    ids.swap_remove(place.expect("the range is in the index"));
}

/// The bounds of a range. An unbounded end is a key above all others.
fn bounds(range: &KeyRange) -> (&[u8], &[u8]) {
    (range.start(), range.end().unwrap_or(&[0xff; 80]))
}

/// Removes repeated ids: few by sorting, many by a mark for each id that was seen.
#[derive(Default)]
pub(crate) struct Dedup {
    seen_in: Vec<u32>,
    lookup: u32,
}

impl Dedup {
    fn apply(&mut self, ids: &mut Vec<u32>) {
        const FEW: usize = 256;
        if ids.len() < FEW {
            ids.sort_unstable();
            ids.dedup();
            return;
        }
        self.lookup = self.lookup.checked_add(1).unwrap_or_else(|| {
            self.seen_in.fill(0);
            1
        });
        ids.retain(|id| {
            let id = *id as usize;
            if id >= self.seen_in.len() {
                self.seen_in.resize(id + 1, 0);
            }
            std::mem::replace(&mut self.seen_in[id], self.lookup) != self.lookup
        });
    }
}
