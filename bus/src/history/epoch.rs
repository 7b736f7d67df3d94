//! The epoch of a history.

/// What the values of a history count in: a value of another epoch says nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// As users give it.
    pub(crate) number: u64,
    /// How often the history was restored: a restore may keep the number.
    n_restores: u64,
}

impl Epoch {
    pub(crate) const fn new(number: u64) -> Self {
        Self {
            number,
            n_restores: 0,
        }
    }

    /// The epoch after a restore to `number`.
    pub(crate) const fn restored(self, number: u64) -> Self {
        Self {
            number,
            n_restores: self.n_restores.wrapping_add(1),
        }
    }
}
