//! What a wake subscription receives.

use crate::Seq;
use crate::mailbox::Buffer;

/// The matching emits since the last receive of a [`WakeSubscription`](crate::WakeSubscription),
/// summed up.
///
/// A span stands for one emit or more. It is exact: every emit that matched the subscription after
/// the previous span is in it, and nothing else. "First" and "last" are in the order of the emits,
/// not of the values: on a bus whose values fall, `last` may be less than `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    first: u64,
    last: u64,
    count: u64,
    first_seq: Seq,
    last_seq: Seq,
}

impl Span {
    const fn new(seq: Seq, value: u64) -> Self {
        Self {
            first: value,
            last: value,
            count: 1,
            first_seq: seq,
            last_seq: seq,
        }
    }

    /// The value of the first emit of the span.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The value of the last emit of the span.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The number of emits in the span, at least 1. Emits in between that did not match are not
    /// counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The position of the first emit of the span in the order of the bus.
    #[must_use]
    pub const fn first_seq(&self) -> Seq {
        self.first_seq
    }

    /// The position of the last emit of the span in the order of the bus.
    #[must_use]
    pub const fn last_seq(&self) -> Seq {
        self.last_seq
    }
}

/// The buffer of a wake subscription: one span, whatever happens.
#[derive(Debug)]
pub(crate) struct SpanBuffer(Option<Span>);

impl SpanBuffer {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Adds an emit, which must be later than those before.
    pub(crate) fn push(&mut self, seq: Seq, value: u64) {
        match &mut self.0 {
            Some(span) => {
                span.last = value;
                span.last_seq = seq;
                // As many as there are Seqs, so it saturates no earlier than they do.
                span.count = span.count.saturating_add(1);
            }
            empty @ None => *empty = Some(Span::new(seq, value)),
        }
    }
}

impl Buffer for SpanBuffer {
    type Item = Span;

    fn take(&mut self) -> Option<Span> {
        self.0.take()
    }
}
