//! A hash table of byte keys, each with the list of its values.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::entries::{Entries, insert_tightly};
use crate::KeyRange;

/// Lists of values by key. The key of a list is the start of the range of each of its entries.
///
/// An entry knows its position in its list, so that a removal does not search for it. Hashes are
/// seeded per index, so that keys that collide cannot be chosen in advance.
pub(super) struct KeyTable<V> {
    table: HashTable<List<V>>,
    hasher: RandomState,
}

/// The values under one key. Mostly there is one, which takes no memory of its own.
struct List<V> {
    hash: u64,
    /// The range of `entry`, so that a lookup does not read the table of entries, which would miss
    /// the processor's cache once more.
    range: KeyRange,
    entry: u32,
    value: V,
    /// The others, at the positions from 1 on.
    more: Option<Box<More<V>>>,
}

/// Parallel vectors, so that a lookup copies the values as one block.
struct More<V> {
    values: Vec<V>,
    entries: Vec<u32>,
}

/// The table shrinks when fewer than one in so many of its places is used.
const MIN_OCCUPANCY: usize = 4;

impl<V: Copy> KeyTable<V> {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            hasher: RandomState::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Adds a value under the start of the range of `entry`. Returns whether its key is new.
    pub(super) fn insert(&mut self, entries: &mut Entries, entry: u32, value: V) -> bool {
        let range = entries.range(entry);
        let hash = self.hasher.hash_one(Key(range.start()));
        let is_sought = |list: &List<V>| list.is_of(hash, range.start());
        match self.table.entry(hash, is_sought, |list| list.hash) {
            Place::Vacant(place) => {
                place.insert(List {
                    hash,
                    range: range.clone(),
                    entry,
                    value,
                    more: None,
                });
                entries.set_position(entry, 0);
                true
            }
            Place::Occupied(mut place) => {
                let more = place.get_mut().more.get_or_insert_with(|| {
                    Box::new(More {
                        values: Vec::new(),
                        entries: Vec::new(),
                    })
                });
                let n = more.values.len();
                insert_tightly(&mut more.values, n, value);
                insert_tightly(&mut more.entries, n, entry);
                entries.set_position(entry, position_of(n));
                false
            }
        }
    }

    /// Removes the value of `entry`, which this table stores. Returns it, and whether its key is
    /// gone.
    pub(super) fn remove(&mut self, entries: &mut Entries, entry: u32) -> Option<(V, bool)> {
        let key = entries.range(entry).start();
        let hash = self.hasher.hash_one(Key(key));
        let is_sought = |list: &List<V>| list.is_of(hash, key);
        let mut place = self.table.find_entry(hash, is_sought).ok()?;
        let list = place.get_mut();
        let position = entries.position(entry) as usize;
        let Some(more) = &mut list.more else {
            let (list, _) = place.remove();
            self.shrink();
            return Some((list.value, true));
        };
        // The last of the others takes the position.
        let (last_value, last_entry) = (more.values.pop()?, more.entries.pop()?);
        let value = match position.checked_sub(1) {
            None => {
                list.range = entries.range(last_entry).clone();
                list.entry = last_entry;
                std::mem::replace(&mut list.value, last_value)
            }
            Some(i) if i < more.values.len() => {
                more.entries[i] = last_entry;
                std::mem::replace(&mut more.values[i], last_value)
            }
            Some(_) => last_value,
        };
        entries.set_position(last_entry, position as u32);
        more.shrink();
        list.more.take_if(|more| more.values.is_empty());
        Some((value, false))
    }

    /// Appends the values under `key` to `found`.
    #[inline]
    pub(super) fn find(&self, entries: &Entries, key: &[u8], found: &mut Vec<V>) {
        entries.count_step();
        let hash = self.hasher.hash_one(Key(key));
        let is_sought = |list: &List<V>| list.is_of(hash, key);
        if let Some(list) = self.table.find(hash, is_sought) {
            found.push(list.value);
            if let Some(more) = &list.more {
                found.extend_from_slice(&more.values);
            }
        }
    }

    fn shrink(&mut self) {
        if self.table.len() < self.table.capacity() / MIN_OCCUPANCY {
            self.table.shrink_to(2 * self.table.len(), |list| list.hash);
        }
    }
}

impl<V> List<V> {
    fn is_of(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && self.range.start() == key
    }
}

impl<V> More<V> {
    fn shrink(&mut self) {
        let n = self.values.len();
        if n < self.values.capacity() / MIN_OCCUPANCY {
            self.values.shrink_to(2 * n);
            self.entries.shrink_to(2 * n);
        }
    }
}

/// The position of the value `i` of `More`.
fn position_of(i: usize) -> u32 {
    u32::try_from(i + 1).expect("an entry is named by 32 bits, so there are no more of them")
}

/// A key that is hashed as its bytes alone: without the length, which a slice adds for the case
/// that several are hashed in a row.
struct Key<'a>(&'a [u8]);

impl std::hash::Hash for Key<'_> {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(self.0);
    }
}
