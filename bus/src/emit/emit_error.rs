//! Why an emit was refused.

use thiserror::Error;

/// Why an emit was refused. A refused emit takes no [`Seq`](crate::Seq) and reaches nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The bus is closed, for good.
    #[error("the bus is closed: stop emitting, or emit on a new bus")]
    Closed,
    /// On a bus with history values rise strictly, and this one does not.
    #[error(
        "the value {value} does not lie above the head, {head}: \
         emit a greater value, or let `emit_next` choose it"
    )]
    NotIncreasing {
        /// The value that was refused.
        value: u64,
        /// The greatest value so far, or the one before it among emits that take effect together.
        head: u64,
    },
    /// On a bus with history the value [`u64::MAX`] is refused, because none could follow it.
    #[error("the value u64::MAX is refused on a bus with history: no value could follow it")]
    LastValue,
    /// What was asked for needs a bus with history: [`emit_next`](crate::RangeWatchBus::emit_next) and
    /// [`advance`](crate::RangeWatchBus::advance).
    #[error(
        "this bus has no history: build it with `RangeWatchBus::builder().history(..)`, \
         or emit a value of your own"
    )]
    NoHistory,
}
