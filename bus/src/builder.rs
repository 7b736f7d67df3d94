//! Building a bus with a name, bounds, a history or another source of time.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::history::{Epoch, HistoryBuffer, check_head};
use crate::order::{Shared, State, Weigher};
use crate::timer::{ThreadTimer, Timer};
use crate::{History, RangeWatchBus};

/// Builds a [`RangeWatchBus`], from [`RangeWatchBus::builder`].
///
/// The defaults are those of [`RangeWatchBus::new`]: no name, no history, no head, any number of
/// subscriptions, a [`ThreadTimer`], which starts its thread lazily.
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
/// assert!(matches!(too_old, Err(SubscribeError::Compacted { floor: 42, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is made until `build` is called"]
pub struct RangeWatchBusBuilder<P = ()> {
    name: Option<Arc<str>>,
    history: Option<History>,
    head: Option<u64>,
    epoch: Option<u64>,
    timer: Arc<dyn Timer>,
    weigher: Option<Weigher<P>>,
    max_subscriptions: usize,
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
    /// An epoch was given for a bus without history.
    #[error("an epoch belongs to a bus with history: call `history` too")]
    EpochWithoutHistory,
    /// The head is `u64::MAX - 1` or more, so that no value is left to emit.
    #[error("the head leaves no value to emit: give one below u64::MAX - 1")]
    LastHead,
    /// The greatest number of subscriptions is 0.
    #[error("a bus needs room for a subscription: give `max_subscriptions` more than 0")]
    ZeroSubscriptions,
}

impl Default for RangeWatchBusBuilder {
    fn default() -> Self {
        Self {
            name: None,
            history: None,
            head: None,
            epoch: None,
            timer: Arc::new(ThreadTimer),
            weigher: None,
            max_subscriptions: usize::MAX,
        }
    }
}

impl RangeWatchBusBuilder {
    /// Builds a bus whose keys carry payloads of the type `P`:
    /// [`emit_with`](RangeWatchBus::emit_with) takes one for each key, and
    /// [`Event::entries`](crate::Event::entries) returns them.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let bus = RangeWatchBus::builder().payloads::<String>().build()?;
    /// bus.emit_with(1, [("job/1", "started".to_owned())])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn payloads<P: Send + Sync + 'static>(self) -> RangeWatchBusBuilder<P> {
        RangeWatchBusBuilder {
            name: self.name,
            history: self.history,
            head: self.head,
            epoch: self.epoch,
            timer: self.timer,
            weigher: None,
            max_subscriptions: self.max_subscriptions,
        }
    }
}

impl<P: Send + Sync + 'static> RangeWatchBusBuilder<P> {
    /// Sets the weigher, which returns the size of a payload in bytes: the bounds in bytes of the
    /// history, of queues and of batches count it. Without one, payloads are not counted; those of
    /// a type without size never are.
    ///
    /// The weigher is called once for each payload, in the call that emits it, outside of locks.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::builder()
    ///     .payloads::<String>()
    ///     .payload_bytes(|payload| payload.len())
    ///     .history(History::events(1_000).bytes(1 << 20))
    ///     .build()?;
    /// bus.emit_with(1, [("k", "x".repeat(1_000))])?;
    /// // The payload, the key, and 8 for the key and the emit each.
    /// assert_eq!(bus.stats().history_bytes(), 1_000 + 1 + 16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn payload_bytes(mut self, weigh: impl Fn(&P) -> usize + Send + Sync + 'static) -> Self {
        self.weigher = Some(Box::new(weigh));
        self
    }

    /// Names the bus: in its `Debug` form, in the events of the feature `tracing` (`bus`) and in
    /// the metrics of the feature `metrics` (label `bus`). Names need not be unique.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let bus = RangeWatchBus::builder().name("orders").build()?;
    /// assert_eq!(bus.name(), Some("orders"));
    /// assert!(format!("{bus:?}").contains("orders"));
    /// # Ok::<(), rangewatch_bus::BuildError>(())
    /// ```
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

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

    /// Sets the epoch in which the values count, by default 0. See
    /// [`restore`](RangeWatchBus::restore).
    ///
    /// A store that was restored from a backup has lost its latest values and gives them again, to
    /// other changes. A greater epoch than that of before tells consumers, who
    /// [give](crate::SubscribeBuilder::epoch) it with their checkpoint, that theirs is of another.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus, SubscribeError};
    ///
    /// let builder = RangeWatchBus::builder().history(History::events(1000));
    /// let bus = builder.head(41).epoch(3).build()?;
    /// assert_eq!(bus.epoch(), Some(3));
    ///
    /// // 57 was the last value in epoch 2.
    /// let resumed = bus.subscribe(..).since_after(57).epoch(2).events(16);
    /// assert_eq!(resumed.unwrap_err(), SubscribeError::Compacted { floor: 42, epoch: 3 });
    /// # Ok::<(), rangewatch_bus::BuildError>(())
    /// ```
    pub const fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Bounds the number of subscriptions of either kind, for a bus that serves clients which are
    /// not trusted. Each counts until it is dropped, also if it is reserved, held or has ended. One
    /// more fails with
    /// [`TooManySubscriptions`](crate::SubscribeError::TooManySubscriptions).
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{RangeWatchBus, SubscribeError};
    ///
    /// let bus = RangeWatchBus::builder().max_subscriptions(1).build()?;
    /// let only = bus.subscribe("a".."b").wake()?;
    /// let refused = bus.subscribe("c".."d").events(16).unwrap_err();
    /// assert_eq!(refused, SubscribeError::TooManySubscriptions { max: 1 });
    /// drop(only);
    /// bus.subscribe("c".."d").events(16)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn max_subscriptions(mut self, max: usize) -> Self {
        self.max_subscriptions = max;
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
    /// [`BuildError::EpochWithoutHistory`] if there is an epoch and no history,
    /// [`BuildError::LastHead`] if no value is left above the head,
    /// [`BuildError::ZeroSubscriptions`].
    pub fn build(self) -> Result<RangeWatchBus<P>, BuildError> {
        if self.max_subscriptions == 0 {
            return Err(BuildError::ZeroSubscriptions);
        }
        let history = match (self.history, self.head, self.epoch) {
            (None, None, None) => None,
            (None, Some(_), _) => return Err(BuildError::HeadWithoutHistory),
            (None, None, Some(_)) => return Err(BuildError::EpochWithoutHistory),
            (Some(bounds), ..) if bounds.max_events == 0 || bounds.max_bytes == 0 => {
                return Err(BuildError::EmptyHistory);
            }
            (Some(bounds), head, epoch) => {
                check_head(head, BuildError::LastHead)?;
                let epoch = Epoch::new(epoch.unwrap_or(0));
                Some(HistoryBuffer::new(bounds, head, epoch))
            }
        };
        Ok(RangeWatchBus::over(Shared::new(
            State::new(history, self.max_subscriptions),
            self.timer,
            self.name,
            self.weigher,
        )))
    }
}

impl<P> fmt::Debug for RangeWatchBusBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeWatchBusBuilder")
            .field("name", &self.name)
            .field("history", &self.history)
            .field("head", &self.head)
            .field("epoch", &self.epoch)
            .field("timer", &self.timer)
            .field("weigher", &self.weigher.is_some())
            .field("max_subscriptions", &self.max_subscriptions)
            .finish()
    }
}
