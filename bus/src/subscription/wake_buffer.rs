//! The buffer of a wake subscription.

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
    discarded: u64,
    /// The value up to which everything was received.
    pub(crate) position: Option<u64>,
}

impl WakeBuffer {
    /// A buffer that begins with `span`.
    pub(crate) fn new(span: Option<Span>, position: Option<u64>) -> Self {
        Self {
            span: SpanBuffer::of(span),
            delivered: 0,
            coalesced: 0,
            discarded: 0,
            position,
        }
    }

    pub(crate) const fn counts(&self) -> Counts {
        Counts {
            delivered: self.delivered,
            coalesced: self.coalesced,
            discarded: self.discarded,
            ..Counts::new()
        }
    }

    /// Discards the span.
    pub(crate) fn clear(&mut self) {
        self.discarded += self.span.take().map_or(0, |span| span.count());
    }

    /// Discards values up to `value`.
    pub(crate) fn discard_through(&mut self, value: u64) {
        self.discarded += self.span.discard_through(value);
        self.position = self.position.max(Some(value));
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
        self.position = Some(span.last());
        Some(span)
    }
}
