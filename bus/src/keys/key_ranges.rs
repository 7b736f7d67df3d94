//! The normalized form of the selectors of a subscription.

use rangemap::RangeSet;
use smallvec::SmallVec;

use super::key_range::Bound;
use crate::emit::Record;
use crate::{EmptyRangeError, KeyRange, Selectors};

/// The ranges of a subscription: disjoint, not adjacent, in ascending order.
///
/// A key lies in at most one of them. One range, the common case, is stored
/// inline.
#[derive(Clone, Debug)]
pub(crate) struct KeyRanges(SmallVec<[KeyRange; 1]>);

impl KeyRanges {
    /// The ranges that together hold exactly the keys that the selectors select.
    pub(crate) fn normalize(selectors: &Selectors) -> Result<Self, EmptyRangeError> {
        if let [selector] = selectors.as_slice() {
            return Ok(Self(SmallVec::from([KeyRange::try_from(selector)?])));
        }
        let mut set = RangeSet::new();
        for selector in selectors {
            set.insert(KeyRange::try_from(selector)?.to_bounds());
        }
        Ok(Self::from_set(&set))
    }

    /// The ranges that together hold exactly the keys that `ranges` hold.
    pub(crate) fn union(ranges: impl Iterator<Item = KeyRange>) -> Self {
        Self::from_set(&ranges.map(|range| range.to_bounds()).collect())
    }

    /// The ranges that hold the keys of both.
    pub(crate) fn with(&self, added: &Self) -> Self {
        let mut set = self.to_set();
        for range in added.iter() {
            set.insert(range.to_bounds());
        }
        Self::from_set(&set)
    }

    /// The ranges that hold the keys of this, but not of `removed`.
    pub(crate) fn without(&self, removed: &Self) -> Self {
        let mut set = self.to_set();
        for range in removed.iter() {
            set.remove(range.to_bounds());
        }
        Self::from_set(&set)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, KeyRange> {
        self.0.iter()
    }

    /// Whether one of the ranges holds `key`: a binary search.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let n_started = self.0.partition_point(|range| range.start() <= key);
        self.0[..n_started]
            .last()
            .is_some_and(|range| range.ends_above(key))
    }

    /// Whether one of the ranges holds one of the keys of `emit`.
    pub(crate) fn match_any<P>(&self, emit: &Record<P>) -> bool {
        emit.keys().any(|key| self.contains(key))
    }

    fn to_set(&self) -> RangeSet<Bound> {
        self.0.iter().map(KeyRange::to_bounds).collect()
    }

    fn from_set(set: &RangeSet<Bound>) -> Self {
        Self(set.iter().filter_map(KeyRange::from_bounds).collect())
    }
}

impl IntoIterator for KeyRanges {
    type Item = KeyRange;
    type IntoIter = smallvec::IntoIter<[KeyRange; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<KeyRange> for KeyRanges {
    /// Takes ranges that are disjoint and in ascending order.
    fn from_iter<I: IntoIterator<Item = KeyRange>>(ranges: I) -> Self {
        Self(ranges.into_iter().collect())
    }
}
