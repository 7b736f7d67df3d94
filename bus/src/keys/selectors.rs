//! None, one or several selectors.

use std::fmt;

use smallvec::SmallVec;

use super::KeyRanges;
use crate::{KeyRange, Selector};

/// None, one or several [`Selector`]s of a subscription.
///
/// [`subscribe`](crate::RangeWatchBus::subscribe) accepts anything that converts into this type:
/// one selector or range expression, or an array, a vector or a slice of them. Collect an iterator:
/// `selectors.collect::<Selectors>()`. Selectors may overlap, be adjacent or repeat; together they
/// select the union.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, Selector, Selectors};
///
/// let bus = RangeWatchBus::new();
/// let one = bus.subscribe("a".."m").wake()?;
/// let two = bus.subscribe([Selector::key("a"), Selector::prefix("job/")]).wake()?;
/// let keys = (0..10).map(|i| Selector::key(format!("k{i}")));
/// let many = bus.subscribe(keys.collect::<Selectors>()).wake()?;
/// let none = bus.subscribe(Selectors::new()).wake()?;
/// assert_eq!((one.selectors().len(), two.selectors().len()), (1, 2));
/// assert_eq!((many.selectors().len(), none.selectors().len()), (10, 0));
/// # Ok::<(), rangewatch_bus::SubscribeError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Selectors(SmallVec<[Selector; 1]>);

impl Selectors {
    /// No selectors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of selectors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The selectors, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Selector> {
        self.0.iter()
    }

    /// The selectors, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Selector] {
        &self.0
    }

    /// Whether any of the selectors selects `key`. Takes time linear in the number of selectors.
    #[must_use]
    pub fn matches(&self, key: &[u8]) -> bool {
        self.iter().any(|selector| selector.matches(key))
    }

    /// The ranges that hold exactly the selected keys: disjoint, not adjacent, in ascending order.
    /// For the scan of an ordered store, which then reads each key once. A range selector that
    /// holds no key has none.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use rangewatch_bus::{Selector, Selectors};
    ///
    /// let store = BTreeMap::from([(b"a".to_vec(), 1), (b"aa".to_vec(), 2), (b"b1".to_vec(), 3)]);
    /// let selectors = [Selector::prefix("b"), Selector::key("a"), Selector::range("b1", "c")];
    ///
    /// let ranges = Selectors::from(selectors).ranges();
    /// let found = ranges.iter().flat_map(|range| store.range::<[u8], _>(range.bounds()));
    /// assert!(found.map(|(_, value)| *value).eq([1, 3]));
    /// ```
    #[must_use]
    pub fn ranges(&self) -> Vec<KeyRange> {
        let ranges = self.iter().map(KeyRange::try_from).filter_map(Result::ok);
        KeyRanges::union(ranges).into_iter().collect()
    }
}

impl fmt::Debug for Selectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<S: Into<Selector>> From<S> for Selectors {
    fn from(selector: S) -> Self {
        Self::from_iter([selector])
    }
}

impl<S: Into<Selector>, const N: usize> From<[S; N]> for Selectors {
    fn from(selectors: [S; N]) -> Self {
        Self::from_iter(selectors)
    }
}

impl<S: Into<Selector> + Clone, const N: usize> From<&[S; N]> for Selectors {
    fn from(selectors: &[S; N]) -> Self {
        Self::from(selectors.as_slice())
    }
}

impl<S: Into<Selector>> From<Vec<S>> for Selectors {
    fn from(selectors: Vec<S>) -> Self {
        Self::from_iter(selectors)
    }
}

impl<S: Into<Selector> + Clone> From<&Vec<S>> for Selectors {
    fn from(selectors: &Vec<S>) -> Self {
        Self::from(selectors.as_slice())
    }
}

impl<S: Into<Selector> + Clone> From<&[S]> for Selectors {
    fn from(selectors: &[S]) -> Self {
        selectors.iter().cloned().collect()
    }
}

impl From<&Self> for Selectors {
    fn from(selectors: &Self) -> Self {
        selectors.clone()
    }
}

impl<S: Into<Selector>> FromIterator<S> for Selectors {
    fn from_iter<I: IntoIterator<Item = S>>(selectors: I) -> Self {
        Self(selectors.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<Selector>> Extend<S> for Selectors {
    fn extend<I: IntoIterator<Item = S>>(&mut self, selectors: I) {
        self.0.extend(selectors.into_iter().map(Into::into));
    }
}

impl<'a> IntoIterator for &'a Selectors {
    type Item = &'a Selector;
    type IntoIter = std::slice::Iter<'a, Selector>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
