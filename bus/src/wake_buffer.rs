//! The buffer of a wake subscription.

use crate::counts::Counts;
use crate::mailbox::Buffer;
use crate::span::{Span, SpanBuffer};

/// One span, whatever happens, and what became of its forerunners.
#[derive(Debug)]
pub(crate) struct WakeBuffer {
    pub(crate) span: SpanBuffer,
    pub(crate) counts: Counts,
    /// The value up to which everything was received.
    pub(crate) position: Option<u64>,
}

impl WakeBuffer {
    /// A buffer that begins with `span`.
    pub(crate) fn new(span: Option<Span>, position: Option<u64>) -> Self {
        let span = SpanBuffer::of(span);
        let counts = Counts {
            rematched: span.count(),
            ..Counts::new()
        };
        Self {
            span,
            counts,
            position,
        }
    }

    /// Forgets the span, for an end without draining.
    pub(crate) fn clear(&mut self) {
        self.counts.discarded += self.span.take().map_or(0, |span| span.count());
    }

    /// Forgets values up to `value`, as far as a span can tell.
    pub(crate) fn discard_through(&mut self, value: u64) {
        self.counts.discarded += self.span.discard_through(value);
        self.position = self.position.max(Some(value));
    }
}

impl Buffer for WakeBuffer {
    type Item = Span;

    fn take(&mut self) -> Option<Span> {
        let span = self.span.take()?;
        self.counts.deliver_span(span.count());
        self.position = Some(span.last());
        Some(span)
    }
}
