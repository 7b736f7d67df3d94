//! What a checker is told that a subscription received.

use rangewatch_bus::{Event, Item, RecvError, Seq, Span};

/// What a subscription received, as [`Log::record`](crate::Log::record) takes it.
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
    /// A span: what a wake subscription receives, or a gap where a queue coalesced.
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
        /// Whether the span says that it may cover more than what matched.
        is_conservative: bool,
    },
    /// A progress mark of this value.
    Progress(u64),
    /// A report that this many events were missed.
    Lagged(u64),
    /// The end, and why: [`RecvError::Disconnected`], [`RecvError::Compacted`] or [`RecvError::Closed`].
    Ended(RecvError),
    /// There was nothing more to receive, although every emit up to this one had returned.
    CaughtUp(Option<Seq>),
    /// An item or an error that a newer bus has and this checker does not know, as its debug text. A trace
    /// with one fails.
    Unknown(String),
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
            is_conservative: span.is_conservative(),
        }
    }
}

impl From<&Item> for Delivery {
    fn from(item: &Item) -> Self {
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
