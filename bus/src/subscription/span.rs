//! Spans.

use std::fmt;

use crate::Seq;

/// A summary of the matching emits since the last receive of a
/// [`WakeSubscription`](crate::WakeSubscription).
///
/// A span stands for one emit or more. It is exact: it covers the emits that matched the
/// subscription after the previous span, and no others. "First" and "last" are in the order of the
/// emits, not of the values: on a bus without history, `last` may be less than `first`.
///
/// The exception is a [conservative](Self::is_conservative) span, which covers at least the emits
/// that matched.
///
/// An event subscription receives a span for a gap, with
/// [`Overflow::Coalesce`](crate::Overflow::Coalesce).
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe(..).wake()?;
/// for value in [3, 1, 2] {
///     bus.emit(value, ["k"])?;
/// }
/// let span = sub.try_recv()?;
/// assert_eq!((span.first(), span.last(), span.count()), (3, 2, 3));
/// assert_eq!((span.first_seq().get(), span.last_seq().get()), (1, 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Span {
    first: u64,
    last: u64,
    /// The number of emits, and in the lowest bits whether the span is conservative and whether a
    /// restore is the reason: as fields of their own those would take eight bytes of each
    /// subscription.
    count: u64,
    first_seq: Seq,
    last_seq: Seq,
}

/// One emit in [`Span::count`], above the bits.
const ONE: u64 = 4;
const RESTORED: u64 = 2;
const CONSERVATIVE: u64 = 1;

impl Span {
    const fn new(seq: Seq, value: u64) -> Self {
        Self {
            first: value,
            last: value,
            count: ONE,
            first_seq: seq,
            last_seq: seq,
        }
    }

    /// A span from the value `first` to the value `last`, which was emitted at
    /// `last_seq`, when it is not known which emits matched.
    pub(crate) const fn conservative(first: u64, last: u64, last_seq: Seq) -> Self {
        Self {
            first,
            last,
            count: CONSERVATIVE,
            first_seq: Seq::FIRST,
            last_seq,
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
    ///
    /// A conservative span counts the emits that are known to have matched, possibly none; one that
    /// [`start_after`](crate::WakeSubscription::start_after) has cut also counts those that were
    /// cut off.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count / ONE
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

    /// Whether the span may cover more than what matched: its first value is a lower bound, its
    /// count is not exact.
    ///
    /// True for the first span of a subscription with [`since`](crate::SubscribeBuilder::since) on
    /// a bus without history, for a span that
    /// [`start_after`](crate::WakeSubscription::start_after) has cut, and for the first after a
    /// [restore](crate::RangeWatchBus::restore), which begins at 0.
    #[must_use]
    pub const fn is_conservative(&self) -> bool {
        self.count & CONSERVATIVE != 0
    }

    /// Whether it covers all values of an epoch.
    const fn is_restored(&self) -> bool {
        self.count & RESTORED != 0
    }

    /// The value up to which it covers everything. That of a restore without a head ends at 0,
    /// which may be emitted after it.
    pub(crate) fn covered(&self) -> Option<u64> {
        Some(self.last).filter(|last| *last > 0 || !self.is_restored())
    }

    /// Cuts off the values up to `value`, of a span that ends above.
    pub(crate) fn clip(&mut self, value: u64) {
        if self.first <= value {
            self.first = value.saturating_add(1);
            self.count |= CONSERVATIVE;
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("first", &self.first)
            .field("last", &self.last)
            .field("count", &self.count())
            .field("first_seq", &self.first_seq)
            .field("last_seq", &self.last_seq)
            .field("is_conservative", &self.is_conservative())
            .finish()
    }
}

/// The pending span of a wake subscription or of a gap.
#[derive(Debug)]
pub(crate) struct SpanBuffer(Option<Span>);

impl SpanBuffer {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) const fn of(span: Option<Span>) -> Self {
        Self(span)
    }

    /// Adds an emit, which must be later than those before.
    pub(crate) fn push(&mut self, seq: Seq, value: u64) {
        match &mut self.0 {
            Some(span) => {
                span.last = value;
                span.last_seq = seq;
                // More emits than 62 bits can count take a century.
                span.count = span.count.wrapping_add(ONE);
            }
            empty @ None => *empty = Some(Span::new(seq, value)),
        }
    }

    /// Makes it a span of all values up to `head`. It counts what it has counted.
    pub(crate) fn restore(&mut self, head: Option<u64>, last_seq: Option<Seq>) {
        let last_seq = last_seq.unwrap_or(Seq::FIRST);
        let mut span = Span::conservative(0, head.unwrap_or(0), last_seq);
        span.count |= (self.count() * ONE) | RESTORED;
        self.0 = Some(span);
    }

    /// Whether there is one that covers all values of an epoch.
    pub(crate) fn is_restored(&self) -> bool {
        self.0.as_ref().is_some_and(Span::is_restored)
    }

    /// Puts a span of earlier emits in front.
    pub(crate) fn put_in_front(&mut self, earlier: Option<Span>) {
        let Some(mut span) = earlier else {
            return;
        };
        if let Some(later) = self.0.as_mut().filter(|later| later.is_restored()) {
            later.count = later.count.wrapping_add(span.count / ONE * ONE);
            return;
        }
        if let Some(later) = self.0 {
            span.last = later.last;
            span.last_seq = later.last_seq;
            span.count = span.count.wrapping_add(later.count / ONE * ONE);
        }
        self.0 = Some(span);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The number of emits that are known to have matched.
    pub(crate) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Span::count)
    }

    /// The number of emits to be received, at least 1 if there is a span.
    pub(crate) fn lag(&self) -> u64 {
        self.0.as_ref().map_or(0, |span| span.count().max(1))
    }

    pub(crate) const fn take(&mut self) -> Option<Span> {
        self.0.take()
    }

    /// Discards the span if it ends at `value` or below, else cuts it. Returns the number of emits
    /// discarded.
    pub(crate) fn discard_through(&mut self, value: u64) -> u64 {
        match &mut self.0 {
            Some(span) if span.last > value => {
                span.clip(value);
                0
            }
            _ => self.0.take().map_or(0, |span| span.count()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g13_a_span_that_an_earlier_one_is_put_in_front_of_has_the_ends_of_both() {
        let span = |values: std::ops::RangeInclusive<u64>| {
            let mut buffer = SpanBuffer::new();
            for value in values {
                buffer.push(Seq::new(10 + value).unwrap(), value);
            }
            buffer
        };
        let mut buffer = span(5..=6);
        buffer.put_in_front(span(1..=3).take());
        let joined = buffer.take().unwrap();
        assert_eq!((joined.first(), joined.last(), joined.count()), (1, 6, 5));
        let seqs = (joined.first_seq(), joined.last_seq());
        assert_eq!(seqs, (Seq::new(11).unwrap(), Seq::new(16).unwrap()));
        for (mut one, other) in [(span(1..=3), None), (SpanBuffer::new(), span(1..=3).take())] {
            one.put_in_front(other);
            assert_eq!(one.take(), span(1..=3).take());
        }
    }
}
