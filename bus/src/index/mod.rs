//! An index of byte ranges: which of them hold a key?
//!
//! The bus finds subscriptions with an [`IntervalIndex`]. The index does not depend on the bus, and
//! holds values of any type that can be copied: mostly ids.
//!
//! # How it works
//!
//! A range is stored in the one of three structures that suits it. A lookup asks all three.
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
//! - **A single key** `[k, k + "\0")` is a key of a hash table. The hash is seeded, so that nobody
//!   can choose keys that collide.
//! - **A prefix** `[p, the next string after all that begin with p)` is a key of another hash
//!   table, which a lookup probes once for each length that prefixes have. That is done for up to
//!   4 lengths; prefixes of further lengths are general ranges.
//! - **A general range** `[a, b)` is an item of a B-tree that is ordered by the starts. Each node
//!   stores the bounds of its items twice: starts in ascending order, ends in descending order.
//!
//! ```text
//!   an inner node, and the key k           a leaf, and the key k
//!
//!   starts   a   f   m   s                 starts   f   g   i   k   l
//!                      k ▲                                     ▲ k: 3 have started
//!   3 children have started                ends     z   p   j   h   h
//!                                                           ▲ k: 2 end above it, and
//!   ends     z   p   l   g                                    2 of the 5 start above it,
//!                  ▲ k: 2 end above it                        so the 3 that have started
//!                                                             hold it 0 times
//! ```
//!
//! A range holds k if it has started and ends above k. Two binary searches in a node tell how many
//! do, without looking at one of them: all that have not started end above k, too. If all have
//! started, those that end above k are a block of the order of the ends, and are copied as one.
//! Below an inner node the lookup goes only to children with such an item, so it does not pay for
//! ranges that do not hold the key.
//!
//! The bounds in a node are numbers of eight bytes, or of sixteen where eight do not tell the
//! bounds apart. They are relative to what the ranges of the node begin with, so that a search
//! rarely reads the keys themselves.
//!
//! # Costs
//!
//! With n general ranges and k values found, [`find`](IntervalIndex::find) takes O(log n) steps and
//! at most O(log n) more for each of the k; mostly far fewer, because ranges that hold the same key
//! lie beside one another and are copied as a block. Single keys and prefixes add one probe of a
//! hash table each for the whole key and for each length, and one copy of all values.
//! [`find_any`](IntervalIndex::find_any) sorts its keys and looks at each entry at most once. An
//! insertion takes O(log n) steps, amortized, and so does a removal, whatever the ranges are. After
//! the first lookups of a thread, lookups of up to 16 keys allocate nothing but what the caller's
//! buffer needs.

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
pub(crate) use entries::push_tightly;
use key_table::KeyTable;
use prefixes::Prefixes;
use range_tree::RangeTree;
use sorted_keys::SortedKeys;

/// The greatest number of keys of an emit or a lookup that are stored inline, without allocating.
pub(crate) const N_KEYS_INLINE: usize = 16;

/// A set of [`KeyRange`]s, each with a value, that finds the ranges that hold a key.
///
/// Ranges may overlap, nest and repeat. The [module](self) says how the index works and what its
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
/// only with the index that returned it.
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

    /// Adds an entry. Equal ranges and equal values are entries of their own.
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
    ///
    /// The memory of its range and value is freed. The table of entries keeps its 16 bytes for the
    /// next entry, at least until the index is empty.
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
    pub fn get(&self, handle: Handle) -> Option<&KeyRange> {
        let place = self.entries.place_of(handle)?;
        Some(self.entries.range(place))
    }

    /// Appends the values of all entries whose range holds `key` to `found`, in no particular
    /// order.
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
    /// once, in no particular order. The keys may be in any order and may repeat.
    ///
    /// Equal values of two entries are both appended.
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
