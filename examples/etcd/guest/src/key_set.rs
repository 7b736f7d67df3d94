//! A set of key ranges.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use crate::records::KeyRange;

/// A union of key ranges, kept as ranges that do not overlap.
#[derive(Debug, Default)]
pub(crate) struct KeySet<'k> {
    /// The end of each range by its first key; no end is none.
    ranges: BTreeMap<&'k [u8], Option<Cow<'k, [u8]>>>,
}

impl<'k> KeySet<'k> {
    /// Adds the keys of a range. Source: where the end is not after the first key, etcd 3.4 counts
    /// the first key, which the request does not delete.
    ///
    /// DIFFERENCE: a range without an end has all keys after the first one. In etcd 3.4 it counts
    /// as its first key only, although all of them are deleted.
    pub(crate) fn insert(&mut self, keys: KeyRange<'k>) {
        let (from, to) = match keys {
            KeyRange::From(from, None) => (from, None),
            KeyRange::From(from, Some(to)) if from < to => (from, Some(Cow::Borrowed(to))),
            KeyRange::One(key) | KeyRange::From(key, _) => {
                (key, Some(Cow::Owned([key, &[0]].concat())))
            }
        };
        self.insert_range(from, to);
    }

    fn insert_range(&mut self, mut from: &'k [u8], mut to: Option<Cow<'k, [u8]>>) {
        // The ranges that overlap are the last ones that begin before the end.
        loop {
            let before = to.as_deref().map_or(Unbounded, Excluded);
            let mut ranges = self.ranges.range::<[u8], _>((Unbounded, before));
            let Some((&first, end)) = ranges.next_back() else {
                break;
            };
            if end.as_ref().is_some_and(|end| end.as_ref() < from) {
                break;
            }
            let end = self.ranges.remove(first).expect("it was found above");
            from = from.min(first);
            to = to.zip(end).map(|(a, b)| a.max(b));
        }
        self.ranges.insert(from, to);
    }

    /// Adds the keys of another set.
    pub(crate) fn extend(&mut self, other: Self) {
        for (from, to) in other.ranges {
            self.insert_range(from, to);
        }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let mut ranges = self.ranges.range::<[u8], _>((Unbounded, Included(key)));
        let last = ranges.next_back();
        last.is_some_and(|(_, to)| to.as_ref().is_none_or(|to| key < to.as_ref()))
    }
}
