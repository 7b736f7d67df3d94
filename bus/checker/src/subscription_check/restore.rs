//! Restores: a subscription that watches something receives nothing across one without notice.

use rangewatch_bus::{RecvError, Seq};

use super::SubscriptionCheck;
use super::span::Span;
use crate::epoch::Epoch;
use crate::expected::Expected;
use crate::trace::Start;
use crate::{Guarantee, Violation};

impl SubscriptionCheck<'_> {
    /// The epoch of what is expected next.
    pub(super) fn current(&self) -> &Epoch<'_> {
        &self.recorded.epochs[self.epoch]
    }

    /// Verifies that the subscription can reach the emit at `seq` without notice of a restore.
    pub(super) fn reach(&mut self, seq: Seq) -> Result<(), Violation> {
        let epoch = self.recorded.epoch_of(seq);
        if epoch <= self.epoch {
            return Ok(());
        }
        if self.silent_epoch() < epoch {
            let detail = "the subscription goes on across a restore that nothing has reported";
            return Err(Violation::at(Guarantee::G7NoSilentGap, seq, detail));
        }
        self.cross(epoch);
        Ok(())
    }

    /// Moves to the epoch that a progress mark must be of.
    pub(super) fn reach_mark(&mut self, mark: u64) {
        let epoch = self.silent_epoch();
        if Some(mark) > self.current().head() && epoch > self.epoch {
            self.cross(epoch);
        }
    }

    /// Verifies that nothing has to report a restore before the bus is closed.
    pub(super) fn reach_close(&mut self) -> Result<(), Violation> {
        let last = self.recorded.epochs.len() - 1;
        if self.silent_epoch() < last {
            let detail = "the bus is closed, and no restore before that was reported".to_owned();
            return Err(self.violation(Guarantee::G7NoSilentGap, detail));
        }
        if self.epoch < last {
            self.cross(last);
        }
        Ok(())
    }

    /// The last epoch that can be reached without notice: a subscription that watches nothing, as a
    /// reserved one, has nothing to report.
    fn silent_epoch(&self) -> usize {
        let later = &self.recorded.epochs[self.epoch + 1..];
        let silent = later
            .iter()
            .take_while(|epoch| !self.selectors.surely_watch(epoch.first));
        self.epoch + silent.count()
    }

    /// Continues with the first emit of an epoch.
    fn cross(&mut self, epoch: usize) {
        // The matches of what is passed over count in the statistics.
        for passed in self.epoch..epoch {
            self.n_cut += if passed == self.epoch {
                self.expected.len()
            } else {
                self.expected_in(passed).len()
            };
        }
        self.is_uncountable |= self.cut.is_some() || matches!(self.start, Start::History { .. });
        self.epoch = epoch;
        self.expected = self.expected_in(epoch);
        let before = Seq::new(self.current().first.get() - 1);
        self.start = Start::Live {
            before,
            after: before,
            since: None,
        };
        self.next = Some(0);
        self.missed = 0;
        self.cut = None;
        self.n_cut_uncounted = 0;
        self.n_cut_runs = 0;
        self.is_cut_reported = false;
        self.mark = None;
    }

    /// Whether `end` is that of an event subscription at a later restore.
    pub(super) fn is_end_by_restore(&self, end: &RecvError) -> bool {
        let &RecvError::Compacted { floor, epoch } = end else {
            return false;
        };
        let mut later = self.recorded.epochs[self.epoch + 1..].iter();
        later.any(|later| later.is_called(epoch) && later.floor() == floor)
    }

    /// Verifies a conservative span if it is that of a restore. Returns whether it is: it begins
    /// at 0, covers what was pending, and reaches a later epoch.
    pub(super) fn restored_span(&mut self, span: &Span) -> Result<bool, Violation> {
        let (last_seq, (first, last)) = (span.seqs.1, span.values);
        let Some(epoch) = self.restored_by(last_seq, last).filter(|_| first == 0) else {
            return Ok(false);
        };
        let of_epoch = self.expected_in(epoch);
        let n_covered = of_epoch.partition_point(|it| it.seq <= last_seq);
        let n_passed = (self.epoch + 1..epoch).map(|passed| self.expected_in(passed).len());
        let pending = self
            .expected
            .get(self.next.unwrap_or(0)..)
            .unwrap_or_default();
        let n_pending = match epoch == self.epoch {
            // It was restored twice in a row.
            true => 0,
            false => pending.len() + n_passed.sum::<usize>() + n_covered,
        };
        let n_most = n_pending + self.n_cut_uncounted;
        let count = usize::try_from(span.count).unwrap_or(usize::MAX);
        let n_fewest = match self.next {
            _ if self.n_cut_uncounted > 0 => 0,
            Some(_) => n_most,
            None => n_most.saturating_sub(self.latest_start()),
        };
        if count > n_most || count < n_fewest {
            let detail = format!("the span of a restore counts {count} emits of {n_most}");
            return Err(Violation::at(Guarantee::G13ExactSpan, last_seq, detail));
        }
        if epoch > self.epoch {
            self.delivered.extend(pending.iter().map(|it| it.seq));
            self.cross(epoch);
        }
        let covered = self.expected[..n_covered].iter();
        self.delivered.extend(covered.map(|it| it.seq));
        self.count_span(span.count);
        self.continue_at(n_covered, (last_seq, last));
        Ok(true)
    }

    /// The epoch up to which the span of a restore can reach that ends with `last` at `last_seq`:
    /// the last one, if several can be meant.
    fn restored_by(&self, last_seq: Seq, last: u64) -> Option<usize> {
        let epochs = &self.recorded.epochs;
        let can_reach = |epoch: usize| {
            let (begun, before) = (&epochs[epoch], &epochs[epoch - 1]);
            let at_restore = Seq::new(begun.first.get() - 1).unwrap_or(begun.first);
            let is_head = last_seq == at_restore && last == begun.restored.unwrap_or(0);
            let mut of_epoch = self.expected_in(epoch).into_iter();
            let is_emit = of_epoch.any(|it| (it.seq, it.value) == (last_seq, last));
            let is_later = epoch > self.epoch || begun.first == before.first;
            is_later && (is_head || is_emit)
        };
        (self.epoch.max(1)..epochs.len())
            .rev()
            .find(|epoch| can_reach(*epoch))
    }
}

impl<'a> SubscriptionCheck<'a> {
    fn expected_in(&self, epoch: usize) -> Vec<Expected<'a>> {
        let emits = self.recorded.emits_of(epoch);
        emits
            .filter_map(|emit| Expected::new(emit, &self.selectors))
            .collect()
    }

    /// How many emits of later epochs up to `through` match.
    pub(super) fn n_expected_later(&self, through: Option<Seq>) -> usize {
        let later = self.epoch + 1..self.recorded.epochs.len();
        let later = later.flat_map(|epoch| self.expected_in(epoch));
        later.filter(|it| Some(it.seq) <= through).count()
    }
}
