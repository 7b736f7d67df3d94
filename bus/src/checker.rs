//! A checker of the guarantees: records what is emitted and what is delivered, and says what was
//! broken.
//!
//! The checker is for tests, also for those of code that uses the bus: let the emitters and the
//! consumers of a test record what they do, from any number of threads, and
//! [`verify`](Checker::verify) the trace at the end. It knows the bus only by what goes in and what
//! comes out: it matches keys against selectors one by one, without the index.
//!
//! # Examples
//!
//! ```
//! use rangewatch_bus::RangeWatchBus;
//! use rangewatch_bus::checker::Checker;
//!
//! let bus = RangeWatchBus::new();
//! let checker = Checker::new();
//! let (mut sub, log) = checker.subscribe(&bus, "a".."m", |builder| builder.events(16))?;
//!
//! let emitter = std::thread::spawn({
//!     let (bus, checker) = (bus.clone(), checker.clone());
//!     move || (1..=10).try_for_each(|value| checker.emit(&bus, value, ["a", "z"]).map(drop))
//! });
//! emitter.join().expect("no panic")?;
//!
//! let head = bus.last_seq();
//! while let Ok(event) = sub.try_recv() {
//!     log.record(&event);
//! }
//! log.caught_up(head);
//!
//! let verified = checker.verify()?;
//! assert_eq!((verified.n_emits(), verified.n_deliveries()), (10, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod verify;
mod violation;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    EmitError, Emitted, Event, RangeWatchBus, RecvError, Selectors, Seq, Span, SubscribeBuilder,
    SubscribeError,
};

pub use violation::{Guarantee, Verified, Violation};

/// Records emits and deliveries, and verifies the guarantees G1, G2, G3, G4, G5, G10, G11, G13 and
/// G18 on them.
///
/// Clones record into the same trace. Recording is a push under a lock of its own: a short one per
/// emit, and one per delivery that only the consumer takes. A trace holds a copy of every key for
/// as long as the checker lives.
#[derive(Clone, Default)]
pub struct Checker {
    trace: Arc<Mutex<Trace>>,
}

/// Records what one subscription receives, from [`Checker::subscribe`] or [`Checker::subscribed`].
pub struct Log {
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

/// What a subscription received, as [`Log::record`] takes it.
///
/// Converted from what the subscriptions give; made by hand to test a consumer of something else,
/// or the checker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// An event.
    Event {
        /// The position of the emit.
        seq: Seq,
        /// The value of the emit.
        value: u64,
        /// The keys that the event showed, in order.
        keys: Vec<Box<[u8]>>,
    },
    /// A span.
    Span {
        /// The position of the first emit of the span.
        first_seq: Seq,
        /// The position of the last emit of the span.
        last_seq: Seq,
        /// The value of the first emit of the span.
        first: u64,
        /// The value of the last emit of the span.
        last: u64,
        /// The number of emits in the span.
        count: u64,
    },
    /// A report that this many events were missed.
    Lagged(u64),
    /// The end.
    Ended(RecvError),
    /// There was nothing more to receive, although every emit up to this one had returned.
    CaughtUp(Option<Seq>),
}

#[derive(Default)]
struct Trace {
    emits: Vec<Emit>,
    subscriptions: Vec<Subscription>,
}

struct Emit {
    seq: Seq,
    value: u64,
    keys: Vec<Box<[u8]>>,
}

struct Subscription {
    selectors: Selectors,
    /// Emits up to this one came before the subscription.
    before: Option<Seq>,
    /// Emits after this one came after the subscription; those in between were concurrent with its
    /// start.
    after: Option<Seq>,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Checker {
    /// Makes a checker with an empty trace.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
        self.emitted(emitted.seq(), value, keys);
        Ok(emitted)
    }

    /// Records an accepted emit. Emits may be recorded in any order.
    pub fn emitted<K: AsRef<[u8]>>(&self, seq: Seq, value: u64, keys: impl IntoIterator<Item = K>) {
        let keys = keys.into_iter().map(|key| key.as_ref().into()).collect();
        self.trace.lock().emits.push(Emit { seq, value, keys });
    }

    /// Subscribes on `bus`, by `build`, and records that.
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
        let deliveries = Arc::default();
        let log = Log {
            deliveries: Arc::clone(&deliveries),
        };
        self.trace.lock().subscriptions.push(Subscription {
            selectors: selectors.into(),
            before,
            after,
            deliveries,
        });
        log
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
}

impl Log {
    /// Records what the subscription received: an `&Event`, a [`Span`] or a
    /// [`Delivery`].
    ///
    /// Deliveries must be recorded in the order in which they were received.
    pub fn record(&self, delivery: impl Into<Delivery>) {
        let delivery = delivery.into();
        self.deliveries.lock().push(delivery);
    }

    /// Records that there was nothing more to receive, although every emit up to `through` had
    /// returned: the position that [`RangeWatchBus::last_seq`] gave before the receive that
    /// found nothing.
    ///
    /// Only this makes a missing delivery at the end of a trace a violation. Without it, a
    /// subscription may have been dropped with deliveries unreceived.
    pub fn caught_up(&self, through: Option<Seq>) {
        self.record(Delivery::CaughtUp(through));
    }
}

impl From<&Event> for Delivery {
    fn from(event: &Event) -> Self {
        Self::Event {
            seq: event.seq(),
            value: event.value(),
            keys: event.keys().map(Into::into).collect(),
        }
    }
}

impl From<Span> for Delivery {
    fn from(span: Span) -> Self {
        Self::Span {
            first_seq: span.first_seq(),
            last_seq: span.last_seq(),
            first: span.first(),
            last: span.last(),
            count: span.count(),
        }
    }
}

impl From<RecvError> for Delivery {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(missed) => Self::Lagged(missed),
            RecvError::Coalesced(gap) => gap.into(),
            RecvError::Disconnected { .. } | RecvError::Compacted { .. } | RecvError::Closed => {
                Self::Ended(error)
            }
        }
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
        let n_deliveries = self.deliveries.lock().len();
        f.debug_struct("Log")
            .field("n_deliveries", &n_deliveries)
            .finish()
    }
}
