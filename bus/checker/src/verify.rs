//! The verification of a trace.

use std::collections::BTreeMap;

use rangewatch_bus::{BusStats, Seq};

use crate::epoch::Epoch;
use crate::log::Entry;
use crate::subscription_check::{Counted, SubscriptionCheck};
use crate::trace::{Emit, SinceResult, Subscription, Trace};
use crate::{Guarantee, Verified, Violation};

/// What was recorded of the bus itself.
pub(crate) struct Recorded<'a> {
    /// The emits by their position, without gaps.
    pub(crate) emits: BTreeMap<Seq, &'a Emit>,
    pub(crate) epochs: Vec<Epoch<'a>>,
    pub(crate) has_history: bool,
}

pub(crate) fn verify(trace: &Trace) -> Result<Verified, Violation> {
    let recorded = Recorded::new(trace)?;
    trace
        .since_results
        .iter()
        .try_for_each(|result| verify_since_result(result, &recorded))?;

    let mut verified = Verified {
        n_emits: recorded.emits.len(),
        n_subscriptions: trace.subscriptions.len(),
        n_deliveries: 0,
        n_missed: 0,
    };
    let mut sums = Counted::default();
    for (i, subscription) in trace.subscriptions.iter().enumerate() {
        let entries = subscription.entries.lock();
        let check = check(&recorded, subscription, &entries);
        let check = check.map_err(|violation| violation.on(i))?;
        let counted = check.counted();
        verified.n_deliveries += check.n_deliveries();
        verified.n_missed = verified.n_missed.saturating_add(counted.missed);
        sums.add(&counted);
    }
    for stats in &trace.stats {
        verify_stats(stats, recorded.emits.len(), &sums)?;
    }
    Ok(verified)
}

/// Verifies the log of a subscription, for one of the epochs in which it may have been made.
fn check<'a>(
    recorded: &'a Recorded<'a>,
    subscription: &'a Subscription,
    entries: &'a [Entry],
) -> Result<SubscriptionCheck<'a>, Violation> {
    let check = |epoch| {
        let mut check = SubscriptionCheck::new(recorded, subscription, entries, epoch)?;
        entries.iter().try_for_each(|entry| check.check(entry))?;
        check.finish().map(|()| check)
    };
    let mut epochs = subscription.epochs.clone();
    let last = recorded.epochs.len() - 1;
    let first = check((*epochs.start()).min(last));
    epochs.next();
    epochs
        .filter(|epoch| *epoch <= last)
        .fold(first, |checked, epoch| {
            checked.or_else(|violation| check(epoch).map_err(|_| violation))
        })
}

impl<'a> Recorded<'a> {
    /// Verifies that every emit has its own position, that no position is left out, and that values
    /// increase in each epoch if there is a history.
    fn new(trace: &'a Trace) -> Result<Self, Violation> {
        let mut emits: BTreeMap<_, &Emit> = BTreeMap::new();
        for emit in &trace.emits {
            if emits.insert(emit.seq, emit).is_some() {
                let detail = "two emits have the same position";
                return Err(Violation::at(Guarantee::G1Ordered, emit.seq, detail));
            }
        }
        for (earlier, later) in emits.values().zip(emits.values().skip(1)) {
            if later.seq > next_seq(Some(earlier.seq)) {
                return Err(not_recorded(next_seq(Some(earlier.seq))));
            }
        }
        let last_between = |first: Seq, end: Option<Seq>| match end {
            Some(end) if end <= first => None,
            Some(end) => emits.range(first..end).next_back(),
            None => emits.range(first..).next_back(),
        };
        let epochs = Epoch::all(trace, |first, end| Some(*last_between(first, end)?.1));
        let recorded = Self {
            emits,
            epochs,
            has_history: trace.has_history,
        };
        recorded.check_order().map(|()| recorded)
    }

    /// Verifies that restores were recorded in their order, and that values increase from one to
    /// the next.
    fn check_order(&self) -> Result<(), Violation> {
        let violation = |seq, detail| Err(Violation::at(Guarantee::G1Ordered, seq, detail));
        for epoch in &self.epochs {
            if epoch.end.is_some_and(|end| end < epoch.first) {
                let detail = "a restore was recorded after a later one".to_owned();
                return violation(epoch.first, detail);
            }
        }
        let (mut last, mut epoch) = (None, 0);
        for emit in self.emits.values().filter(|_| self.has_history) {
            let of_emit = self.epoch_of(emit.seq);
            if std::mem::replace(&mut epoch, of_emit) != of_emit {
                last = self.epochs[of_emit].restored;
            }
            if let Some(before) = last.filter(|before| *before >= emit.value) {
                let detail = format!("the value {} was emitted after {before}", emit.value);
                return violation(emit.seq, detail);
            }
            last = Some(emit.value);
        }
        Ok(())
    }

    pub(crate) fn last_seq(&self) -> Option<Seq> {
        self.emits.keys().next_back().copied()
    }

    /// The emits of an epoch.
    pub(crate) fn emits_of(&self, epoch: usize) -> impl Iterator<Item = &'a Emit> {
        let epoch = &self.epochs[epoch];
        let since = self.emits.range(epoch.first..).map(|(_, emit)| *emit);
        since.take_while(|emit| epoch.contains(emit.seq))
    }

    /// The epoch of an emit.
    pub(crate) fn epoch_of(&self, seq: Seq) -> usize {
        let n_begun = self.epochs.partition_point(|epoch| epoch.first <= seq);
        n_begun.saturating_sub(1)
    }

    /// Verifies that the first emit after `before` was recorded, if any emit was.
    pub(crate) fn check_from(&self, before: Option<Seq>) -> Result<(), Violation> {
        match self.emits.keys().next() {
            Some(first) if *first > next_seq(before) => Err(not_recorded(next_seq(before))),
            _ => Ok(()),
        }
    }

    /// Verifies that the emits after `before` were recorded up to `through`.
    pub(crate) fn check_through(
        &self,
        before: Option<Seq>,
        through: Option<Seq>,
    ) -> Result<(), Violation> {
        let last = self.last_seq().max(before);
        if through > last {
            return Err(not_recorded(next_seq(last)));
        }
        Ok(())
    }
}

fn next_seq(seq: Option<Seq>) -> Seq {
    let next = seq.map_or(1, |seq| seq.get().saturating_add(1));
    Seq::new(next).expect("it is at least 1")
}

fn not_recorded(seq: Seq) -> Violation {
    let detail = "no emit was recorded at this position: record every emit of the bus";
    Violation::at(Guarantee::G1Ordered, seq, detail)
}

fn verify_since_result(result: &SinceResult, recorded: &Recorded<'_>) -> Result<(), Violation> {
    let &SinceResult {
        since,
        floors: (before, after),
        compacted,
    } = result;
    let violation = |guarantee, detail| Err(Violation::new(guarantee, None, detail));
    match compacted {
        None if since < before => {
            let detail = format!("since {since} was accepted below the floor, {before}");
            violation(Guarantee::G7NoSilentGap, detail)
        }
        Some(_) if since >= after => {
            let detail = format!("since {since} failed, the floor was {after} at most");
            violation(Guarantee::G8SinceFloor, detail)
        }
        Some(floor) if floor <= since || floor < before || floor > after => {
            let detail = format!(
                "since {since} failed with the floor {floor}, which was {before} to {after}"
            );
            violation(Guarantee::G7NoSilentGap, detail)
        }
        _ if !recorded.has_history => {
            let detail = format!("since {since} needs a history, and none is recorded");
            violation(Guarantee::G7NoSilentGap, detail)
        }
        _ => Ok(()),
    }
}

fn verify_stats(stats: &BusStats, n_emits: usize, sums: &Counted) -> Result<(), Violation> {
    let deliveries = stats.deliveries();
    let detail = if !deliveries.is_conserved() {
        format!("the statistics of the bus do not add up: {deliveries:?}")
    } else if usize::try_from(stats.n_emits()) != Ok(n_emits) {
        format!("the bus counts {} emits of {n_emits}", stats.n_emits())
    } else if (deliveries.delivered(), deliveries.coalesced()) != (sums.delivered, sums.coalesced) {
        format!("the bus counts {deliveries:?}, {sums:?} were recorded")
    } else {
        return Ok(());
    };
    Err(Violation::new(Guarantee::G35Conservation, None, detail))
}
