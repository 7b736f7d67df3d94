//! What an emit answers.

use thiserror::Error;

use crate::Seq;

/// The receipt of an accepted emit, from [`RangeWatchBus::emit`](crate::RangeWatchBus::emit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    pub(crate) seq: Seq,
    pub(crate) matched: usize,
}

impl Emitted {
    /// The position of this emit in the order of its bus.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// The number of subscriptions that this emit matched, each counted once however many of its
    /// selectors and of the keys match.
    ///
    /// A matched subscription holds the emit when `emit` returns; whether its consumer ever
    /// receives it is up to the consumer.
    #[must_use]
    pub const fn matched(&self) -> usize {
        self.matched
    }
}

/// Why an emit was refused. A refused emit takes no [`Seq`] and reaches nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The bus is closed, for good.
    #[error("the bus is closed: stop emitting, or emit on a new bus")]
    Closed,
}
