//! The first value of a subscription that begins at a value.

/// A subscription begins after this value; `None`: at 0.
///
/// Nothing lies after `u64::MAX`, which a first value could not express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since(Option<u64>);

impl Since {
    pub(crate) const fn at(value: u64) -> Self {
        Self(value.checked_sub(1))
    }

    pub(crate) const fn after(value: u64) -> Self {
        Self(Some(value))
    }

    /// The last value that is excluded.
    pub(crate) const fn excluded(self) -> Option<u64> {
        self.0
    }

    /// The first value, or `u64::MAX` if there is none: a history never has that value.
    pub(crate) fn first(self) -> u64 {
        self.0.map_or(0, |value| value.saturating_add(1))
    }

    /// Whether `value` is not excluded.
    pub(crate) fn includes(self, value: u64) -> bool {
        Some(value) > self.0
    }
}
