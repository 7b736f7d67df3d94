//! The first value of a subscription that begins at a value.

/// Where a subscription begins that begins at a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    /// It begins after this value; `None`: at 0. Nothing lies after `u64::MAX`, which a first value
    /// could not express.
    after: Option<u64>,
    /// The epoch that the value counts in, if it is known.
    epoch: Option<u64>,
}

impl Since {
    pub(crate) const fn at(value: u64) -> Self {
        Self {
            after: value.checked_sub(1),
            epoch: None,
        }
    }

    pub(crate) const fn after(value: u64) -> Self {
        Self {
            after: Some(value),
            epoch: None,
        }
    }

    /// The same value, of `epoch`.
    pub(crate) const fn of(self, epoch: Option<u64>) -> Self {
        Self { epoch, ..self }
    }

    pub(crate) const fn epoch(self) -> Option<u64> {
        self.epoch
    }

    /// The last value that is excluded.
    pub(crate) const fn excluded(self) -> Option<u64> {
        self.after
    }

    /// The first value, or `u64::MAX` if there is none: a history never has that value.
    pub(crate) fn first(self) -> u64 {
        self.after.map_or(0, |value| value.saturating_add(1))
    }

    /// Whether `value` is not excluded.
    pub(crate) fn includes(self, value: u64) -> bool {
        Some(value) > self.after
    }
}
