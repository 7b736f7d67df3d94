//! Spans: exact ones, and conservative ones, which may cover more than what matched.

use rangewatch_bus::Seq;

use super::SubscriptionCheck;
use crate::trace::Start;
use crate::{Delivery, Guarantee, Violation};

/// A span as it was received.
pub(super) struct Span {
    pub(super) seqs: (Seq, Seq),
    pub(super) values: (u64, u64),
    pub(super) count: u64,
}

impl SubscriptionCheck<'_> {
    pub(super) fn span_delivery(&mut self, delivery: &Delivery) -> Result<(), Violation> {
        let &Delivery::Span {
            first_seq,
            last_seq,
            first,
            last,
            count,
            is_conservative,
        } = delivery
        else {
            return Ok(());
        };
        let span = Span {
            seqs: (first_seq, last_seq),
            values: (first, last),
            count,
        };
        if is_conservative {
            self.conservative_span(&span)
        } else {
            self.exact_span(&span)
        }
    }

    fn exact_span(&mut self, span: &Span) -> Result<(), Violation> {
        let (first_seq, last_seq) = span.seqs;
        let inexact =
            |detail: String| Err(Violation::at(Guarantee::G13ExactSpan, first_seq, detail));
        if first_seq > last_seq {
            return inexact("the span ends before it begins".to_owned());
        }
        self.reach(last_seq)?;
        let (first, last) = (self.locate(first_seq)?, self.locate(last_seq)?);
        self.arrive(first)?;
        let emitted = (self.expected[first].value, self.expected[last].value);
        if span.values != emitted {
            let values = span.values;
            return inexact(format!(
                "the first and last values are {values:?}, {emitted:?} were emitted"
            ));
        }
        let (count, n_covered) = (span.count, last - first + 1);
        if u64::try_from(n_covered) != Ok(count) {
            return inexact(format!(
                "the span counts {count} emits and covers {n_covered}"
            ));
        }
        self.require_no_conservative_span(first_seq)?;
        self.count_span(count);
        self.depart(first, last);
        Ok(())
    }

    /// A conservative span needs a reason, covers all that matched and counts nothing that did not.
    fn conservative_span(&mut self, span: &Span) -> Result<(), Violation> {
        let (last_seq, (first, last)) = (span.seqs.1, span.values);
        let inexact =
            |detail: String| Err(Violation::at(Guarantee::G13ExactSpan, last_seq, detail));
        if self.missed > 0 {
            // Only a queue of events misses any, and it continues with an event.
            return Err(self.miscounted("a span followed".to_owned()));
        }
        if self.restored_span(span)? {
            return Ok(());
        }
        let from_store = match self.start {
            Start::Live { since, .. } => since.filter(|_| self.next.is_none()),
            Start::History { .. } => None,
        };
        let after_cut = self.cut.map(|cut| cut.saturating_add(1));
        if from_store.max(after_cut) != Some(first) {
            return inexact(format!(
                "the span is conservative from {first} on, without a reason"
            ));
        }
        let emit = self.recorded.emits.get(&last_seq);
        if emit.is_none_or(|emit| emit.value != last) {
            return inexact(format!("the value {last} was not emitted at its end"));
        }
        let next = self.next.unwrap_or(0);
        let end = self.expected.partition_point(|it| it.seq <= last_seq);
        let Some(covered) = self.expected.get(next..end) else {
            let detail = "a span ends before what was received";
            return Err(Violation::at(Guarantee::G1Ordered, last_seq, detail));
        };
        let n_most = covered.len() + self.n_cut_uncounted;
        if usize::try_from(span.count).map_or(true, |count| count > n_most) {
            let count = span.count;
            return inexact(format!(
                "the span counts {count} emits, {n_most} can have matched"
            ));
        }
        self.delivered.extend(covered.iter().map(|it| it.seq));
        self.count_span(span.count);
        self.continue_at(end, (last_seq, last));
        Ok(())
    }

    /// Verifies that the first delivery, at `seq`, need not be a conservative span: without
    /// history, a subscription since a value that was emitted before must begin with one.
    pub(super) fn require_no_conservative_span(&self, seq: Seq) -> Result<(), Violation> {
        let Start::Live {
            before,
            after,
            since: Some(since),
        } = self.start
        else {
            return Ok(());
        };
        let is_first = self.n_deliveries == 0 && self.cut.is_none();
        if !is_first || before != after || self.selectors.starts_empty() {
            return Ok(());
        }
        let last = before.and_then(|before| self.recorded.emits.get(&before));
        if last.is_some_and(|emit| emit.value >= since) {
            let detail = format!("no conservative span from {since} on was received first");
            return Err(Violation::at(Guarantee::G3Reliable, seq, detail));
        }
        Ok(())
    }

    pub(super) fn count_span(&mut self, count: u64) {
        self.counted.delivered += u64::from(count > 0);
        self.counted.coalesced += count.saturating_sub(1);
    }
}
