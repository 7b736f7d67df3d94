//! A bus that is more than the default.

use std::sync::Arc;

use thiserror::Error;

use crate::history::HistoryBuffer;
use crate::order::{Shared, State};
use crate::timer::{ThreadTimer, Timer};
use crate::{History, RangeWatchBus};

/// Makes a [`RangeWatchBus`], from [`RangeWatchBus::builder`].
///
/// The defaults are those of [`RangeWatchBus::new`]: no history, no head, a
/// [`ThreadTimer`], which starts no thread before it is needed.
///
/// # Examples
///
/// A bus that goes on after a restart, where its store says that revision 41 was the last:
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A history of no events, or of no bytes, was asked for.
    #[error(
        "a history needs room for at least one event and one byte: \
         give greater bounds, or build a bus without history"
    )]
    EmptyHistory,
    /// A head was restored on a bus without history, on which values mean nothing.
    #[error("a head belongs to a bus with history: call `history` too")]
    HeadWithoutHistory,
    /// The head leaves no value to emit.
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
    /// Keeps the latest emits. Values must rise strictly then.
    pub const fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// Goes on from `head`, the last value before a restart. The first emit must lie above it, and
    /// [`since`](crate::SubscribeBuilder::since) serves what does.
    pub const fn head(mut self, head: u64) -> Self {
        self.head = Some(head);
        self
    }

    /// Takes time from `timer`.
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Arc::new(timer);
        self
    }

    /// Makes the bus.
    ///
    /// # Errors
    ///
    /// [`BuildError::EmptyHistory`] if a bound of the history is 0, [`BuildError::HeadWithoutHistory`] if
    /// there is a head and no history, [`BuildError::LastHead`] if no value is left above the head.
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
