//! The buffer of a wake subscription.

use crate::Seq;
use crate::emit::WakeWaiter;
use crate::order::WakeHost;
use crate::queue::Counts;
use crate::subscription::{Buffer, Span, SpanBuffer};

/// The pending span, and the counts of earlier ones.
#[derive(Debug)]
pub(crate) struct WakeBuffer {
    pub(crate) span: SpanBuffer,
    delivered: u64,
    coalesced: u64,
    /// The number of discarded emits, and in the lowest bit whether there is a position: as an
    /// `Option<u64>` the position would take eight bytes more.
    discarded: u64,
    /// The value up to which everything was received.
    position: u64,
}

/// One emit in [`WakeBuffer::discarded`], above the bit of the position.
const ONE: u64 = 2;
const HAS_POSITION: u64 = 1;

impl WakeBuffer {
    /// A buffer that begins with `span`.
    pub(crate) fn new(span: Option<Span>, position: Option<u64>) -> Self {
        Self {
            span: SpanBuffer::of(span),
            delivered: 0,
            coalesced: 0,
            discarded: if position.is_some() { HAS_POSITION } else { 0 },
            position: position.unwrap_or(0),
        }
    }

    pub(crate) const fn counts(&self) -> Counts {
        Counts {
            delivered: self.delivered,
            coalesced: self.coalesced,
            discarded: self.discarded / ONE,
            ..Counts::new()
        }
    }

    /// Discards the span.
    pub(crate) fn clear(&mut self) {
        self.discarded += ONE * self.span.take().map_or(0, |span| span.count());
    }

    /// Discards values up to `value`.
    pub(crate) fn discard_through(&mut self, value: u64) {
        self.discarded += ONE * self.span.discard_through(value);
        self.advance(Some(value));
    }

    /// The value up to which everything was received.
    pub(crate) fn position(&self) -> Option<u64> {
        (self.discarded % ONE == HAS_POSITION).then_some(self.position)
    }

    /// Moves the position to `value`, unless it lies above.
    pub(crate) fn advance(&mut self, value: Option<u64>) {
        if let Some(position) = self.position().max(value) {
            self.set_position(position);
        }
    }

    /// Sets the head of a subscription that watches nothing and holds nothing.
    pub(crate) fn begin_after(&mut self, head: Option<u64>) {
        self.discarded &= !HAS_POSITION;
        self.advance(head);
    }

    /// Makes the span one of all values of an epoch that begins with `head`.
    pub(crate) fn restore(&mut self, head: Option<u64>, last_seq: Option<Seq>) {
        self.begin_after(None);
        self.span.restore(head, last_seq);
    }

    fn set_position(&mut self, position: u64) {
        self.position = position;
        self.discarded |= HAS_POSITION;
    }
}

impl Buffer for WakeBuffer {
    type Item = Span;
    type Waiter = WakeWaiter;
    type Host = WakeHost;

    fn take(&mut self) -> Option<Span> {
        let span = self.span.take()?;
        let (delivered, coalesced) = Counts::of_span(span.count());
        self.delivered += delivered;
        self.coalesced += coalesced;
        if let Some(position) = span.covered() {
            self.set_position(position);
        }
        Some(span)
    }
}
