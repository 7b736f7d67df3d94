//! Wake subscriptions of the reference.

use crate::bus::Emit;
use crate::got::{Got, Summary};
use crate::totals::Totals;

#[derive(Debug)]
pub(crate) struct TwinWake {
    span: Option<Summary>,
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
        self.position = Some(span.last);
        Some(Got::Span(span))
    }

    pub(crate) fn begin_after(&mut self, head: Option<u64>) {
        self.position = self.position.max(head);
    }

    pub(crate) fn clear(&mut self) {
        self.totals = self.totals().departed();
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
