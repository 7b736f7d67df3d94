//! The tail of an event queue, behind its entries.

use crate::Seq;
use crate::subscription::{Span, SpanBuffer};

/// The open gap and the progress mark, in this order. `None` if there is neither, the common case.
pub(crate) struct Tail(Option<TailItems>);

struct TailItems {
    /// Coalesced events. The gap is open until there is room behind the entries.
    gap: SpanBuffer,
    mark: Option<u64>,
}

impl Tail {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn has_gap(&self) -> bool {
        self.0.as_ref().is_some_and(|tail| !tail.gap.is_empty())
    }

    /// The number of emits in the gap.
    pub(crate) fn n_in_gap(&self) -> u64 {
        self.0.as_ref().map_or(0, |tail| tail.gap.count())
    }

    /// Coalesces an emit into the gap. The mark is received after the gap, so its value is raised.
    pub(crate) fn merge(&mut self, seq: Seq, value: u64) {
        let tail = self.0.get_or_insert(TailItems::EMPTY);
        tail.gap.push(seq, value);
        if let Some(mark) = &mut tail.mark {
            *mark = value;
        }
    }

    pub(crate) fn take_gap(&mut self) -> Option<Span> {
        let tail = self.0.as_mut()?;
        let gap = tail.gap.take();
        self.tidy();
        gap
    }

    /// Sets the mark, replacing an earlier one.
    pub(crate) fn set_mark(&mut self, mark: u64) {
        self.0.get_or_insert(TailItems::EMPTY).mark = Some(mark);
    }

    pub(crate) fn take_mark(&mut self) -> Option<u64> {
        let mark = self.0.as_mut()?.mark.take();
        self.tidy();
        mark
    }

    /// Discards what has a value up to `value`. Returns the number of emits discarded from the gap.
    pub(crate) fn discard_through(&mut self, value: u64) -> u64 {
        let Some(tail) = &mut self.0 else {
            return 0;
        };
        tail.mark = tail.mark.filter(|mark| *mark > value);
        let n_discarded = tail.gap.discard_through(value);
        self.tidy();
        n_discarded
    }

    /// Restores the invariant that an empty tail is `None`.
    fn tidy(&mut self) {
        self.0
            .take_if(|tail| tail.gap.is_empty() && tail.mark.is_none());
    }
}

impl TailItems {
    const EMPTY: Self = Self {
        gap: SpanBuffer::new(),
        mark: None,
    };
}
