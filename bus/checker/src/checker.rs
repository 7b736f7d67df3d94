//! The recorder of a trace.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::{
    BusStats, EmitError, Emitted, RangeWatchBus, Selectors, Seq, Stats, SubscribeBuilder,
    SubscribeError,
};

use crate::verify;
use crate::{Delivery, Verified, Violation};

/// Records emits and deliveries, and verifies the guarantees on them that [`Guarantee`] lists.
///
/// Clones record into the same trace. Recording is a push under a lock of its own: a short one per
/// emit, and one per delivery that only the consumer takes. A trace holds a copy of every key for
/// as long as the checker lives. One checker is for one bus.
#[derive(Clone, Default)]
pub struct Checker {
    trace: Arc<Mutex<Trace>>,
}

/// Records what one subscription receives and what is done to it, from [`Checker::subscribe`] and its siblings.
pub struct Log {
    entries: Arc<Mutex<Vec<Entry>>>,
}

#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) emits: Vec<Emit>,
    /// Whether the values must rise.
    pub(crate) has_history: bool,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) stats: Vec<BusStats>,
}

pub(crate) struct Emit {
    pub(crate) seq: Seq,
    pub(crate) value: u64,
    pub(crate) keys: Vec<Box<[u8]>>,
}

/// What a bus answered to a subscription that was to begin with a value of the past.
pub(crate) struct Answer {
    pub(crate) since: u64,
    /// The floor before and after.
    pub(crate) floors: (u64, u64),
    /// The floor with which it was refused.
    pub(crate) refused: Option<u64>,
}

pub(crate) struct Subscription {
    pub(crate) selectors: Selectors,
    pub(crate) begin: Begin,
    pub(crate) entries: Arc<Mutex<Vec<Entry>>>,
}

/// Where a subscription begins.
#[derive(Clone, Copy)]
pub(crate) enum Begin {
    /// With an emit that is concurrent with it, or with the first that is not.
    Live {
        /// Emits up to this one came before the subscription.
        before: Option<Seq>,
        /// Emits after this one came after the subscription; those in between were concurrent with its
        /// start.
        after: Option<Seq>,
        /// Emits of lower values are not for it. Those before the subscription lie in a conservative span.
        since: Option<u64>,
    },
    /// With this value of the history.
    History { since: u64 },
}

/// How an edit changes what is watched.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Add,
    Remove,
    Set,
}

pub(crate) enum Entry {
    Delivery(Delivery),
    /// An edit, from this emit on.
    Edited(Seq, Change, Selectors),
    StartedAfter(u64),
    Discarded,
    AtRest(Option<Seq>, Stats),
}

impl Checker {
    /// Makes a checker with an empty trace.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a checker for emits whose values must rise, as those of a bus with history. [`emit`](Self::emit) on such
    /// a bus sees that by itself.
    #[must_use]
    pub fn with_history() -> Self {
        let checker = Self::new();
        checker.trace.lock().has_history = true;
        checker
    }

    /// Emits on `bus` and records it, if it was accepted.
    ///
    /// # Errors
    ///
    /// As [`RangeWatchBus::emit`].
    pub fn emit<K: AsRef<[u8]>>(
        &self,
        bus: &RangeWatchBus,
        value: u64,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        let keys: Vec<K> = keys.into_iter().collect();
        let emitted = bus.emit(value, &keys)?;
        self.emitted_on(bus, &emitted, keys);
        Ok(emitted)
    }

    /// As [`emit`](Self::emit), with the value that follows on the head.
    ///
    /// # Errors
    ///
    /// As [`RangeWatchBus::emit_next`].
    pub fn emit_next<K: AsRef<[u8]>>(
        &self,
        bus: &RangeWatchBus,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        let keys: Vec<K> = keys.into_iter().collect();
        let emitted = bus.emit_next(&keys)?;
        self.emitted_on(bus, &emitted, keys);
        Ok(emitted)
    }

    /// As [`emit`](Self::emit), once there is room.
    ///
    /// # Errors
    ///
    /// As [`RangeWatchBus::emit_async`].
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped before it is ready, nothing was emitted and nothing is recorded.
    pub async fn emit_async<K: AsRef<[u8]>>(
        &self,
        bus: &RangeWatchBus,
        value: u64,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        let keys: Vec<K> = keys.into_iter().collect();
        let emitted = bus.emit_async(value, &keys).await?;
        self.emitted_on(bus, &emitted, keys);
        Ok(emitted)
    }

    fn emitted_on<K: AsRef<[u8]>>(&self, bus: &RangeWatchBus, emitted: &Emitted, keys: Vec<K>) {
        if bus.floor().is_some() {
            self.trace.lock().has_history = true;
        }
        self.emitted(emitted.seq(), emitted.value(), keys);
    }

    /// Records an accepted emit. Emits may be recorded in any order.
    pub fn emitted<K: AsRef<[u8]>>(&self, seq: Seq, value: u64, keys: impl IntoIterator<Item = K>) {
        let keys = keys.into_iter().map(|key| key.as_ref().into()).collect();
        self.trace.lock().emits.push(Emit { seq, value, keys });
    }

    /// Subscribes on `bus`, by `build`, and records that. `build` is not to ask for
    /// [`since`](SubscribeBuilder::since): that is [`subscribe_since`](Self::subscribe_since).
    ///
    /// # Errors
    ///
    /// As `build`; nothing is recorded.
    pub fn subscribe<S>(
        &self,
        bus: &RangeWatchBus,
        selectors: impl Into<Selectors>,
        build: impl FnOnce(SubscribeBuilder<'_>) -> Result<S, SubscribeError>,
    ) -> Result<(S, Log), SubscribeError> {
        let selectors = selectors.into();
        let before = bus.last_seq();
        let subscription = build(bus.subscribe(&selectors))?;
        let after = bus.last_seq();
        Ok((subscription, self.subscribed(selectors, before, after)))
    }

    /// Subscribes on `bus` since the value `since`, by `build`, and records that, also if it was refused because the
    /// history does not reach back that far.
    ///
    /// Every emit of that value or above must have been recorded when the trace is verified, also those
    /// before the subscription.
    ///
    /// # Errors
    ///
    /// As `build`.
    pub fn subscribe_since<S>(
        &self,
        bus: &RangeWatchBus,
        selectors: impl Into<Selectors>,
        since: u64,
        build: impl FnOnce(SubscribeBuilder<'_>) -> Result<S, SubscribeError>,
    ) -> Result<(S, Log), SubscribeError> {
        let selectors = selectors.into();
        let (floor, before) = (bus.floor(), bus.last_seq());
        let built = build(bus.subscribe(&selectors).since(since));
        let after = bus.last_seq();
        let begin = match floor.zip(bus.floor()) {
            Some((floor, floor_after)) => {
                let refused = match &built {
                    Err(SubscribeError::Compacted { floor }) => Some(*floor),
                    _ => None,
                };
                if built.is_ok() || refused.is_some() {
                    self.answered_since(since, (floor, floor_after), refused);
                }
                Begin::History { since }
            }
            None => Begin::Live {
                before,
                after,
                since: Some(since),
            },
        };
        Ok((built?, self.begun(selectors, begin)))
    }

    /// Records that a subscription was made while the last emit moved from `before` to `after`.
    ///
    /// To be read from [`RangeWatchBus::last_seq`] directly before and after the subscription is
    /// made.
    #[must_use]
    pub fn subscribed(
        &self,
        selectors: impl Into<Selectors>,
        before: Option<Seq>,
        after: Option<Seq>,
    ) -> Log {
        let begin = Begin::Live {
            before,
            after,
            since: None,
        };
        self.begun(selectors.into(), begin)
    }

    /// Records that a subscription was made that begins with the value `since` of the history.
    #[must_use]
    pub fn subscribed_since(&self, selectors: impl Into<Selectors>, since: u64) -> Log {
        self.begun(selectors.into(), Begin::History { since })
    }

    /// Records what a bus with history answered to a subscription since the value `since`, while its floor moved
    /// from the first of `floors` to the second: `None` if it was made, the floor of
    /// [`SubscribeError::Compacted`] if it was refused.
    pub fn answered_since(&self, since: u64, floors: (u64, u64), refused: Option<u64>) {
        self.trace.lock().answers.push(Answer {
            since,
            floors,
            refused,
        });
    }

    /// Records the statistics of the bus, to be read when nobody emits or receives and after everything else was
    /// recorded: every emit and every subscription that the bus ever had.
    pub fn at_rest(&self, stats: BusStats) {
        self.trace.lock().stats.push(stats);
    }

    /// Verifies the trace so far, which must be at rest: every emit that was delivered must have
    /// been recorded.
    ///
    /// # Errors
    ///
    /// The first [`Violation`] found, by subscription and then by delivery.
    pub fn verify(&self) -> Result<Verified, Violation> {
        verify::verify(&self.trace.lock())
    }

    fn begun(&self, selectors: Selectors, begin: Begin) -> Log {
        let entries = Arc::default();
        let log = Log {
            entries: Arc::clone(&entries),
        };
        self.trace.lock().subscriptions.push(Subscription {
            selectors,
            begin,
            entries,
        });
        log
    }
}

impl Log {
    /// Records what the subscription received: an `&Event`, an `&Item`, a [`Span`](rangewatch_bus::Span), a
    /// [`RecvError`](rangewatch_bus::RecvError) or a [`Delivery`].
    ///
    /// Deliveries must be recorded in the order in which they were received, and in one order with what else is
    /// recorded here.
    pub fn record(&self, delivery: impl Into<Delivery>) {
        self.push(Entry::Delivery(delivery.into()));
    }

    /// Records that there was nothing more to receive, although every emit up to `through` had
    /// returned: the position that [`RangeWatchBus::last_seq`] gave before the receive that
    /// found nothing.
    ///
    /// Only this, a progress mark and the end make a missing delivery at the end of a trace a violation. Without
    /// them, a subscription may have been dropped with deliveries unreceived.
    pub fn caught_up(&self, through: Option<Seq>) {
        self.record(Delivery::CaughtUp(through));
    }

    /// Records that `selectors` were [added](rangewatch_bus::EventSubscription::add_selectors), from the emit `seq` on, the
    /// position that this returned.
    pub fn selectors_added(&self, seq: Seq, selectors: impl Into<Selectors>) {
        self.push(Entry::Edited(seq, Change::Add, selectors.into()));
    }

    /// Records that `selectors` were [removed](rangewatch_bus::EventSubscription::remove_selectors), as
    /// [`selectors_added`](Self::selectors_added).
    pub fn selectors_removed(&self, seq: Seq, selectors: impl Into<Selectors>) {
        self.push(Entry::Edited(seq, Change::Remove, selectors.into()));
    }

    /// Records that `selectors` [took the place](rangewatch_bus::EventSubscription::set_selectors) of what was watched, or that
    /// the subscription was [opened](rangewatch_bus::EventSubscription::open) with them, as
    /// [`selectors_added`](Self::selectors_added).
    pub fn selectors_set(&self, seq: Seq, selectors: impl Into<Selectors>) {
        self.push(Entry::Edited(seq, Change::Set, selectors.into()));
    }

    /// Records that the subscription was [started after](rangewatch_bus::EventSubscription::start_after) `value`: what it has
    /// not delivered yet of values up to this one is due no more. Meant for values that rise.
    pub fn started_after(&self, value: u64) {
        self.push(Entry::StartedAfter(value));
    }

    /// Records that the bus was [closed at once](RangeWatchBus::close_now): nothing is due any more.
    pub fn discarded(&self) {
        self.push(Entry::Discarded);
    }

    /// Records the statistics of the subscription, read when nobody emitted and `through` was the last emit.
    pub fn at_rest(&self, through: Option<Seq>, stats: Stats) {
        self.push(Entry::AtRest(through, stats));
    }

    fn push(&self, entry: Entry) {
        self.entries.lock().push(entry);
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_emits, n_subscriptions) = {
            let trace = self.trace.lock();
            (trace.emits.len(), trace.subscriptions.len())
        };
        f.debug_struct("Checker")
            .field("n_emits", &n_emits)
            .field("n_subscriptions", &n_subscriptions)
            .finish()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_entries = self.entries.lock().len();
        f.debug_struct("Log")
            .field("n_entries", &n_entries)
            .finish()
    }
}
