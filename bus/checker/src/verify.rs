//! The verification of a trace.

use std::collections::BTreeMap;

use rangewatch_bus::{BusStats, Seq};

use crate::checker::{Answer, Emit, Trace};
use crate::course::{Broken, Counted, Course};
use crate::{Guarantee, Verified, Violation};

/// The emits of a trace, by their position.
pub(crate) type Emits<'a> = BTreeMap<Seq, &'a Emit>;

pub(crate) fn verify(trace: &Trace) -> Result<Verified, Violation> {
    let emits = order(trace).map_err(|broken| broken.on(None))?;
    for answer in &trace.answers {
        verify_answer(answer).map_err(|broken| broken.on(None))?;
    }

    let mut verified = Verified {
        n_emits: emits.len(),
        n_subscriptions: trace.subscriptions.len(),
        n_deliveries: 0,
        n_missed: 0,
    };
    let mut sums = Counted::default();
    for (i, subscription) in trace.subscriptions.iter().enumerate() {
        let entries = subscription.entries.lock();
        let mut course = Course::new(&emits, subscription, &entries);
        let gone_through = entries.iter().try_for_each(|entry| course.take(entry));
        gone_through
            .and_then(|()| course.finish())
            .map_err(|broken| broken.on(Some(i)))?;
        let counted = course.counted();
        verified.n_deliveries += course.n_deliveries();
        verified.n_missed = verified.n_missed.saturating_add(counted.missed);
        sums.add(&counted);
    }
    for stats in &trace.stats {
        verify_stats(stats, emits.len(), &sums).map_err(|broken| broken.on(None))?;
    }
    Ok(verified)
}

/// The emits in their order, in which values rise if there is a history.
fn order(trace: &Trace) -> Result<Emits<'_>, Broken> {
    let mut emits = Emits::new();
    for emit in &trace.emits {
        if emits.insert(emit.seq, emit).is_some() {
            let detail = "two emits have the same position";
            return Err(Broken::at(Guarantee::G1Ordered, emit.seq, detail));
        }
    }
    if trace.has_history {
        let pairs = emits.values().zip(emits.values().skip(1));
        for (earlier, later) in pairs {
            if earlier.value >= later.value {
                let (value, before) = (later.value, earlier.value);
                let detail = format!("the value {value} was emitted after {before}");
                return Err(Broken::at(Guarantee::G1Ordered, later.seq, detail));
            }
        }
    }
    Ok(emits)
}

fn verify_answer(answer: &Answer) -> Result<(), Broken> {
    let &Answer {
        since,
        floors: (before, after),
        refused,
    } = answer;
    let broken = |guarantee, detail| {
        Err(Broken {
            guarantee,
            seq: None,
            detail,
        })
    };
    match refused {
        None if since < before => {
            let detail = format!("since {since} was accepted below the floor, {before}");
            broken(Guarantee::G7NoSilentGap, detail)
        }
        Some(_) if since >= after => {
            let detail = format!("since {since} was refused, the floor was {after} at most");
            broken(Guarantee::G8SinceFloor, detail)
        }
        Some(floor) if floor <= since || floor < before || floor > after => {
            let detail = format!(
                "since {since} was refused with the floor {floor}, which was {before} to {after}"
            );
            broken(Guarantee::G7NoSilentGap, detail)
        }
        _ => Ok(()),
    }
}

fn verify_stats(stats: &BusStats, n_emits: usize, sums: &Counted) -> Result<(), Broken> {
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
    Err(Broken {
        guarantee: Guarantee::G35Conservation,
        seq: None,
        detail,
    })
}

impl Broken {
    fn on(self, subscription: Option<usize>) -> Violation {
        let Self {
            guarantee,
            seq,
            detail,
        } = self;
        Violation {
            guarantee,
            subscription,
            seq,
            detail,
        }
    }
}
