//! An index of byte ranges: which of them hold a key?
//!
//! The bus finds subscriptions with an [`IntervalIndex`]. The index does not depend on the bus, and
//! holds values of any type.

#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::num::NonZeroU32;

use smallvec::SmallVec;

use crate::KeyRange;

/// The greatest number of keys of an emit or a lookup that are stored inline, without allocating.
pub(crate) const N_KEYS_INLINE: usize = 16;

/// A set of [`KeyRange`]s, each with a value, that finds the ranges that hold a key.
///
/// Ranges may overlap, nest and repeat. With n ranges and k of them found, a lookup takes O(min(n,
/// (k + 1) log n)) expected comparisons, an insertion and a removal take O(log n). A lookup of m
/// keys at once passes each entry at most once, with O(log m) comparisons: O(min(n, (k + m) log n)
/// log m), after the keys are sorted. The balance does not depend on the ranges: they cannot be
/// chosen so that operations degrade.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::KeyRange;
/// use rangewatch_bus::index::IntervalIndex;
///
/// let mut index = IntervalIndex::new();
/// let wide = index.insert(KeyRange::new("a", "z")?, "wide");
/// index.insert(KeyRange::new("c", "e")?, "narrow");
///
/// let mut found = Vec::new();
/// index.find(b"d", &mut found);
/// found.sort();
/// assert_eq!(found, ["narrow", "wide"]);
///
/// assert_eq!(index.remove(wide), Some("wide"));
/// assert_eq!(index.remove(wide), None);
/// # Ok::<(), rangewatch_bus::EmptyRangeError>(())
/// ```
// A treap: a search tree by (start, id) and a heap by random priority, which makes its shape that
// of a tree built in random order. Each node knows the greatest end in its subtree, which cuts off
// subtrees that end below the key.
pub struct IntervalIndex<V> {
    nodes: Vec<Option<Node<V>>>,
    free: Vec<Place>,
    root: Link,
    /// Ids are never reused, so a handle of a removed entry fits no other.
    next_id: u64,
    /// Makes priorities from ids that nobody outside can foresee.
    seed: u64,
    #[cfg(test)]
    pub(crate) n_comparisons: std::cell::Cell<usize>,
}

/// The place of a node, or `None` below the leaves.
type Link = Option<Place>;

/// The place of a node in `nodes`, counted from 1 so that a link takes four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place(NonZeroU32);

impl Place {
    fn new(index: usize) -> Self {
        let place = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(place.expect("four billion nodes take more memory than there is"))
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

struct Node<V> {
    range: KeyRange,
    value: V,
    id: u64,
    left: Link,
    right: Link,
    /// The node with the greatest end in the subtree of this one.
    greatest: Place,
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
    place: Place,
    id: u64,
}

impl<V> IntervalIndex<V> {
    /// Makes an empty index, which allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            root: None,
            next_id: 0,
            seed: RandomState::new().hash_one(0),
            #[cfg(test)]
            n_comparisons: std::cell::Cell::default(),
        }
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of entries that the index has memory for.
    pub(crate) fn n_places(&self) -> usize {
        self.nodes.len()
    }

    /// Adds an entry. Equal ranges and equal values are entries of their own.
    pub fn insert(&mut self, range: KeyRange, value: V) -> Handle {
        let id = self.next_id;
        self.next_id += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            push_tightly(&mut self.nodes, None);
            Place::new(self.nodes.len() - 1)
        });
        let (below, above) = self.split(self.root, range.start(), id);
        self.nodes[place.index()] = Some(Node {
            range,
            value,
            id,
            left: None,
            right: None,
            greatest: place,
        });
        let up_to_new = self.merge(below, Some(place));
        self.root = self.merge(up_to_new, above);
        Handle { place, id }
    }

    /// Removes an entry and returns its value; `None` if it has been removed before.
    pub fn remove(&mut self, handle: Handle) -> Option<V> {
        let (range, _) = self.get(handle)?;
        let range = range.clone();
        let (below, from_it) = self.split(self.root, range.start(), handle.id);
        let (_it, above) = self.split(from_it, range.start(), handle.id + 1);
        self.root = self.merge(below, above);
        let removed = self.nodes[handle.place.index()].take();
        self.free.push(handle.place);
        if self.is_empty() {
            // Ids are not reused, so old handles stay invalid although places are.
            self.nodes = Vec::new();
            self.free = Vec::new();
        }
        removed.map(|node| node.value)
    }

    /// The range and the value of an entry; `None` if it has been removed.
    #[must_use]
    pub fn get(&self, handle: Handle) -> Option<(&KeyRange, &V)> {
        let node = self.nodes.get(handle.place.index())?.as_ref()?;
        (node.id == handle.id).then_some((&node.range, &node.value))
    }

    /// Appends the values of all entries whose range holds `key` to `found`, in no particular
    /// order.
    pub fn find(&self, key: &[u8], found: &mut Vec<V>)
    where
        V: Clone,
    {
        self.visit(key, |value| found.push(value.clone()));
    }

    /// Appends the values of all entries whose range holds any of `keys` to `found`, each entry
    /// once, in no particular order.
    ///
    /// Equal values of two entries are both appended.
    pub fn find_any<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>, found: &mut Vec<V>)
    where
        V: Clone,
    {
        self.visit_any(keys, |value| found.push(value.clone()));
    }

    /// Calls `visit` with the value of each entry whose range holds `key`, in no particular order.
    pub fn visit(&self, key: &[u8], visit: impl FnMut(&V)) {
        self.visit_any_sorted(&[key], visit);
    }

    /// Calls `visit` with the value of each entry whose range holds any of `keys`, once per entry,
    /// in no particular order.
    pub fn visit_any<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        visit: impl FnMut(&V),
    ) {
        let keys: SmallVec<[K; N_KEYS_INLINE]> = keys.into_iter().collect();
        let mut keys: SmallVec<[&[u8]; N_KEYS_INLINE]> = keys.iter().map(AsRef::as_ref).collect();
        keys.sort_unstable();
        self.visit_any_sorted(&keys, visit);
    }

    /// Like [`visit_any`](Self::visit_any), of keys in ascending order, which may repeat. Allocates
    /// nothing.
    pub(crate) fn visit_any_sorted(&self, keys: &[&[u8]], mut visit: impl FnMut(&V)) {
        debug_assert!(keys.is_sorted(), "the lookup relies on the order");
        if let (Some(root), false) = (self.root, keys.is_empty()) {
            self.visit_under(root, keys, false, &mut visit);
        }
    }

    /// Visits the entries, in the subtree of `place`, whose range holds any of the sorted `keys`;
    /// all of those have started if it is known that each range in the subtree starts at or below
    /// the least key.
    ///
    /// The least key alone decides: a lookup of nothing but it would enter the subtree as well. So
    /// the lookup of many keys passes no node that the lookups of each would not.
    fn visit_under(
        &self,
        place: Place,
        keys: &[&[u8]],
        have_started: bool,
        visit: &mut impl FnMut(&V),
    ) {
        let Some(least) = keys.first() else {
            return;
        };
        let node = self.node(place);
        let greatest = if node.greatest == place {
            node
        } else {
            self.node(node.greatest)
        };
        if !self.ends_above(&greatest.range, least) {
            return;
        }
        // The keys below the start lie in neither this range nor one further right.
        let n_below = if have_started {
            0
        } else {
            keys.partition_point(|key| {
                self.count_comparison();
                *key < node.range.start()
            })
        };
        if let Some(left) = node.left {
            // What is further left starts no later than this.
            self.visit_under(left, keys, n_below == 0, visit);
        }
        let keys = &keys[n_below..];
        if let Some(least) = keys.first() {
            // The greatest end was compared with the least of all keys above.
            let is_known_to_end_above = n_below == 0 && node.greatest == place;
            if is_known_to_end_above || self.ends_above(&node.range, least) {
                visit(&node.value);
            }
            if let Some(right) = node.right {
                self.visit_under(right, keys, have_started, visit);
            }
        }
    }

    fn ends_above(&self, range: &KeyRange, key: &[u8]) -> bool {
        self.count_comparison();
        range.ends_above(key)
    }

    /// Counts a comparison of a key with a bound, for the tests of what a lookup costs.
    fn count_comparison(&self) {
        #[cfg(test)]
        self.n_comparisons.set(self.n_comparisons.get() + 1);
    }

    /// Splits a tree into the entries below (start, id) and the others.
    fn split(&mut self, link: Link, start: &[u8], id: u64) -> (Link, Link) {
        let Some(place) = link else {
            return (None, None);
        };
        let node = self.node(place);
        if (node.range.start(), node.id) < (start, id) {
            let (below, above) = self.split(node.right, start, id);
            self.node_mut(place).right = below;
            self.update_greatest(place);
            (link, above)
        } else {
            let (below, above) = self.split(node.left, start, id);
            self.node_mut(place).left = above;
            self.update_greatest(place);
            (below, link)
        }
    }

    /// Joins two trees, all entries of the first being below all of the second.
    fn merge(&mut self, below: Link, above: Link) -> Link {
        let (Some(low), Some(high)) = (below, above) else {
            return below.or(above);
        };
        if self.priority(low) > self.priority(high) {
            self.node_mut(low).right = self.merge(self.node(low).right, above);
            self.update_greatest(low);
            below
        } else {
            self.node_mut(high).left = self.merge(below, self.node(high).left);
            self.update_greatest(high);
            above
        }
    }

    /// Restores `greatest` of a node whose children have theirs right.
    fn update_greatest(&mut self, place: Place) {
        let node = self.node(place);
        let mut greatest = place;
        for child in [node.left, node.right].into_iter().flatten() {
            let candidate = self.node(child).greatest;
            let (new, old) = (&self.node(candidate).range, &self.node(greatest).range);
            if new.ends_above_end(old) {
                greatest = candidate;
            }
        }
        self.node_mut(place).greatest = greatest;
    }

    /// What a node is ordered by in the heap: its id, mixed beyond recognition without the seed.
    ///
    /// Source: the finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
    /// generators).
    fn priority(&self, place: Place) -> u64 {
        let mut mixed = self.node(place).id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn node(&self, place: Place) -> &Node<V> {
        self.nodes[place.index()]
            .as_ref()
            .expect("links lead to occupied places only")
    }

    fn node_mut(&mut self, place: Place) -> &mut Node<V> {
        self.nodes[place.index()]
            .as_mut()
            .expect("links lead to occupied places only")
    }
}

/// Adds an item to a vector that grows by a quarter, not to the double: what there is one of per
/// subscription should not be there twice.
pub(crate) fn push_tightly<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 4 + 4);
    }
    items.push(item);
}

impl<V> Default for IntervalIndex<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: fmt::Debug> fmt::Debug for IntervalIndex<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.nodes
                    .iter()
                    .flatten()
                    .map(|node| (&node.range, &node.value)),
            )
            .finish()
    }
}
