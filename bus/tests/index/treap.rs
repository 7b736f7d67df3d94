//! The reference implementation for long histories: a treap, which is short and fast enough for
//! many thousands of ranges.

use std::cmp::Ordering;
use std::num::NonZeroU32;

use rangewatch_bus::KeyRange;

/// A set of ranges, each with a value, that finds the ranges that hold a key.
// A search tree by (start, id) and a heap by random priority, which makes its shape that of a tree
// built in random order. Each node knows the greatest end in its subtree, which cuts off subtrees
// that end below the key.
#[derive(Default)]
pub(crate) struct Treap {
    nodes: Vec<Option<Node>>,
    free: Vec<Place>,
    root: Link,
    /// Ids are never reused.
    next_id: u64,
}

/// The place of a node, or `None` below the leaves.
type Link = Option<Place>;

/// The place of a node in `nodes`, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(NonZeroU32);

impl Place {
    fn new(index: usize) -> Self {
        Self(u32::try_from(index + 1).unwrap().try_into().unwrap())
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

struct Node {
    range: KeyRange,
    value: u32,
    id: u64,
    left: Link,
    right: Link,
    /// The node with the greatest end in the subtree of this one.
    greatest: Place,
}

impl Treap {
    pub(crate) fn insert(&mut self, range: KeyRange, value: u32) -> Place {
        let id = self.next_id;
        self.next_id += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
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
        place
    }

    /// Removes a node that is in the tree and returns its value.
    pub(crate) fn remove(&mut self, place: Place) -> u32 {
        let (start, id) = (self.node(place).range.start().to_vec(), self.node(place).id);
        let (below, from_it) = self.split(self.root, &start, id);
        let (_it, above) = self.split(from_it, &start, id + 1);
        self.root = self.merge(below, above);
        self.free.push(place);
        self.nodes[place.index()].take().unwrap().value
    }

    /// The values of all ranges that hold any of `keys`, in ascending order.
    pub(crate) fn find_any(&self, keys: &[Vec<u8>]) -> Vec<u32> {
        let mut found = Vec::new();
        for key in keys {
            self.find_under(self.root, key, &mut found);
        }
        found.sort_unstable();
        // Values are not repeated in the histories.
        found.dedup();
        found
    }

    fn find_under(&self, link: Link, key: &[u8], found: &mut Vec<u32>) {
        let Some(node) = link.map(|place| self.node(place)) else {
            return;
        };
        let ends_above = |range: &KeyRange| range.end().is_none_or(|end| key < end);
        if !ends_above(&self.node(node.greatest).range) {
            return;
        }
        self.find_under(node.left, key, found);
        if node.range.start() <= key {
            if ends_above(&node.range) {
                found.push(node.value);
            }
            self.find_under(node.right, key, found);
        }
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
            if order_of_ends(new, old) == Ordering::Greater {
                greatest = candidate;
            }
        }
        self.node_mut(place).greatest = greatest;
    }

    /// What a node is ordered by in the heap: its id, mixed.
    ///
    /// Source: the finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
    /// generators).
    fn priority(&self, place: Place) -> u64 {
        let mut mixed = self.node(place).id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn node(&self, place: Place) -> &Node {
        self.nodes[place.index()]
            .as_ref()
            .expect("links lead to occupied places only")
    }

    fn node_mut(&mut self, place: Place) -> &mut Node {
        self.nodes[place.index()]
            .as_mut()
            .expect("links lead to occupied places only")
    }
}

fn order_of_ends(a: &KeyRange, b: &KeyRange) -> Ordering {
    match (a.end(), b.end()) {
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}
