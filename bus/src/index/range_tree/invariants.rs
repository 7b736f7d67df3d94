//! The invariants of the tree, for tests.

use super::RangeTree;
use super::items::{Items, Subtree};
use super::node::{MAX_ITEMS, Node};
use crate::KeyRange;
use crate::index::entries::Entries;

impl<V: Copy> RangeTree<V> {
    /// Panics unless the invariants hold.
    pub(in crate::index) fn check(&self, entries: &Entries) {
        if let Some(root) = &self.root {
            root.check(entries);
        }
    }
}

impl<V: Copy> Subtree<V> {
    fn check(&self, entries: &Entries) {
        match self {
            Self::Leaf(leaf) => leaf.check(entries),
            Self::Inner(inner) => {
                inner.check(entries);
                for child in &inner.items {
                    assert!(child.is_current());
                    assert_eq!(child.tree.height() + 1, self.height());
                    child.tree.check(entries);
                }
                for rank in 1..inner.len() {
                    let before = &inner.items[inner.bounds.position(rank - 1)].tree;
                    let last = entries.range(before.last()).start();
                    let first = entries.range(inner.first(rank)).start();
                    assert!((last, before.last()) < (first, inner.first(rank)));
                }
            }
        }
    }

    fn height(&self) -> usize {
        match self {
            Self::Leaf(_) => 1,
            Self::Inner(inner) => 1 + inner.items[0].tree.height(),
        }
    }

    /// The entry with the greatest start.
    fn last(&self) -> u32 {
        match self {
            Self::Leaf(leaf) => leaf.first(leaf.len() - 1),
            Self::Inner(inner) => {
                let last = inner.bounds.position(inner.len() - 1);
                inner.items[last].tree.last()
            }
        }
    }
}

impl<I: Items> Node<I> {
    fn check(&self, entries: &Entries) {
        assert!((1..=MAX_ITEMS).contains(&self.len()));
        let start = |rank| (entries.range(self.first(rank)).start(), self.first(rank));
        let end = |position| entries.range(self.items.greatest(position));
        for i in 1..self.len() {
            assert!(start(i - 1) < start(i));
            assert!(!end(i).ends_above_end(end(i - 1)));
        }
        let range = |position| -> &KeyRange { end(position) };
        let first = |position| entries.range(self.items.first(position)).start();
        self.bounds.check(first, range);
    }
}
