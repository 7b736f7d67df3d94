//! General ranges: a tree that is ordered by starts and knows the ends.

mod bounds;
mod code_list;
mod codes;
#[cfg(test)]
mod invariants;
mod items;
mod lookup;
mod node;

use items::{Child, Children, Subtree, Value};
use node::{MAX_MERGED, MIN_ITEMS, Node};

use super::entries::Entries;
use super::sorted_keys::SortedKeys;
use codes::Shared;

/// The general ranges of an index.
pub(super) struct RangeTree<V> {
    root: Option<Subtree<V>>,
}

impl<V: Copy> RangeTree<V> {
    pub(super) const fn new() -> Self {
        Self { root: None }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// Adds an entry with its value.
    pub(super) fn insert(&mut self, entries: &Entries, entry: u32, value: V) {
        let root = self.root.get_or_insert_with(Subtree::new);
        if let Some(second) = root.insert(entry, value, entries) {
            let first = std::mem::replace(root, Subtree::new());
            let mut inner = Node::<Children<V>>::default();
            inner.insert(0, Child::new(first), entries);
            inner.insert(1, Child::new(second), entries);
            *root = Subtree::Inner(Box::new(inner));
        }
    }

    /// Removes an entry and returns its value; `None` if it is not here.
    pub(super) fn remove(&mut self, entries: &Entries, entry: u32) -> Option<V> {
        let root = self.root.as_mut()?;
        let value = root.remove(entry, entries);
        while let Subtree::Inner(inner) = root
            && inner.len() == 1
            && let Some(only) = inner.items.pop()
        {
            *root = only.tree;
        }
        self.root.take_if(|root| root.n_items() == 0);
        value
    }

    /// Appends the values of the ranges that hold `key` to `found`.
    pub(super) fn find(&self, entries: &Entries, key: &[u8], found: &mut Vec<V>) {
        if let Some(root) = &self.root {
            root.find(key, Shared::AtLeast(0), entries, found);
        }
    }

    /// Appends the values of the ranges that hold any of `keys` to `found`, each once.
    pub(super) fn find_any(&self, entries: &Entries, keys: &SortedKeys<'_>, found: &mut Vec<V>) {
        if let Some(root) = &self.root {
            root.find_any(keys, entries, found);
        }
    }
}

impl<V: Copy> Subtree<V> {
    /// A leaf without items.
    fn new() -> Self {
        Self::Leaf(Box::default())
    }

    /// Adds an entry. Returns the second half of the node if it was split.
    fn insert(&mut self, entry: u32, value: V, entries: &Entries) -> Option<Self> {
        match self {
            Self::Leaf(leaf) => {
                let rank = leaf.n_before(entry, entries);
                leaf.insert(rank, Value { entry, value }, entries);
                let second = leaf.split(rank, entries)?;
                Some(Self::Leaf(Box::new(second)))
            }
            Self::Inner(inner) => {
                // What starts before all children belongs to the first one.
                let rank = inner.n_before(entry, entries).saturating_sub(1);
                let child = inner.child_mut(rank);
                let second = child.tree.insert(entry, value, entries);
                inner.update(rank, entries);
                inner.insert(rank + 1, Child::new(second?), entries);
                let second = inner.split(if rank == 0 { 0 } else { rank + 1 }, entries)?;
                Some(Self::Inner(Box::new(second)))
            }
        }
    }

    /// Removes an entry and returns its value.
    fn remove(&mut self, entry: u32, entries: &Entries) -> Option<V> {
        match self {
            Self::Leaf(leaf) => {
                let rank = leaf.n_before(entry, entries);
                let is_here = rank < leaf.len() && leaf.first(rank) == entry;
                is_here.then(|| leaf.remove(rank, entries).value)
            }
            Self::Inner(inner) => {
                let n_before = inner.n_before(entry, entries);
                // It may be the first one below a child.
                let is_first = n_before < inner.len() && inner.first(n_before) == entry;
                let rank = if is_first {
                    n_before
                } else {
                    n_before.checked_sub(1)?
                };
                let tree = &mut inner.child_mut(rank).tree;
                let value = tree.remove(entry, entries)?;
                match tree.n_items() {
                    0 => drop(inner.remove(rank, entries)),
                    n => {
                        inner.update(rank, entries);
                        if n < MIN_ITEMS {
                            inner.merge(rank, entries);
                        }
                    }
                }
                Some(value)
            }
        }
    }

    /// Adds the items of `other`, a node of the same height, which all start behind those of this
    /// one.
    fn append(&mut self, other: Self, entries: &Entries) {
        match (self, other) {
            (Self::Leaf(leaf), Self::Leaf(other)) => leaf.append(*other, entries),
            (Self::Inner(inner), Self::Inner(other)) => inner.append(*other, entries),
            (Self::Leaf(_), Self::Inner(_)) | (Self::Inner(_), Self::Leaf(_)) => {
                debug_assert!(false, "all leaves are at one depth");
            }
        }
    }
}

impl<V: Copy> Node<Children<V>> {
    fn child_mut(&mut self, rank: usize) -> &mut Child<V> {
        &mut self.items[self.bounds.position(rank)]
    }

    /// Restores the bounds of a child after its node was changed.
    fn update(&mut self, rank: usize, entries: &Entries) {
        if self.child_mut(rank).update(entries) {
            return;
        }
        let (first, greatest) = self.child_mut(rank).tree.extremes();
        let (start, range) = (entries.range(first).start(), entries.range(greatest));
        // Mostly it stays between the children beside it.
        if self.bounds.replace(rank, start, range) {
            self.child_mut(rank).take_extremes();
            self.encode_better(rank, entries);
        } else {
            self.replace(rank, entries, |child| Child::new(child.tree));
        }
    }

    /// Merges a child with one beside it, if both together are small enough.
    fn merge(&mut self, rank: usize, entries: &Entries) {
        let n_items = |rank| self.items[self.bounds.position(rank)].tree.n_items();
        let fits = |first: &usize| {
            first + 1 < self.len() && n_items(*first) + n_items(first + 1) <= MAX_MERGED
        };
        let pairs = [Some(rank), rank.checked_sub(1)];
        if let Some(first) = pairs.into_iter().flatten().find(fits) {
            let second = self.remove(first + 1, entries).tree;
            self.child_mut(first).tree.append(second, entries);
            self.update(first, entries);
        }
    }
}
