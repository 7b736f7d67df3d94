//! Lookups in the tree.

use std::ops::Range;

use smallvec::SmallVec;

use super::codes::{Probe, Shared};
use super::items::{Children, Items, Leaf, Subtree};
use super::node::Node;
use crate::index::entries::Entries;
use crate::index::sorted_keys::SortedKeys;

impl<V: Copy> Subtree<V> {
    /// Appends the values of the entries whose range holds `key` to `found`. `shared` is what the
    /// node above knows of the key.
    pub(super) fn find(&self, key: &[u8], shared: Shared, entries: &Entries, found: &mut Vec<V>) {
        match self {
            Self::Leaf(leaf) => leaf.find(key, shared, entries, found),
            Self::Inner(inner) => inner.find(key, shared, entries, found),
        }
    }

    /// Appends the values of the entries whose range holds any of `keys` to `found`, each once.
    pub(super) fn find_any(&self, keys: &SortedKeys<'_>, entries: &Entries, found: &mut Vec<V>) {
        let root = Visit {
            tree: self,
            places: 0..keys.len(),
            shared: Shared::AtLeast(0),
        };
        find_any(&[root], keys, entries, found);
    }
}

/// So few ranges are compared with the key itself, which is faster than codes.
const FEW: usize = 2;

/// A key as a node sees it, from which at least one item has started.
struct Seen {
    shared: Shared,
    /// How many items start at or below the key.
    n_started: usize,
    /// How many items end above it.
    n_ending_above: usize,
    /// How many do both: they hold the key.
    n_held: usize,
}

impl<I: Items> Node<I> {
    /// Looks at a key; `None` if no more than `n_done` items start at or below it.
    #[inline]
    fn see(&self, key: &[u8], n_done: usize, shared: Shared, entries: &Entries) -> Option<Seen> {
        entries.count_step();
        let Probe { head, shared } = self.bounds.probe(key, shared)?;
        let n_started = self.n_started(head, key, entries);
        if n_started <= n_done {
            return None;
        }
        let n_ending_above = self.n_ending_above(head, key, entries);
        Some(Seen {
            shared,
            n_started,
            n_ending_above,
            // What starts above the key ends above it, too.
            n_held: n_ending_above + n_started - self.len(),
        })
    }

    /// Calls `visit` with the positions of the items that hold a key, of those from the rank
    /// `n_done` on. Ranges that hold a key mostly start close to it, so the last starts are looked
    /// at first.
    #[inline]
    fn visit_held(&self, seen: &Seen, n_done: usize, mut visit: impl FnMut(usize)) {
        let mut n_left = seen.n_held;
        for &position in self.bounds.positions(n_done..seen.n_started).iter().rev() {
            if n_left == 0 {
                break;
            }
            let position = usize::from(position);
            if position < seen.n_ending_above {
                n_left -= 1;
                visit(position);
            }
        }
    }
}

impl<V: Copy> Node<Leaf<V>> {
    fn find(&self, key: &[u8], shared: Shared, entries: &Entries, found: &mut Vec<V>) {
        if self.len() <= FEW {
            entries.count_step();
            for (&entry, &value) in self.items.entries.iter().zip(&self.items.values) {
                if entries.range(entry).contains(key) {
                    found.push(value);
                }
            }
            return;
        }
        let Some(seen) = self.see(key, 0, shared, entries) else {
            return;
        };
        let values = &self.items.values;
        if seen.n_started == self.len() {
            found.extend_from_slice(&values[..seen.n_held]);
        } else {
            self.visit_held(&seen, 0, |position| found.push(values[position]));
        }
    }
}

impl<V: Copy> Node<Children<V>> {
    fn find(&self, key: &[u8], shared: Shared, entries: &Entries, found: &mut Vec<V>) {
        if let Some(seen) = self.see(key, 0, shared, entries) {
            self.visit_held(&seen, 0, |position| {
                self.items[position]
                    .tree
                    .find(key, seen.shared, entries, found);
            });
        }
    }
}

// The lookup of several keys. Of an item, the least key at or above its start decides: if the item
// ends above that key it holds it, and otherwise it ends below all later keys, too. So each item is
// looked at once, and the lookup passes no node that the lookups of each key would not pass.

/// A node that the lookup still has to pass.
struct Visit<'t, V> {
    tree: &'t Subtree<V>,
    /// The keys that may lie in ranges of the node, by their places in the order of the keys.
    places: Range<usize>,
    shared: Shared,
}

/// The most nodes that are passed together.
const MAX_VISITS: usize = 16;

/// Passes nodes of one depth, and then those below them that may hold keys.
fn find_any<V: Copy>(
    visits: &[Visit<'_, V>],
    keys: &SortedKeys<'_>,
    entries: &Entries,
    found: &mut Vec<V>,
) {
    // In a large index few nodes are in the cache. Read first, their waits for memory overlap.
    for visit in visits {
        match visit.tree {
            Subtree::Leaf(leaf) => leaf.bounds.load(),
            Subtree::Inner(inner) => inner.bounds.load(),
        }
    }
    let mut below = SmallVec::<[Visit<'_, V>; MAX_VISITS]>::new();
    for visit in visits {
        let places = visit.places.clone();
        match visit.tree {
            Subtree::Leaf(leaf) => leaf.find_any(keys, places, visit.shared, entries, found),
            Subtree::Inner(inner) => {
                inner.visit_any(keys, places, visit.shared, entries, |visit| {
                    if below.len() == MAX_VISITS {
                        find_any(&below, keys, entries, found);
                        below.clear();
                    }
                    below.push(visit);
                });
            }
        }
    }
    if !below.is_empty() {
        find_any(&below, keys, entries, found);
    }
}

impl<I: Items> Node<I> {
    /// Takes keys from `left` until one lies above more than `n_done` starts. Returns its place in
    /// the order of the keys.
    fn next_key(
        &self,
        n_done: usize,
        keys: &SortedKeys<'_>,
        left: &mut Range<usize>,
        shared: Shared,
        entries: &Entries,
    ) -> Option<(usize, Seen)> {
        if n_done == self.len() {
            return None;
        }
        left.find_map(|place| {
            let seen = self.see(keys.get(place), n_done, shared, entries)?;
            Some((place, seen))
        })
    }
}

impl<V: Copy> Node<Leaf<V>> {
    fn find_any(
        &self,
        keys: &SortedKeys<'_>,
        mut places: Range<usize>,
        shared: Shared,
        entries: &Entries,
        found: &mut Vec<V>,
    ) {
        if places.len() == 1 {
            self.find(keys.get(places.start), shared, entries, found);
            return;
        }
        let mut n_done = 0;
        while let Some((_, seen)) = self.next_key(n_done, keys, &mut places, shared, entries) {
            self.visit_held(&seen, n_done, |position| {
                found.push(self.items.values[position])
            });
            n_done = seen.n_started;
        }
    }
}

impl<V: Copy> Node<Children<V>> {
    /// Calls `visit` with the children that may hold the keys.
    #[inline]
    fn visit_any<'t>(
        &'t self,
        keys: &SortedKeys<'_>,
        places: Range<usize>,
        shared: Shared,
        entries: &Entries,
        mut visit: impl FnMut(Visit<'t, V>),
    ) {
        let mut n_done = 0;
        let mut left = places.clone();
        let mut next = self.next_key(n_done, keys, &mut left, shared, entries);
        while let Some((place, seen)) = next {
            let first_rank = n_done;
            n_done = seen.n_started;
            next = self.next_key(n_done, keys, &mut left, shared, entries);
            // Later keys may lie among the starts below the last child that has started. The first
            // key above all of them decides for what starts in between, if the child ends above it.
            let last = self.bounds.position(n_done - 1);
            let end = match &next {
                Some((end, seen)) => end + usize::from(last < seen.n_ending_above),
                None => places.end,
            };
            self.visit_held(&seen, first_rank, |position| {
                let tree = &self.items[position].tree;
                let (places, shared) = if position == last && end > place + 1 {
                    (place..end, Shared::AtLeast(0))
                } else {
                    (place..place + 1, seen.shared)
                };
                visit(Visit {
                    tree,
                    places,
                    shared,
                });
            });
        }
    }
}
