//! The normalized form of the selectors of a subscription.

use rangemap::RangeSet;
use smallvec::SmallVec;

use crate::{EmptyRangeError, KeyRange, Selectors};

/// Disjoint ranges in ascending order that neither overlap nor touch: what a subscription watches.
///
/// Being disjoint makes a key lie in at most one of them. One range, the common case, is stored
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
            set.insert(KeyRange::try_from(selector)?.into_bounds());
        }
        Ok(Self(
            set.into_iter().filter_map(KeyRange::from_bounds).collect(),
        ))
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, KeyRange> {
        self.0.iter()
    }

    /// Whether one of the ranges holds `key`: a binary search.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let n_started = self.0.partition_point(|range| range.start() <= key);
        self.0[..n_started]
            .last()
            .is_some_and(|range| range.end_bound().is_above(key))
    }
}
