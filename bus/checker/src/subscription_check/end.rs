//! Receives that found nothing, and the end of a subscription.

use rangewatch_bus::{RecvError, Seq};

use super::SubscriptionCheck;
use crate::{Guarantee, Violation};

impl SubscriptionCheck<'_> {
    /// A receive found nothing after every emit up to `through` had returned.
    pub(super) fn found_nothing(&mut self, through: Option<Seq>) -> Result<(), Violation> {
        self.recorded.check_through(self.start.before(), through)?;
        if self.end.is_some() || self.is_discarded {
            return Ok(());
        }
        if let Some(through) = through {
            self.reach(through)?;
        }
        let n_expected = self
            .expected
            .partition_point(|expected| Some(expected.seq) <= through);
        self.nothing_left(n_expected)?;
        if let Some(through) = through {
            self.require_no_conservative_span(through)?;
        }
        match self.next {
            None if through < self.start.after() => {}
            // No emit that was concurrent with the start was received, so the subscription started
            // after them.
            _ => self.next = self.next.max(Some(n_expected)),
        }
        self.caught_up = self.caught_up.max(through);
        self.missed = 0;
        Ok(())
    }

    /// Verifies that none of the first `n_expected` emits is outstanding.
    fn nothing_left(&self, n_expected: usize) -> Result<(), Violation> {
        if self.missed > 0 {
            // An event that never fits may be the last one missed, so that no delivery follows.
            return match self.skipped(n_expected) {
                Some((fewest, most)) => {
                    let most = most.saturating_add(self.n_cut_reportable(n_expected));
                    self.check_missed(fewest, most, None)
                }
                None => Err(self.miscounted("more than there were".to_owned())),
            };
        }
        match self.next {
            Some(next) if next < n_expected => {
                Err(self.missing(next, "a later receive found nothing"))
            }
            None if self.latest_start() < n_expected => Err(self.missed_start()),
            _ => Ok(()),
        }
    }

    /// What was left in the history is lost, unless there was none: after a miss.
    fn ended_by_restore(&self) -> Result<(), Violation> {
        match self.missed {
            0 => Ok(()),
            _ => self.nothing_left(self.expected.len()),
        }
    }

    pub(super) fn ended(&mut self, end: &RecvError) -> Result<(), Violation> {
        if self.end.is_some() {
            return Ok(());
        }
        match end {
            &RecvError::Disconnected { resume } => self.disconnected(resume)?,
            RecvError::Compacted { .. } if self.is_end_by_restore(end) => {
                self.ended_by_restore()?
            }
            &RecvError::Compacted { floor, epoch } => self.compacted(floor, epoch)?,
            // No emit was accepted after the close, so all of them are expected.
            RecvError::Closed if !self.is_discarded => {
                self.reach_close()?;
                let drained = self.nothing_left(self.expected.len());
                drained.map_err(|violation| Violation {
                    guarantee: Guarantee::G27Draining,
                    ..violation
                })?;
                self.missed = 0;
            }
            _ => {}
        }
        self.end = Some(*end);
        Ok(())
    }

    fn disconnected(&self, resume: u64) -> Result<(), Violation> {
        let (first, last) = match self.next {
            Some(next) => (next, next),
            None => (0, self.latest_start()),
        };
        let last = last.min(self.expected.len().saturating_sub(1));
        let candidates = self.expected.get(first..=last).unwrap_or_default();
        // A start after a value moves the value to resume from to the one after it.
        let is_expected = candidates.iter().any(|expected| expected.value == resume)
            || self.cut.map(|cut| cut.saturating_add(1)) == Some(resume);
        if self.missed > 0 || !is_expected {
            let expected = candidates.first().map(|expected| expected.value);
            let detail = format!("the value to resume from is {resume}, not {expected:?}");
            return Err(self.violation(Guarantee::G19Disconnect, detail));
        }
        Ok(())
    }

    fn compacted(&self, floor: u64, epoch: u64) -> Result<(), Violation> {
        let violation = |detail| Err(self.violation(Guarantee::G7NoSilentGap, detail));
        if !self.recorded.has_history {
            return violation("a bus without history has no floor".to_owned());
        }
        if self.missed > 0 {
            // Only a live subscription misses events, and only one that reads the history ends so.
            return violation("no event followed the report of missed events".to_owned());
        }
        if !self.current().is_called(epoch) {
            return violation(format!(
                "the epoch {epoch} is not that of the subscription, and no restore was recorded: \
                 use `Checker::restore`"
            ));
        }
        let greatest = self.current().greatest_floor();
        if floor > greatest {
            return violation(format!(
                "the floor {floor} is above the greatest recorded, {greatest}: if the bus \
                 compacted, record that with `Checker::observe`"
            ));
        }
        let in_epoch = |seq: &Seq| self.current().contains(*seq);
        let caught_up = self
            .caught_up
            .filter(in_epoch)
            .and_then(|seq| self.recorded.emits.get(&seq))
            .map(|emit| emit.value);
        let last = self.last.filter(|(seq, _)| in_epoch(seq));
        let last = last.map(|(_, value)| value);
        let received = [last, self.mark, self.cut, caught_up, self.start.since()];
        if floor == 0 || received.into_iter().max().flatten() >= Some(floor) {
            return violation(format!(
                "nothing that the subscription had yet to receive lay below the floor {floor}"
            ));
        }
        Ok(())
    }
}
