//! The recorder of a trace.

use std::fmt;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::{
    BusStats, EmitError, Emitted, RangeWatchBus, RestoreError, Selectors, Seq, SubscribeBuilder,
    SubscribeError,
};

use crate::trace::{Emit, Restore, SinceResult, Start, Subscription, Trace};
use crate::verify::verify;
use crate::{Log, Verified, Violation, fingerprint};

/// Records emits and deliveries of one bus, and verifies the guarantees listed by
/// [`Guarantee`](crate::Guarantee).
///
/// Clones record into the same trace. An emit takes the checker's lock for one push, a delivery
/// takes only the lock of its [`Log`]. The trace holds a copy of every key until the checker and
/// its clones are dropped.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_checker::{Checker, Delivery, Guarantee};
///
/// let (bus, checker) = (RangeWatchBus::new(), Checker::new());
/// let (mut sub, log) = checker.subscribe(&bus, .., |builder| builder.events(4))?;
/// checker.emit(&bus, 7, ["k"])?;
/// log.record(&sub.try_recv()?);
/// assert_eq!(checker.verify()?.n_deliveries(), 1);
///
/// log.record(Delivery::Lagged(3)); // nothing was missed
/// assert_eq!(checker.verify().unwrap_err().guarantee(), Guarantee::G18ExactLag);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Checker {
    trace: Arc<Mutex<Trace>>,
}

impl Checker {
    /// Makes a checker with an empty trace.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a checker for emits whose values must increase, as on a bus with history. The methods
    /// that take such a bus enable this themselves.
    #[must_use]
    pub fn with_history() -> Self {
        let checker = Self::new();
        checker.trace.lock().has_history = true;
        checker
    }

    /// Emits on `bus` and records the emit if it was accepted.
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

    /// As [`emit`](Self::emit), with the value that follows the head.
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

    /// As [`emit`](Self::emit), after waiting for room.
    ///
    /// # Errors
    ///
    /// As [`RangeWatchBus::emit_async`].
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped before it is ready, nothing was emitted and nothing is
    /// recorded.
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

    /// As [`emit`](Self::emit), with a payload for each key. The trace has their
    /// [fingerprints](fingerprint).
    ///
    /// # Errors
    ///
    /// As [`RangeWatchBus::emit_with`].
    pub fn emit_with<K: AsRef<[u8]>, P: Hash + Send + Sync + 'static>(
        &self,
        bus: &RangeWatchBus<P>,
        value: u64,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        let entries: Vec<_> = entries.into_iter().collect();
        let recorded = fingerprints(&entries);
        let emitted = bus.emit_with(value, entries)?;
        self.recorded_on(bus, &emitted, recorded);
        Ok(emitted)
    }

    /// As [`emit_with`](Self::emit_with), with the value that follows the head.
    ///
    /// # Errors
    ///
    /// As [`RangeWatchBus::emit_next_with`].
    pub fn emit_next_with<K: AsRef<[u8]>, P: Hash + Send + Sync + 'static>(
        &self,
        bus: &RangeWatchBus<P>,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        let entries: Vec<_> = entries.into_iter().collect();
        let recorded = fingerprints(&entries);
        let emitted = bus.emit_next_with(entries)?;
        self.recorded_on(bus, &emitted, recorded);
        Ok(emitted)
    }

    fn emitted_on<K: AsRef<[u8]>>(&self, bus: &RangeWatchBus, emitted: &Emitted, keys: Vec<K>) {
        let entries: Vec<_> = keys.into_iter().map(|key| (key, ())).collect();
        self.recorded_on(bus, emitted, fingerprints(&entries));
    }

    fn recorded_on<P: Send + Sync + 'static>(
        &self,
        bus: &RangeWatchBus<P>,
        emitted: &Emitted,
        entries: Vec<(Box<[u8]>, u64)>,
    ) {
        let begun = self.epoch();
        if let Some(floor) = bus.floor() {
            let through = Some(emitted.seq());
            self.observed_since(&begun, through, None, floor);
        }
        self.emitted_with(emitted.seq(), emitted.value(), entries);
    }

    /// Records an accepted emit. Emits may be recorded in any order, but without gaps: every emit
    /// of the bus from the first recorded one on.
    pub fn emitted<K: AsRef<[u8]>>(&self, seq: Seq, value: u64, keys: impl IntoIterator<Item = K>) {
        let none = fingerprint(&());
        self.emitted_with(seq, value, keys.into_iter().map(|key| (key, none)));
    }

    /// As [`emitted`](Self::emitted), with the [fingerprint] of the payload of each key.
    pub fn emitted_with<K: AsRef<[u8]>>(
        &self,
        seq: Seq,
        value: u64,
        entries: impl IntoIterator<Item = (K, u64)>,
    ) {
        let entries = entries.into_iter();
        let (keys, payloads) = entries
            .map(|(key, payload)| (key.as_ref().into(), payload))
            .unzip();
        self.trace.lock().emits.push(Emit {
            seq,
            value,
            keys,
            payloads,
        });
    }

    /// Records the head and the floor of the history of `bus`, if it has one.
    ///
    /// To be called after [`advance`](RangeWatchBus::advance) and
    /// [`compact`](RangeWatchBus::compact), which the checker does not see otherwise: a progress
    /// mark above the greatest head recorded, and
    /// [`Compacted`](rangewatch_bus::RecvError::Compacted) with a floor above the greatest one
    /// recorded, are violations. Methods that emit or subscribe call it themselves.
    pub fn observe<P: Send + Sync + 'static>(&self, bus: &RangeWatchBus<P>) {
        let (begun, through) = (self.epoch(), bus.last_seq());
        if let Some(floor) = bus.floor() {
            let (head, epoch) = (bus.head(), bus.epoch());
            self.observed_since(&begun, through, head, floor);
            let mut trace = self.trace.lock();
            if trace.n_begun_restores == 0 {
                trace.first_epoch = epoch;
            }
        }
    }

    /// Records a head and a floor that were read since the epoch was `begun`.
    fn observed_since(
        &self,
        begun: &RangeInclusive<usize>,
        through: Option<Seq>,
        head: Option<u64>,
        floor: u64,
    ) {
        let mut trace = self.trace.lock();
        let epochs = *begun.start()..=*trace.epoch().end();
        trace.observe(epochs, through, head, floor);
    }

    /// The epoch of the bus, as [`Trace::epoch`].
    fn epoch(&self) -> RangeInclusive<usize> {
        self.trace.lock().epoch()
    }

    /// [Restores](RangeWatchBus::restore) `bus` and records that: no subscription that watches
    /// something receives anything across it without notice. For concurrent restores, record each
    /// with [`restored`](Self::restored).
    ///
    /// # Errors
    ///
    /// As [`RangeWatchBus::restore`].
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus, RecvError};
    /// use rangewatch_checker::{Checker, Guarantee};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(100)).build()?;
    /// let checker = Checker::new();
    /// let (mut sub, log) = checker.subscribe(&bus, .., |builder| builder.events(4))?;
    /// checker.restore(&bus, 1, Some(7))?;
    /// checker.emit(&bus, 8, ["k"])?;
    ///
    /// log.caught_up(bus.last_seq()); // as if it had not ended
    /// assert_eq!(checker.verify().unwrap_err().guarantee(), Guarantee::G7NoSilentGap);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore<P: Send + Sync + 'static>(
        &self,
        bus: &RangeWatchBus<P>,
        epoch: u64,
        head: Option<u64>,
    ) -> Result<Seq, RestoreError> {
        self.observe(bus);
        self.trace.lock().n_begun_restores += 1;
        let restored = bus.restore(epoch, head);
        let mut trace = self.trace.lock();
        match restored {
            Ok(first) => trace.restores.push(Restore { first, epoch, head }),
            Err(_) => trace.n_begun_restores -= 1,
        }
        restored
    }

    /// Records a restore to `epoch` and `head`, which has returned `first`. Restores are recorded
    /// in their order, each before the subscriptions and observations after it.
    pub fn restored(&self, first: Seq, epoch: u64, head: Option<u64>) {
        let mut trace = self.trace.lock();
        trace.has_history = true;
        trace.n_begun_restores += 1;
        trace.restores.push(Restore { first, epoch, head });
    }

    /// Records the head and the floor of a history, read after the emit `through` had returned; see
    /// [`observe`](Self::observe).
    pub fn observed(&self, through: Option<Seq>, head: Option<u64>, floor: u64) {
        let mut trace = self.trace.lock();
        let epoch = trace.restores.len();
        trace.observe(epoch..=epoch, through, head, floor);
    }

    /// Subscribes on `bus` with `build`, and records that. `build` must not call
    /// [`since`](SubscribeBuilder::since); use [`subscribe_since`](Self::subscribe_since) for that.
    ///
    /// # Errors
    ///
    /// As `build`; nothing is recorded.
    pub fn subscribe<S, P: Send + Sync + 'static>(
        &self,
        bus: &RangeWatchBus<P>,
        selectors: impl Into<Selectors>,
        build: impl FnOnce(SubscribeBuilder<'_, P>) -> Result<S, SubscribeError>,
    ) -> Result<(S, Log), SubscribeError> {
        let selectors = selectors.into();
        self.observe(bus);
        let (begun, before) = (self.epoch(), bus.last_seq());
        let subscription = build(bus.subscribe(&selectors))?;
        let start = Start::Live {
            before,
            after: bus.last_seq(),
            since: None,
        };
        Ok((subscription, self.log(selectors, start, *begun.start())))
    }

    /// Subscribes on `bus` since the value `since` with `build`, and records that, also if it
    /// failed because the history does not reach back that far. `build` must not call
    /// [`epoch`](SubscribeBuilder::epoch).
    ///
    /// Every emit of that value or above must be recorded before [`verify`](Self::verify), also
    /// those before the subscription.
    ///
    /// # Errors
    ///
    /// As `build`.
    pub fn subscribe_since<S, P: Send + Sync + 'static>(
        &self,
        bus: &RangeWatchBus<P>,
        selectors: impl Into<Selectors>,
        since: u64,
        build: impl FnOnce(SubscribeBuilder<'_, P>) -> Result<S, SubscribeError>,
    ) -> Result<(S, Log), SubscribeError> {
        let selectors = selectors.into();
        self.observe(bus);
        let begun = self.epoch();
        let (floor, before) = (bus.floor(), bus.last_seq());
        let built = build(bus.subscribe(&selectors).since(since));
        let after = bus.last_seq();
        let start = match floor.zip(bus.floor()) {
            Some(floors) => {
                let compacted = match &built {
                    Err(SubscribeError::Compacted { floor, .. }) => Some(*floor),
                    _ => None,
                };
                // A restore in between may have lowered the floor.
                let is_certain = begun == self.epoch() && begun.start() == begun.end();
                if is_certain && (built.is_ok() || compacted.is_some()) {
                    self.since_returned(since, floors, compacted);
                }
                Start::History { since }
            }
            None => Start::Live {
                before,
                after,
                since: Some(since),
            },
        };
        Ok((built?, self.log(selectors, start, *begun.start())))
    }

    /// Records a subscription that was made while the last emit moved from `before` to `after`:
    /// [`RangeWatchBus::last_seq`], read directly before and after the subscription was made.
    #[must_use]
    pub fn subscribed(
        &self,
        selectors: impl Into<Selectors>,
        before: Option<Seq>,
        after: Option<Seq>,
    ) -> Log {
        let start = Start::Live {
            before,
            after,
            since: None,
        };
        let epoch = self.trace.lock().restores.len();
        self.log(selectors.into(), start, epoch)
    }

    /// Records a subscription that starts with the value `since` of the history.
    #[must_use]
    pub fn subscribed_since(&self, selectors: impl Into<Selectors>, since: u64) -> Log {
        let epoch = self.trace.lock().restores.len();
        self.log(selectors.into(), Start::History { since }, epoch)
    }

    /// Records the result of a subscription since the value `since` on a bus with history, whose
    /// floor moved from the first of `floors` to the second meanwhile. `compacted` is `None` if the
    /// subscription was made, and the floor of [`SubscribeError::Compacted`] if it failed with
    /// that.
    pub fn since_returned(&self, since: u64, floors: (u64, u64), compacted: Option<u64>) {
        self.trace.lock().since_results.push(SinceResult {
            since,
            floors,
            compacted,
        });
    }

    /// Records the statistics of the bus, read while no emit and no receive ran. Every emit and
    /// every subscription that the bus ever had must have been recorded.
    pub fn at_rest(&self, stats: BusStats) {
        self.trace.lock().stats.push(stats);
    }

    /// Verifies the trace recorded so far. Every emit that was delivered must have been recorded.
    ///
    /// # Errors
    ///
    /// The first [`Violation`] found, by subscription and then by log entry.
    pub fn verify(&self) -> Result<Verified, Violation> {
        verify(&self.trace.lock())
    }

    /// `epoch` is that before the subscription was made.
    fn log(&self, selectors: Selectors, start: Start, epoch: usize) -> Log {
        let entries = Arc::default();
        let log = Log::new(Arc::clone(&entries));
        let mut trace = self.trace.lock();
        let epochs = epoch..=*trace.epoch().end();
        trace.subscriptions.push(Subscription {
            selectors,
            start,
            epochs,
            entries,
        });
        log
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

fn fingerprints<K: AsRef<[u8]>, P: Hash>(entries: &[(K, P)]) -> Vec<(Box<[u8]>, u64)> {
    let entries = entries.iter();
    entries
        .map(|(key, payload)| (key.as_ref().into(), fingerprint(payload)))
        .collect()
}
