//! An interval index: which of many ranges of byte keys hold a key? (A stabbing query.)
//!
//! The bus finds subscriptions with an [`IntervalIndex`]. The index does not depend on the bus, and
//! stores values of any type that is `Copy`: mostly ids.
//!
//! # Examples
//!
//! A router of keys to ids. A lookup returns values, not handles, so the router keeps the handle of
//! each id, to remove it by.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::RwLock;
//!
//! use rangewatch_bus::KeyRange;
//! use rangewatch_bus::index::{Handle, IntervalIndex};
//!
//! #[derive(Default)]
//! struct Router {
//!     index: IntervalIndex<u32>,
//!     handles: HashMap<u32, Handle>,
//! }
//!
//! impl Router {
//!     fn add(&mut self, id: u32, range: KeyRange) {
//!         let handle = self.index.insert(range, id);
//!         if let Some(replaced) = self.handles.insert(id, handle) {
//!             self.index.remove(replaced);
//!         }
//!     }
//!
//!     fn remove(&mut self, id: u32) -> Option<u32> {
//!         self.index.remove(self.handles.remove(&id)?)
//!     }
//! }
//!
//! let mut router = Router::default();
//! router.add(1, KeyRange::key("/pods/ns-1/a"));
//! router.add(2, KeyRange::prefix("/pods/"));
//! router.add(3, KeyRange::new("/nodes", "/pods/ns-2")?);
//! router.add(4, KeyRange::unbounded("/q"));
//!
//! // A lookup takes `&self`: threads share the index behind a reader-writer lock.
//! let router = RwLock::new(router);
//! let mut found = Vec::new(); // reused: lookups append to it
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         let mut found = Vec::new();
//!         router.read().unwrap().index.find(b"/quotas", &mut found);
//!         assert_eq!(found, [4]);
//!     });
//!     router.read().unwrap().index.find(b"/pods/ns-1/a", &mut found);
//! });
//! found.sort();
//! assert_eq!(found, [1, 2, 3]);
//!
//! assert_eq!(router.write().unwrap().remove(2), Some(2));
//! found.clear();
//! router.read().unwrap().index.find_any(["/pods/ns-1/a", "/pods/ns-1/b"], &mut found);
//! found.sort();
//! assert_eq!(found, [1, 3]);
//! # Ok::<(), rangewatch_bus::EmptyRangeError>(())
//! ```
//!
//! # How it works
//!
//! A range is stored in the one of three structures that suits its bounds, whichever constructor
//! made it. A lookup asks all three.
//!
//! ```text
//!                         find("/pods/ns-1/a")
//!                                  │
//!        ┌─────────────────────────┼──────────────────────────────┐
//!        ▼                         ▼                              ▼
//!   single keys                prefixes                    general ranges
//!   one probe of a         one probe for each           one path down a tree
//!   hash table             length in use: 6, 11
//!
//!  "/pods/ns-1/a" ► 3, 9   "/pods/" ► 4              [ /nodes .. /pods/ns-2 ) ► 7
//!  "/pods/ns-2/b" ► 5      "/pods/ns-1/" ► 1, 8      [ /pods/ns-1/a .. ∞ )    ► 2
//!        │                         │                              │
//!        └─────────────────────────┴──────────────────────────────┘
//!                                  ▼
//!                      found: 3, 9, 4, 1, 8, 7, 2
//! ```
//!
//! - **A single key** `[k, k + "\0")` is a key of a hash table. The hash is seeded at random, so
//!   that keys that collide cannot be chosen in advance. It does not resist an attacker who infers
//!   the seed from the times of many lookups.
//! - **A prefix** `[p, the next string after all that begin with p)` is a key of another hash
//!   table, which a lookup probes once for each length that prefixes have. That is done for up to
//!   4 lengths at a time; prefixes of further lengths are stored as general ranges.
//! - **A general range** `[a, b)` is an item of a B-tree that is ordered by the starts. Each node
//!   stores the bounds of its items twice: starts in ascending order, ends in descending order. The
//!   bounds of a child are its least start and its greatest end.
//!
//! ```text
//!   find("n") in an inner node             find("n") in a leaf
//!
//!   starts   a   f   m   s                 starts   f   h   k   o   q
//!                      n ▲                                    n ▲
//!            3 start at or below n                  3 start at or below n
//!
//!   ends     z   p   l   g                 ends     z   s   n   m   l
//!                  n ▲                                    n ▲
//!            2 end above n                          2 end above n
//!
//!   3 + 2 - 4: 1 child is searched         3 + 2 - 5: none holds n
//! ```
//!
//! A range holds a key if it starts at or below the key and ends above it. Two binary searches in a
//! node count the items that do the one and those that do the other. Items that start above the key
//! also end above it, so no item does neither, and both counts together exceed the number of items
//! by the number of items that hold the key. If all items start at or below the key, those that
//! hold it are the first ones in the order of the ends, and are copied as one block. The lookup
//! descends only into children whose bounds hold the key. Each of them but the last one contains a
//! range that holds it, so ranges that do not hold the key cost no more than one path.
//!
//! In a node a bound is a number of eight bytes, made of the bytes that follow the common prefix of
//! the starts. If that leaves many bounds of a node equal, it has sixteen. So a search rarely reads
//! the keys themselves. Of a common prefix of more than 254 bytes only so many are left out: a
//! search then compares keys, and takes several times as long.
//!
//! # Costs
//!
//! With n general ranges and k values found, [`find`](IntervalIndex::find) takes O(log n) steps and
//! at most O(log n) more for each of the k; mostly far fewer, because ranges that hold the same key
//! are mostly stored side by side and copied as a block. Single keys and prefixes add one probe of
//! a hash table for the whole key and one for each length, and one copy of all values.
//! [`find_any`](IntervalIndex::find_any) sorts its keys and visits each entry at most once. It
//! passes up to 16 nodes of one depth together, so that their waits for memory overlap.
//! An insertion takes O(log n) steps, amortized, and so does a removal, whatever the ranges are.
//!
//! After the first lookups of a thread, a lookup of up to 16 keys allocates nothing but what the
//! caller's buffer needs. One of more keys collects them first, and one of more than 16,384 also
//! allocates memory to sort them.
//!
//! An entry takes some 130 bytes with bounds of 16 bytes each. The memory of the range and the
//! value of a removed entry is freed. Only a table of 16 bytes per entry keeps its greatest size,
//! at least until the index is empty. To release that as well, insert the ranges that are left into
//! a new index.
//! Clones of a [`KeyRange`] share their bytes, also with the index.

mod entries;
mod key_table;
mod prefixes;
mod range_tree;
mod sorted_keys;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use smallvec::SmallVec;

use crate::KeyRange;
use entries::Entries;
use key_table::KeyTable;
use prefixes::Prefixes;
use range_tree::RangeTree;
use sorted_keys::SortedKeys;

/// The greatest number of keys of an emit or a lookup that are stored inline, without allocating.
pub(crate) const N_KEYS_INLINE: usize = 16;

/// Ranges of keys, each with a value: finds the values of the ranges that hold a key.
///
/// Ranges may overlap, nest and repeat. The index has no lock: changes take `&mut self`, lookups
/// `&self`. The [module](self) has a longer example, and says how the index works and what its
/// operations cost.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::KeyRange;
/// use rangewatch_bus::index::IntervalIndex;
///
/// let mut index = IntervalIndex::new();
/// let wide = index.insert(KeyRange::new("a", "z")?, 1);
/// index.insert(KeyRange::new("c", "e")?, 2);
///
/// let mut found = Vec::new();
/// index.find(b"d", &mut found);
/// found.sort();
/// assert_eq!(found, [1, 2]);
///
/// assert_eq!(index.range_of(wide), Some(&KeyRange::new("a", "z")?));
/// assert_eq!(index.remove(wide), Some(1));
/// assert_eq!(index.remove(wide), None);
/// # Ok::<(), rangewatch_bus::EmptyRangeError>(())
/// ```
pub struct IntervalIndex<V> {
    entries: Entries,
    single_keys: KeyTable<V>,
    prefixes: Prefixes<V>,
    ranges: RangeTree<V>,
}

/// Names one entry of an [`IntervalIndex`], from [`insert`](IntervalIndex::insert) until it is
/// removed.
///
/// A handle of a removed entry stays invalid, also after other entries were inserted. Use a handle
/// only with the index that returned it: another index may take it for the handle of one of its own
/// entries.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::KeyRange;
/// use rangewatch_bus::index::IntervalIndex;
///
/// let mut index = IntervalIndex::new();
/// let handle = index.insert(KeyRange::new("a", "c")?, 1);
/// assert_eq!(index.remove(handle), Some(1));
/// assert!(index.remove(handle).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    place: u32,
    generation: u32,
}

/// The structure that stores an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    SingleKey,
    Prefix,
    General,
}

/// The position of an entry that is stored as a general range: the tree knows where.
const IN_TREE: u32 = u32::MAX;

impl<V: Copy> IntervalIndex<V> {
    /// Makes an empty index, which allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: Entries::new(),
            single_keys: KeyTable::new(),
            prefixes: Prefixes::new(),
            ranges: RangeTree::new(),
        }
    }

    /// The number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of entries that the index has memory for.
    pub(crate) const fn n_places(&self) -> usize {
        self.entries.n_places()
    }

    /// Adds an entry, and returns the handle to remove it by. An equal range or an equal value does
    /// not replace an entry.
    ///
    /// # Panics
    ///
    /// If there are 4,294,967,295 entries already, which take hundreds of gigabytes.
    pub fn insert(&mut self, range: KeyRange, value: V) -> Handle {
        let kind = if range.is_single_key() {
            Kind::SingleKey
        } else if range.is_prefix() && self.prefixes.admits(range.start().len()) {
            Kind::Prefix
        } else {
            Kind::General
        };
        let handle = self.entries.insert(range);
        match kind {
            Kind::SingleKey => {
                self.single_keys
                    .insert(&mut self.entries, handle.place, value);
            }
            Kind::Prefix => self.prefixes.insert(&mut self.entries, handle.place, value),
            Kind::General => {
                self.entries.set_position(handle.place, IN_TREE);
                self.ranges.insert(&self.entries, handle.place, value);
            }
        }
        handle
    }

    /// Removes an entry and returns its value; `None` if it has been removed before.
    pub fn remove(&mut self, handle: Handle) -> Option<V> {
        let place = self.entries.place_of(handle)?;
        let value = if self.entries.position(place) == IN_TREE {
            self.ranges.remove(&self.entries, place)
        } else if self.entries.range(place).is_single_key() {
            let removed = self.single_keys.remove(&mut self.entries, place);
            removed.map(|(value, _)| value)
        } else {
            self.prefixes.remove(&mut self.entries, place)
        };
        self.entries.remove(place);
        value
    }

    /// The range of an entry; `None` if it has been removed.
    #[must_use]
    pub fn range_of(&self, handle: Handle) -> Option<&KeyRange> {
        let place = self.entries.place_of(handle)?;
        Some(self.entries.range(place))
    }

    /// Appends the values of all entries whose range holds `key` to `found`, in no particular
    /// order. What `found` has already stays.
    pub fn find(&self, key: &[u8], found: &mut Vec<V>) {
        if !self.single_keys.is_empty() {
            self.single_keys.find(&self.entries, key, found);
        }
        if !self.prefixes.is_empty() {
            self.prefixes.find(&self.entries, key, found);
        }
        if !self.ranges.is_empty() {
            self.ranges.find(&self.entries, key, found);
        }
    }

    /// Appends the values of all entries whose range holds any of `keys` to `found`, each entry
    /// once, in no particular order. What `found` has already stays. The keys may be in any order
    /// and may repeat. Equal values of two entries are both appended.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::KeyRange;
    /// use rangewatch_bus::index::IntervalIndex;
    ///
    /// let mut index = IntervalIndex::new();
    /// index.insert(KeyRange::prefix("job/"), 1);
    /// index.insert(KeyRange::key("leader"), 2);
    ///
    /// let mut found = Vec::new();
    /// index.find_any(["job/2", "job/1", "leader"], &mut found);
    /// found.sort();
    /// assert_eq!(found, [1, 2]);
    /// ```
    pub fn find_any<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>, found: &mut Vec<V>) {
        let keys: SmallVec<[K; N_KEYS_INLINE]> = keys.into_iter().collect();
        let keys: SmallVec<[&[u8]; N_KEYS_INLINE]> = keys.iter().map(AsRef::as_ref).collect();
        self.find_any_of(&keys, found);
    }

    /// As [`find_any`](Self::find_any).
    pub(crate) fn find_any_of(&self, keys: &[&[u8]], found: &mut Vec<V>) {
        match keys {
            _ if self.is_empty() => {}
            [] => {}
            [key] => self.find(key, found),
            keys => {
                let keys = SortedKeys::new(keys);
                if !self.single_keys.is_empty() {
                    for key in keys.iter() {
                        self.single_keys.find(&self.entries, key, found);
                    }
                }
                self.prefixes.find_any(&self.entries, &keys, found);
                if !self.ranges.is_empty() {
                    self.ranges.find_any(&self.entries, &keys, found);
                }
            }
        }
    }

    /// The steps of all operations: the looks at ranges, nodes and tables.
    #[cfg(test)]
    pub(crate) fn n_steps(&self) -> usize {
        self.entries.n_steps()
    }
}

impl<V: Copy> Default for IntervalIndex<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> fmt::Debug for IntervalIndex<V> {
    /// Lists the ranges.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.iter()).finish()
    }
}
