//! What a subscription received.

use std::hash::{DefaultHasher, Hash, Hasher};

use rangewatch_bus::{Event, Item, RecvError, Seq, Span};

/// What a subscription received, as [`Log::record`](crate::Log::record) takes it.
///
/// Converted from the items and errors of a subscription, or built by hand to test another
/// implementation, or the checker.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RecvError, Seq};
/// use rangewatch_checker::{Checker, Delivery, fingerprint};
///
/// let checker = Checker::new();
/// let first = Seq::new(1).ok_or("zero")?;
/// checker.emitted(first, 7, ["k"]);
/// let log = checker.subscribed("a".., None, None);
/// let (keys, payloads) = (vec![(*b"k").into()], vec![fingerprint(&())]);
/// log.record(Delivery::Event { seq: first, value: 7, keys, payloads });
/// log.record(RecvError::Closed);
/// checker.verify()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// An event.
    Event {
        /// The position of the emit.
        seq: Seq,
        /// The value of the emit.
        value: u64,
        /// The keys of the event, in order.
        keys: Vec<Box<[u8]>>,
        /// The [fingerprint] of the payload of each key.
        payloads: Vec<u64>,
    },
    /// A span: an item of a wake subscription, or a gap of a queue that coalesces.
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
        /// Whether the span may cover more than what matched.
        is_conservative: bool,
    },
    /// A progress mark of this value.
    Progress(u64),
    /// A report that this many events were missed.
    Lagged(u64),
    /// The end, and its cause: [`RecvError::Disconnected`], [`RecvError::Compacted`] or
    /// [`RecvError::Closed`].
    Ended(RecvError),
    /// A receive found nothing, after every emit up to this one had returned.
    CaughtUp(Option<Seq>),
    /// The debug text of an item or error of a newer bus that this checker does not know. It always
    /// is a violation.
    Unknown(String),
}

/// Stands for a payload in a trace: payloads are compared by their hashes, so that a trace of any
/// payloads has one type. It is the same in each run of a program.
///
/// # Examples
///
/// ```
/// use rangewatch_checker::fingerprint;
///
/// assert_eq!(fingerprint(&"a"), fingerprint(&"a"));
/// assert_ne!(fingerprint(&"a"), fingerprint(&"b"));
/// ```
pub fn fingerprint<P: Hash>(payload: &P) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

impl<P: Hash> From<&Event<P>> for Delivery {
    fn from(event: &Event<P>) -> Self {
        Self::Event {
            seq: event.seq(),
            value: event.value(),
            keys: event.keys().map(Into::into).collect(),
            payloads: event
                .entries()
                .map(|(_, payload)| fingerprint(payload))
                .collect(),
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
            is_conservative: span.is_conservative(),
        }
    }
}

impl<P: Hash> From<&Item<P>> for Delivery {
    fn from(item: &Item<P>) -> Self {
        match item {
            Item::Event(event) => event.into(),
            Item::Gap(gap) => (*gap).into(),
            Item::Progress(mark) => Self::Progress(*mark),
            unknown => Self::Unknown(format!("{unknown:?}")),
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
            unknown => Self::Unknown(format!("{unknown:?}")),
        }
    }
}
