//! The statistics of the reference.

use rangewatch_bus::Stats;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) matched: u64,
    pub(crate) delivered: u64,
    pub(crate) coalesced: u64,
    pub(crate) dropped: u64,
    pub(crate) discarded: u64,
    pub(crate) pending: u64,
}

impl Totals {
    pub(crate) fn of(stats: &Stats) -> Self {
        Self {
            matched: stats.matched(),
            delivered: stats.delivered(),
            coalesced: stats.coalesced(),
            dropped: stats.dropped(),
            discarded: stats.discarded(),
            pending: stats.pending(),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            matched: self.matched + other.matched,
            delivered: self.delivered + other.delivered,
            coalesced: self.coalesced + other.coalesced,
            dropped: self.dropped + other.dropped,
            discarded: self.discarded + other.discarded,
            pending: self.pending + other.pending,
        }
    }

    /// The totals of a removed subscription: pending emits are discarded.
    pub(crate) fn departed(self) -> Self {
        Self {
            discarded: self.discarded + self.pending,
            pending: 0,
            ..self
        }
    }
}
