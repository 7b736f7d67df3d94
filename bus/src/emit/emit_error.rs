//! Errors of emitting.

use thiserror::Error;

/// Why an emit was refused. A refused emit takes no [`Seq`](crate::Seq) and reaches no
/// subscription.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{EmitError, History, RangeWatchBus};
///
/// let bus = RangeWatchBus::builder().history(History::events(100)).build()?;
/// bus.emit(7, ["a"])?;
/// let again = bus.emit(7, ["b"]).unwrap_err();
/// assert_eq!(again, EmitError::NotIncreasing { value: 7, head: 7 });
/// bus.close();
/// assert_eq!(bus.emit(8, ["b"]).unwrap_err(), EmitError::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The bus is closed.
    #[error("the bus is closed: stop emitting, or emit on a new bus")]
    Closed,
    /// On a bus with history values must strictly increase.
    #[error(
        "the value {value} does not lie above the head, {head}: \
         emit a greater value, or use `emit_next`"
    )]
    NotIncreasing {
        /// The value that was refused.
        value: u64,
        /// The head, or the value before it in the same batch.
        head: u64,
    },
    /// On a bus with history the value [`u64::MAX`] is refused, because none could follow it.
    #[error("the value u64::MAX is refused on a bus with history: no value could follow it")]
    LastValue,
    /// [`emit_next`](crate::RangeWatchBus::emit_next) and
    /// [`advance`](crate::RangeWatchBus::advance) need a bus with history.
    #[error(
        "this bus has no history: build it with `RangeWatchBus::builder().history(..)`, \
         or emit a given value"
    )]
    NoHistory,
    /// The emits of a [batch](crate::Batch::max_matched) match more subscriptions than its bound.
    #[error(
        "the emits of the batch match more than {max_matched} subscriptions in all: commit fewer \
         emits at a time, or give the batch a greater bound"
    )]
    TooManyMatched {
        /// The bound of the batch.
        max_matched: usize,
    },
}
