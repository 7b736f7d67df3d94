//! Wake subscriptions of the reference.

use crate::bus::Emit;
use crate::got::{Got, Summary};
use crate::totals::Totals;

#[derive(Debug)]
pub(crate) struct TwinWake {
    span: Option<Summary>,
    /// Whether the span is that of a restore.
    is_restored: bool,
    position: Option<u64>,
    totals: Totals,
}

impl TwinWake {
    /// Begins with `span`.
    pub(crate) fn new(span: Option<Summary>, position: Option<u64>) -> Self {
        let totals = Totals {
            matched: span.as_ref().map_or(0, Summary::n_emits),
            ..Totals::default()
        };
        Self {
            span,
            is_restored: false,
            position,
            totals,
        }
    }

    /// Takes the last of `emits`, which matched.
    pub(crate) fn push(&mut self, emits: &[Emit]) {
        let i = emits.len() - 1;
        let value = emits[i].value;
        self.totals.matched += 1;
        match &mut self.span {
            Some(span) => span.push(i, value),
            None => self.span = Some(Summary::of(i, value)),
        }
    }

    pub(crate) fn take(&mut self) -> Option<Got> {
        let span = self.span.take()?;
        self.totals.delivered += u64::from(span.n_emits() > 0);
        self.totals.coalesced += span.n_emits().saturating_sub(1);
        // Without a head, 0 is yet to be emitted.
        if !std::mem::take(&mut self.is_restored) || span.last > 0 {
            self.position = Some(span.last);
        }
        Some(Got::Span(span))
    }

    pub(crate) fn begin_after(&mut self, head: Option<u64>) {
        self.position = self.position.max(head);
    }

    /// Everything up to `head` is to be rescanned, if it watches something or holds a span.
    pub(crate) fn restore(&mut self, head: Option<u64>, n_emits: u64, watches: bool) {
        if !watches && self.span.is_none() {
            self.position = head;
            return;
        }
        self.span = Some(Summary {
            first: 0,
            last: head.unwrap_or(0),
            first_seq: 1,
            last_seq: n_emits.max(1),
            count: self.span.as_ref().map_or(0, Summary::n_emits),
            is_conservative: true,
        });
        self.is_restored = true;
        self.position = None;
    }

    pub(crate) const fn is_restored(&self) -> bool {
        self.is_restored
    }

    pub(crate) fn clear(&mut self) {
        self.totals = self.totals().departed();
        self.is_restored = false;
        self.span = None;
    }

    pub(crate) fn discard_through(&mut self, value: u64) {
        match &mut self.span {
            Some(span) if span.last > value => span.cut(value),
            _ => {
                self.totals.discarded += self.span.take().map_or(0, |span| span.n_emits());
            }
        }
        self.position = self.position.max(Some(value));
    }

    pub(crate) const fn position(&self) -> Option<u64> {
        self.position
    }

    pub(crate) fn lag(&self) -> u64 {
        self.span.as_ref().map_or(0, |span| span.n_emits().max(1))
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            pending: self.span.as_ref().map_or(0, Summary::n_emits),
            ..self.totals
        }
    }
}
