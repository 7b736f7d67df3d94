//! An index of byte ranges: which of them hold a key?
//!
//! [`IntervalIndex`] is what the bus looks subscriptions up in. It stands on its own: it knows
//! nothing of buses, and indexes values of any type.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

use crate::KeyRange;

/// A set of [`KeyRange`]s, each with a value, that finds those which hold a key.
///
/// Ranges may overlap, nest and repeat. With n ranges and k of them found, a lookup takes O(min(n,
/// (k + 1) log n)) expected comparisons, an insertion and a removal take O(log n). The balance does
/// not depend on the ranges: they cannot be chosen so that operations degrade.
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
    free: Vec<usize>,
    root: Link,
    /// Ids are never reused, so a handle of a removed entry fits no other.
    next_id: u64,
    /// Makes priorities from ids that nobody outside can foresee.
    seed: RandomState,
}

/// The place of a node, or `None` below the leaves.
type Link = Option<usize>;

struct Node<V> {
    range: KeyRange,
    value: V,
    id: u64,
    priority: u64,
    left: Link,
    right: Link,
    /// The node with the greatest end in the subtree of this one.
    greatest: usize,
}

/// Names one entry of an [`IntervalIndex`], from [`insert`](IntervalIndex::insert) until it is
/// removed.
///
/// A handle whose entry has been removed names nothing, also after other entries were inserted. A
/// handle is meant for the index that made it; another index may give it an unrelated meaning, or
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    place: usize,
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
            seed: RandomState::new(),
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

    /// Adds an entry. Equal ranges and equal values are entries of their own.
    pub fn insert(&mut self, range: KeyRange, value: V) -> Handle {
        let id = self.next_id;
        self.next_id += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        let (below, above) = self.split(self.root, range.start(), id);
        let priority = self.seed.hash_one(id);
        self.nodes[place] = Some(Node {
            range,
            value,
            id,
            priority,
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
        let removed = self.nodes[handle.place].take();
        self.free.push(handle.place);
        if self.is_empty() {
            // No handle fits a later entry, because ids are not reused; so the places may begin
            // anew.
            self.nodes = Vec::new();
            self.free = Vec::new();
        }
        removed.map(|node| node.value)
    }

    /// The range and the value of an entry; `None` if it has been removed.
    #[must_use]
    pub fn get(&self, handle: Handle) -> Option<(&KeyRange, &V)> {
        let node = self.nodes.get(handle.place)?.as_ref()?;
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
    /// Entries are told apart, not values: equal values of two entries are both appended.
    pub fn find_any<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>, found: &mut Vec<V>)
    where
        V: Clone,
    {
        self.visit_any(keys, |value| found.push(value.clone()));
    }

    /// Calls `visit` with the value of each entry whose range holds `key`, in no particular order.
    pub fn visit(&self, key: &[u8], mut visit: impl FnMut(&V)) {
        self.visit_under(self.root, key, &mut |place| visit(&self.node(place).value));
    }

    /// Calls `visit` with the value of each entry whose range holds any of `keys`, once per entry,
    /// in no particular order.
    pub fn visit_any<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        mut visit: impl FnMut(&V),
    ) {
        let mut places = Vec::new();
        for key in keys {
            self.visit_under(self.root, key.as_ref(), &mut |place| places.push(place));
        }
        places.sort_unstable();
        places.dedup();
        places
            .into_iter()
            .for_each(|place| visit(&self.node(place).value));
    }

    /// Visits the places, in the subtree of `link`, of the entries whose range holds `key`.
    fn visit_under(&self, link: Link, key: &[u8], visit: &mut impl FnMut(usize)) {
        let Some(place) = link else { return };
        let node = self.node(place);
        if !self.ends_above(node.greatest, key) {
            return;
        }
        self.visit_under(node.left, key, visit);
        if node.range.start() <= key {
            if self.ends_above(place, key) {
                visit(place);
            }
            self.visit_under(node.right, key, visit);
        }
    }

    fn ends_above(&self, place: usize, key: &[u8]) -> bool {
        self.node(place).range.end_bound().is_above(key)
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
        if self.node(low).priority > self.node(high).priority {
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
    fn update_greatest(&mut self, place: usize) {
        let node = self.node(place);
        let mut greatest = place;
        for child in [node.left, node.right].into_iter().flatten() {
            let candidate = self.node(child).greatest;
            if self.node(candidate).range.end_bound() > self.node(greatest).range.end_bound() {
                greatest = candidate;
            }
        }
        self.node_mut(place).greatest = greatest;
    }

    fn node(&self, place: usize) -> &Node<V> {
        self.nodes[place]
            .as_ref()
            .expect("links lead to occupied places only")
    }

    fn node_mut(&mut self, place: usize) -> &mut Node<V> {
        self.nodes[place]
            .as_mut()
            .expect("links lead to occupied places only")
    }
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
