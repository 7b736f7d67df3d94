//! Errors of restoring.

use thiserror::Error;

/// Why [`restore`](crate::RangeWatchBus::restore) failed. Nothing has changed then.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, RestoreError};
///
/// let bus = RangeWatchBus::new();
/// assert_eq!(bus.restore(1, Some(41)), Err(RestoreError::NoHistory));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bus has no history.
    #[error("this bus has no history: build it with `RangeWatchBus::builder().history(..)`")]
    NoHistory,
    /// The head is `u64::MAX - 1` or more, so that no value is left to emit.
    #[error("the head leaves no value to emit: give one below u64::MAX - 1")]
    LastHead,
    /// The bus is closed.
    #[error("the bus is closed: build a new one with the head and the epoch")]
    Closed,
}
