//! Building a bus with a history or with another source of time.

use std::sync::Arc;

use thiserror::Error;

use crate::history::HistoryBuffer;
use crate::order::{Shared, State};
use crate::timer::{ThreadTimer, Timer};
use crate::{History, RangeWatchBus};

/// Builds a [`RangeWatchBus`], from [`RangeWatchBus::builder`].
///
/// The defaults are those of [`RangeWatchBus::new`]: no history, no head, a
/// [`ThreadTimer`], which starts its thread lazily.
///
/// # Examples
///
/// A bus after a restart; the last revision in its store is 41:
///
/// ```
/// use rangewatch_bus::{EmitError, History, RangeWatchBus, Selector, SubscribeError};
///
/// let bus = RangeWatchBus::builder().history(History::events(1000)).head(41).build()?;
/// assert_eq!((bus.head(), bus.floor()), (Some(41), Some(42)));
/// assert_eq!(bus.emit(41, ["a"]), Err(EmitError::NotIncreasing { value: 41, head: 41 }));
/// bus.emit(42, ["a"])?;
///
/// let too_old = bus.subscribe(Selector::all()).since(41).events(16);
/// assert!(matches!(too_old, Err(SubscribeError::Compacted { floor: 42 })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is made until `build` is called"]
pub struct RangeWatchBusBuilder {
    history: Option<History>,
    head: Option<u64>,
    timer: Arc<dyn Timer>,
}

/// Why a bus could not be built.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{BuildError, RangeWatchBus};
///
/// let without_history = RangeWatchBus::builder().head(41).build();
/// assert_eq!(without_history.unwrap_err(), BuildError::HeadWithoutHistory);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A bound of the history is 0.
    #[error(
        "a history needs room for at least one event and one byte: \
         give greater bounds, or build a bus without history"
    )]
    EmptyHistory,
    /// A head was given for a bus without history.
    #[error("a head belongs to a bus with history: call `history` too")]
    HeadWithoutHistory,
    /// The head is `u64::MAX - 1` or more, so that no value is left to emit.
    #[error("the head leaves no value to emit: give one below u64::MAX - 1")]
    LastHead,
}

impl Default for RangeWatchBusBuilder {
    fn default() -> Self {
        Self {
            history: None,
            head: None,
            timer: Arc::new(ThreadTimer),
        }
    }
}

impl RangeWatchBusBuilder {
    /// Retains the latest emits. Values must strictly increase then.
    pub const fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// Sets the head to `head`, the last value before a restart. The first emit must lie above it,
    /// and [`since`](crate::SubscribeBuilder::since) serves values above it.
    pub const fn head(mut self, head: u64) -> Self {
        self.head = Some(head);
        self
    }

    /// Uses `timer` as the source of time. See [`Timer`].
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Arc::new(timer);
        self
    }

    /// Builds the bus.
    ///
    /// # Errors
    ///
    /// [`BuildError::EmptyHistory`] if a bound of the history is 0,
    /// [`BuildError::HeadWithoutHistory`] if there is a head and no history,
    /// [`BuildError::LastHead`] if no value is left above the head.
    pub fn build(self) -> Result<RangeWatchBus, BuildError> {
        let history = match (self.history, self.head) {
            (None, None) => None,
            (None, Some(_)) => return Err(BuildError::HeadWithoutHistory),
            (Some(bounds), _) if bounds.max_events == 0 || bounds.max_bytes == 0 => {
                return Err(BuildError::EmptyHistory);
            }
            (Some(_), Some(head)) if head >= u64::MAX - 1 => return Err(BuildError::LastHead),
            (Some(bounds), head) => Some(HistoryBuffer::new(bounds, head)),
        };
        Ok(RangeWatchBus::over(Shared::new(
            State::new(history),
            self.timer,
        )))
    }
}
