//! What the nodes of the tree hold: entries of the index, or nodes.

use super::node::Node;
use crate::index::entries::{Entries, insert_tightly, split_tightly};

/// The items of a node, by their positions in the order of the ends.
pub(super) trait Items: Default {
    type Item: Bounded;

    /// The entry with the least start of an item.
    fn first(&self, position: usize) -> u32;

    /// An entry with the greatest end of an item.
    fn greatest(&self, position: usize) -> u32;

    fn insert(&mut self, position: usize, item: Self::Item);

    fn remove(&mut self, position: usize) -> Self::Item;

    /// Removes the items whose positions are marked, and returns them.
    fn split_off(&mut self, is_marked: &[bool]) -> Self;

    fn into_vec(self) -> Vec<Self::Item>;
}

/// An item with the entries that bound it.
pub(super) trait Bounded {
    fn first(&self) -> u32;
    fn greatest(&self) -> u32;
}

/// Entries of the index, as parallel vectors, so that a lookup copies the values as one block.
#[derive(Debug)]
pub(super) struct Leaf<V> {
    pub(super) entries: Vec<u32>,
    pub(super) values: Vec<V>,
}

/// The item of a leaf.
pub(super) struct Value<V> {
    pub(super) entry: u32,
    pub(super) value: V,
}

pub(super) type Children<V> = Vec<Child<V>>;

/// A node below another one. Its range goes from the least start below it to the greatest end.
#[derive(Debug)]
pub(super) struct Child<V> {
    first: u32,
    greatest: u32,
    pub(super) tree: Subtree<V>,
}

#[derive(Debug)]
pub(super) enum Subtree<V> {
    Leaf(Box<Node<Leaf<V>>>),
    Inner(Box<Node<Children<V>>>),
}

impl<V> Default for Leaf<V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<V> Items for Leaf<V> {
    type Item = Value<V>;

    #[inline]
    fn first(&self, position: usize) -> u32 {
        self.entries[position]
    }

    #[inline]
    fn greatest(&self, position: usize) -> u32 {
        self.entries[position]
    }

    fn insert(&mut self, position: usize, item: Value<V>) {
        insert_tightly(&mut self.entries, position, item.entry);
        insert_tightly(&mut self.values, position, item.value);
    }

    fn remove(&mut self, position: usize) -> Value<V> {
        Value {
            entry: self.entries.remove(position),
            value: self.values.remove(position),
        }
    }

    fn split_off(&mut self, is_marked: &[bool]) -> Self {
        Self {
            entries: split_tightly(&mut self.entries, is_marked),
            values: split_tightly(&mut self.values, is_marked),
        }
    }

    fn into_vec(self) -> Vec<Value<V>> {
        let items = self.entries.into_iter().zip(self.values);
        items.map(|(entry, value)| Value { entry, value }).collect()
    }
}

impl<V> Bounded for Value<V> {
    fn first(&self) -> u32 {
        self.entry
    }

    fn greatest(&self) -> u32 {
        self.entry
    }
}

impl<V> Items for Children<V> {
    type Item = Child<V>;

    #[inline]
    fn first(&self, position: usize) -> u32 {
        self[position].first
    }

    #[inline]
    fn greatest(&self, position: usize) -> u32 {
        self[position].greatest
    }

    fn insert(&mut self, position: usize, item: Child<V>) {
        insert_tightly(self, position, item);
    }

    fn remove(&mut self, position: usize) -> Child<V> {
        self.remove(position)
    }

    fn split_off(&mut self, is_marked: &[bool]) -> Self {
        split_tightly(self, is_marked)
    }

    fn into_vec(self) -> Self {
        self
    }
}

impl<V> Bounded for Child<V> {
    fn first(&self) -> u32 {
        self.first
    }

    fn greatest(&self) -> u32 {
        self.greatest
    }
}

impl<V> Child<V> {
    /// A child of at least one item.
    pub(super) fn new(tree: Subtree<V>) -> Self {
        let (first, greatest) = tree.extremes();
        Self {
            first,
            greatest,
            tree,
        }
    }

    /// Takes over the entries that bound the node.
    pub(super) fn take_extremes(&mut self) {
        (self.first, self.greatest) = self.tree.extremes();
    }

    /// As [`take_extremes`](Self::take_extremes). Returns false, and leaves the old ones, if their
    /// bounds are others.
    pub(super) fn update(&mut self, entries: &Entries) -> bool {
        let (first, greatest) = self.tree.extremes();
        let start = |entry| entries.range(entry).start();
        let end = |entry| entries.range(entry).end();
        let is_same = (first == self.first || start(first) == start(self.first))
            && (greatest == self.greatest || end(greatest) == end(self.greatest));
        if is_same {
            (self.first, self.greatest) = (first, greatest);
        }
        is_same
    }

    /// Whether the entries that bound the node are its own.
    #[cfg(test)]
    pub(super) fn is_current(&self) -> bool {
        self.tree.extremes() == (self.first, self.greatest)
    }
}

impl<V> Subtree<V> {
    pub(super) fn extremes(&self) -> (u32, u32) {
        match self {
            Self::Leaf(leaf) => leaf.extremes(),
            Self::Inner(inner) => inner.extremes(),
        }
    }

    /// The number of items of the node.
    pub(super) fn n_items(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Inner(inner) => inner.len(),
        }
    }
}
