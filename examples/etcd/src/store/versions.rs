//! A map that keeps what each commit has written, so that readers of one commit see no later one.

use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::{Bound, RangeInclusive};
use std::{mem, vec};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Order, Query, Writes};

/// Keys that a range reads first, and at most, at a time. Meanwhile no commit can write to the map.
const N_AHEAD: RangeInclusive<usize> = 8..=128;

/// The writes of the commits since a flush. None is removed: a log has room for as many.
#[derive(Debug, Default)]
pub(super) struct Versions(RwLock<BTreeMap<Bytes, Versioned>>);

/// What commits have written to a key.
#[derive(Debug)]
struct Versioned {
    last: Version,
    /// Oldest first.
    earlier: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    /// The number of the commit.
    commit: u64,
    /// `None`: the key was deleted.
    value: Option<Bytes>,
}

impl Versions {
    /// Adds the writes of a commit, which comes after those that are there.
    pub(super) fn insert(&self, commit: u64, writes: &Writes) {
        let mut map = self.0.write();
        for (key, value) in writes {
            let value = value.clone();
            let version = Version { commit, value };
            match map.entry(key.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(Versioned {
                        last: version,
                        earlier: Vec::new(),
                    });
                }
                Entry::Occupied(mut entry) => {
                    let Versioned { last, earlier } = entry.get_mut();
                    earlier.push(mem::replace(last, version));
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// What a key had after a commit: `None` if none up to it has written to the key.
    pub(super) fn get(&self, key: &[u8], commit: u64) -> Option<Option<Bytes>> {
        let map = self.0.read();
        let version = map.get(key)?.version(commit)?;
        Some(version.value.clone())
    }

    /// What the keys of a range had after a commit, without those that none up to it has written
    /// to.
    pub(super) fn range<'a>(&'a self, query: Query<'a>, commit: u64) -> Range<'a> {
        Range {
            versions: self,
            query,
            commit,
            last_read: None,
            n_ahead: *N_AHEAD.start(),
            is_at_end: false,
            ahead: Vec::new().into_iter(),
        }
    }

    /// Reads what each key has after all commits, in the order of the keys.
    pub(super) fn read_last<R>(
        &self,
        read: impl for<'w> FnOnce(&mut dyn Iterator<Item = (&'w Bytes, &'w Option<Bytes>)>) -> R,
    ) -> R {
        let map = self.0.read();
        read(
            &mut map
                .iter()
                .map(|(key, versioned)| (key, &versioned.last.value)),
        )
    }
}

impl Versioned {
    /// The last version up to a commit.
    fn version(&self, commit: u64) -> Option<&Version> {
        if self.last.commit <= commit {
            return Some(&self.last);
        }
        let n_seen = self
            .earlier
            .partition_point(|version| version.commit <= commit);
        self.earlier[..n_seen].last()
    }
}

/// [`Versions::range`].
pub(super) struct Range<'a> {
    versions: &'a Versions,
    query: Query<'a>,
    commit: u64,
    /// The last key that was read from the map.
    last_read: Option<Bytes>,
    /// The keys that are read next.
    n_ahead: usize,
    is_at_end: bool,
    /// What was read and comes next.
    ahead: vec::IntoIter<(Bytes, Option<Bytes>)>,
}

impl Iterator for Range<'_> {
    type Item = (Bytes, Option<Bytes>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ahead.next() {
                return Some(entry);
            } else if self.is_at_end {
                return None;
            }
            self.ahead = self.read_on().into_iter();
        }
    }
}

impl Range<'_> {
    fn read_on(&mut self) -> Vec<(Bytes, Option<Bytes>)> {
        let order = self.query.order;
        let (from, to) = self.query.bounds();
        let rest = match (&self.last_read, order) {
            (None, _) => (from, to),
            (Some(key), Order::Ascending) => (Bound::Excluded(&key[..]), to),
            (Some(key), Order::Descending) => (from, Bound::Excluded(&key[..])),
        };
        let mut ahead = Vec::with_capacity(self.n_ahead);
        let map = self.versions.0.read();
        let mut rest = map.range::<[u8], _>(rest);
        for nth in 1..=self.n_ahead {
            let next = match order {
                Order::Ascending => rest.next(),
                Order::Descending => rest.next_back(),
            };
            let Some((key, versioned)) = next else {
                self.is_at_end = true;
                break;
            };
            if let Some(version) = versioned.version(self.commit) {
                // Copied, as readers that count references to the same bytes wait for each other.
                let key = Bytes::copy_from_slice(key);
                ahead.push((key, self.query.value(version.value.as_ref())));
            }
            if nth == self.n_ahead {
                self.last_read = Some(key.clone());
            }
        }
        self.n_ahead = (2 * self.n_ahead).min(*N_AHEAD.end());
        ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_shows_one_commit_while_later_ones_are_added() {
        let versions = Versions::default();
        let key = |n: u64| Bytes::copy_from_slice(&n.to_be_bytes());
        let n_keys = 3 * *N_AHEAD.end() as u64;
        let [first, third] = ["first", "third"].map(|value| Some(Bytes::from(value)));
        for (commit, value) in [(1, &first), (3, &third)] {
            let writes = (0..n_keys).map(|n| (key(n), value.clone()));
            versions.insert(commit, &writes.collect());
        }
        let mut last = 3;
        for (commit, seen) in [
            (0, None),
            (1, Some(&first)),
            (2, Some(&first)),
            (3, Some(&third)),
        ] {
            for order in [Order::Ascending, Order::Descending] {
                let mut read = Vec::new();
                let query = Query {
                    order,
                    ..Query::new(&[], None)
                };
                for entry in versions.range(query, commit) {
                    read.push(entry);
                    last += 1;
                    versions.insert(last, &Writes::from([(key(last), None)]));
                }
                if order == Order::Descending {
                    read.reverse();
                }
                let expected = (0..n_keys).filter_map(|n| Some((key(n), seen?.clone())));
                assert_eq!(
                    read,
                    Vec::from_iter(expected),
                    "{order:?} after commit {commit}"
                );
            }
        }
    }
}
