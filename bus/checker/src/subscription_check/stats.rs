//! The statistics of a subscription.

use rangewatch_bus::{RecvError, Seq, Stats};

use super::SubscriptionCheck;
use crate::trace::Start;
use crate::{Guarantee, Violation};

/// What was recorded, in the terms of the statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) delivered: u64,
    pub(crate) coalesced: u64,
    pub(crate) missed: u64,
}

impl SubscriptionCheck<'_> {
    pub(super) fn at_rest(&self, through: Option<Seq>, stats: &Stats) -> Result<(), Violation> {
        self.recorded.check_through(self.start.before(), through)?;
        let Counted {
            delivered,
            coalesced,
            missed,
        } = self.counted;
        // What ends a subscription counts as dropped from then on, and is reported with the end.
        let most_dropped = match self.end {
            None => missed.saturating_add(1),
            Some(_) => u64::MAX,
        };
        let detail = if !stats.is_conserved() {
            format!("the statistics do not add up: {stats:?}")
        } else if (stats.delivered(), stats.coalesced()) != (delivered, coalesced) {
            format!("{stats:?} is counted, {:?} was recorded", self.counted)
        } else if stats.dropped() < missed || stats.dropped() > most_dropped {
            format!("{stats:?} is counted, and {missed} were reported as missed")
        } else if let Some(expected) = self.mismatch(through, stats) {
            format!("{stats:?} is counted, {expected} matched")
        } else {
            return Ok(());
        };
        Err(self.violation(Guarantee::G35Conservation, detail))
    }

    /// How many can have matched up to `through`, if `stats` count another number.
    fn mismatch(&self, through: Option<Seq>, stats: &Stats) -> Option<String> {
        let n_expected = self
            .expected
            .partition_point(|expected| Some(expected.seq) <= through)
            + self.n_cut;
        // A wake subscription matches what comes after a restore, also before it has received the
        // span of that.
        let n_later = match self.has_received_events {
            true => 0,
            false => self.n_expected_later(through),
        };
        let n_later = u64::try_from(n_later).unwrap_or(u64::MAX);
        let n_expected = u64::try_from(n_expected).unwrap_or(u64::MAX);
        let n_concurrent = u64::try_from(self.latest_start()).unwrap_or(u64::MAX);
        let fewest = match self.start {
            // What was not read from the history is not counted, nor what came after the end.
            Start::History { .. } => 0,
            Start::Live { .. } if self.cut.is_some() || self.has_ended_early() => 0,
            Start::Live { .. } if self.is_uncountable => 0,
            Start::Live { .. } => n_expected.saturating_sub(n_concurrent),
        };
        let most = n_expected.saturating_add(n_later);
        let is_expected = (fewest..=most).contains(&stats.matched());
        (!is_expected).then(|| format!("{fewest} to {most}"))
    }

    /// Whether the subscription ended before its bus.
    const fn has_ended_early(&self) -> bool {
        matches!(
            self.end,
            Some(RecvError::Disconnected { .. } | RecvError::Compacted { .. })
        )
    }
}

impl Counted {
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.coalesced += other.coalesced;
        self.missed = self.missed.saturating_add(other.missed);
    }
}
