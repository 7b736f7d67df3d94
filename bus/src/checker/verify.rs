//! The verification of a trace.

use std::collections::{BTreeMap, HashSet};

use super::{Delivery, Emit, Guarantee, Subscription, Trace, Verified, Violation};
use crate::Seq;

/// The emits of a trace, by their position.
type Emits<'a> = BTreeMap<Seq, &'a Emit>;

pub(super) fn verify(trace: &Trace) -> Result<Verified, Violation> {
    let mut emits = Emits::new();
    for emit in &trace.emits {
        if emits.insert(emit.seq, emit).is_some() {
            return Err(Violation {
                guarantee: Guarantee::G1Ordered,
                subscription: None,
                seq: Some(emit.seq),
                detail: "two emits have the same position".to_owned(),
            });
        }
    }

    let mut verified = Verified {
        n_emits: emits.len(),
        n_subscriptions: trace.subscriptions.len(),
        n_deliveries: 0,
        n_missed: 0,
    };
    for (i, subscription) in trace.subscriptions.iter().enumerate() {
        let mut replay = Replay::new(&emits, subscription);
        let deliveries = subscription.deliveries.lock();
        let replayed = deliveries
            .iter()
            .try_for_each(|delivery| replay.deliver(delivery));
        replayed.and_then(|()| replay.finish()).map_err(
            |Broken {
                 guarantee,
                 seq,
                 detail,
             }| {
                Violation {
                    guarantee,
                    subscription: Some(i),
                    seq,
                    detail,
                }
            },
        )?;
        verified.n_deliveries += replay.n_deliveries;
        verified.n_missed = verified.n_missed.saturating_add(replay.n_missed);
    }
    Ok(verified)
}

/// An emit that a subscription was to receive.
struct Due<'a> {
    seq: Seq,
    value: u64,
    /// The matching keys, in order.
    keys: Vec<&'a [u8]>,
}

/// A broken guarantee of the subscription in hand.
struct Broken {
    guarantee: Guarantee,
    seq: Option<Seq>,
    detail: String,
}

/// Goes through the deliveries of one subscription beside the emits that it was to receive.
struct Replay<'a> {
    emits: &'a Emits<'a>,
    before: Option<Seq>,
    after: Option<Seq>,
    /// The matching emits later than `before`, in order.
    due: Vec<Due<'a>>,
    /// The place in `due` of the next delivery. `None` as long as the start is open: it lies
    /// somewhere in the emits that were concurrent with the subscription.
    next: Option<usize>,
    /// Events reported as missed since the last delivery.
    missed: u64,
    /// The position of the last delivery.
    last: Option<Seq>,
    delivered: HashSet<Seq>,
    n_deliveries: usize,
    n_missed: u64,
}

impl<'a> Replay<'a> {
    fn new(emits: &'a Emits<'a>, subscription: &'a Subscription) -> Self {
        let due = emits
            .values()
            .filter(|emit| Some(emit.seq) > subscription.before)
            .filter_map(|emit| {
                let matching = emit
                    .keys
                    .iter()
                    .map(AsRef::as_ref)
                    .filter(|key| subscription.selectors.matches(key));
                let keys: Vec<&[u8]> = matching.collect();
                (!keys.is_empty()).then_some(Due {
                    seq: emit.seq,
                    value: emit.value,
                    keys,
                })
            });
        Self {
            emits,
            before: subscription.before,
            after: subscription.after,
            due: due.collect(),
            next: None,
            missed: 0,
            last: None,
            delivered: HashSet::new(),
            n_deliveries: 0,
            n_missed: 0,
        }
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Broken> {
        match delivery {
            Delivery::Event { seq, value, keys } => self.event(*seq, *value, keys),
            &Delivery::Span {
                first_seq,
                last_seq,
                first,
                last,
                count,
            } => self.span((first_seq, last_seq), (first, last), count),
            &Delivery::Lagged(missed) => self.lagged(missed),
            Delivery::Ended(_) => Ok(()),
            &Delivery::CaughtUp(through) => self.caught_up(through),
        }
    }

    fn event(&mut self, seq: Seq, value: u64, keys: &[Box<[u8]>]) -> Result<(), Broken> {
        let place = self.locate(seq)?;
        self.arrive(place)?;
        let due = &self.due[place];
        if value != due.value {
            return Err(broken(
                Guarantee::G4Atomic,
                seq,
                format!("the value is {value}, {} was emitted", due.value),
            ));
        }
        if due.keys != keys.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>() {
            let emitted = &self.emits[&seq].keys;
            let unselected = |key| emitted.contains(key) && !due.keys.contains(&key.as_ref());
            return Err(if keys.iter().any(unselected) {
                broken(
                    Guarantee::G10ExactMatch,
                    seq,
                    "a key was delivered that no selector selects",
                )
            } else {
                broken(
                    Guarantee::G4Atomic,
                    seq,
                    "the keys are not the matching keys of the emit, in their order",
                )
            });
        }
        self.depart(place, place);
        Ok(())
    }

    fn span(
        &mut self,
        (first_seq, last_seq): (Seq, Seq),
        values: (u64, u64),
        count: u64,
    ) -> Result<(), Broken> {
        if first_seq > last_seq {
            return Err(broken(
                Guarantee::G13ExactSpan,
                first_seq,
                "the span ends before it begins",
            ));
        }
        let (first, last) = (self.locate(first_seq)?, self.locate(last_seq)?);
        self.arrive(first)?;
        let emitted = (self.due[first].value, self.due[last].value);
        if values != emitted {
            let detail =
                format!("the first and last values are {values:?}, {emitted:?} were emitted");
            return Err(broken(Guarantee::G13ExactSpan, first_seq, detail));
        }
        let n_covered = last - first + 1;
        if u64::try_from(n_covered) != Ok(count) {
            let detail = format!("the span counts {count} emits and covers {n_covered}");
            return Err(broken(Guarantee::G13ExactSpan, first_seq, detail));
        }
        self.depart(first, last);
        Ok(())
    }

    fn lagged(&mut self, missed: u64) -> Result<(), Broken> {
        if missed == 0 {
            let detail = "a lag of no events was reported".to_owned();
            return Err(Broken {
                guarantee: Guarantee::G18ExactLag,
                seq: self.last,
                detail,
            });
        }
        self.missed = self.missed.saturating_add(missed);
        self.n_missed = self.n_missed.saturating_add(missed);
        Ok(())
    }

    fn caught_up(&mut self, through: Option<Seq>) -> Result<(), Broken> {
        if self.missed > 0 {
            let detail = format!(
                "{} events were reported as missed, and none followed",
                self.missed
            );
            return Err(Broken {
                guarantee: Guarantee::G18ExactLag,
                seq: self.last,
                detail,
            });
        }
        let n_due = self.due.partition_point(|due| Some(due.seq) <= through);
        match self.next {
            Some(next) if next < n_due => Err(broken(
                Guarantee::G3Reliable,
                self.due[next].seq,
                "a matching emit was neither delivered nor reported as missed",
            )),
            None if self.latest_start() < n_due => Err(self.unseen_start()),
            Some(_) => Ok(()),
            None => {
                // Nothing of what was concurrent with the start was seen, so the subscription began
                // after it.
                if through >= self.after {
                    self.next = Some(n_due);
                }
                Ok(())
            }
        }
    }

    /// Checks, at the end of the trace, that what was reported as missed last can have been missed.
    fn finish(&self) -> Result<(), Broken> {
        let n_left = self.due.len() - self.next.unwrap_or(0);
        if self.missed > 0 && usize::try_from(self.missed).map_or(true, |missed| missed >= n_left) {
            let detail = format!(
                "{} events were reported as missed, of {n_left} of which the last is retained",
                self.missed
            );
            return Err(Broken {
                guarantee: Guarantee::G18ExactLag,
                seq: self.last,
                detail,
            });
        }
        Ok(())
    }

    /// The place in `due` of a delivered emit.
    fn locate(&self, seq: Seq) -> Result<usize, Broken> {
        if !self.emits.contains_key(&seq) {
            return Err(broken(
                Guarantee::G10ExactMatch,
                seq,
                "the delivered emit was never emitted",
            ));
        }
        if Some(seq) <= self.before {
            return Err(broken(
                Guarantee::G5SeamlessStart,
                seq,
                "the emit came before the subscription",
            ));
        }
        self.due
            .binary_search_by_key(&seq, |due| due.seq)
            .map_err(|_| {
                broken(
                    Guarantee::G10ExactMatch,
                    seq,
                    "no key of the emit lies in a selector",
                )
            })
    }

    /// Checks that `due[place]` is what comes next.
    fn arrive(&self, place: usize) -> Result<(), Broken> {
        let seq = self.due[place].seq;
        if self.last == Some(seq) {
            return Err(broken(
                Guarantee::G11OneDelivery,
                seq,
                "the emit was delivered twice in a row",
            ));
        }
        if self.delivered.contains(&seq) {
            return Err(broken(
                Guarantee::G2Unique,
                seq,
                "the emit had been delivered before",
            ));
        }
        if let Some(last) = self.last.filter(|last| *last > seq) {
            return Err(broken(
                Guarantee::G1Ordered,
                seq,
                format!("seq {last} was delivered before it"),
            ));
        }
        // How many due emits were passed over since the last delivery. Up to the latest start, an
        // open start is where the reported lag begins.
        let (fewest, most) = match self.next {
            Some(next) if place < next => {
                let detail = "the emit was delivered after a receive that found nothing";
                return Err(broken(Guarantee::G3Reliable, seq, detail));
            }
            Some(next) => (place - next, place - next),
            None => (place.saturating_sub(self.latest_start()), place),
        };
        let exact =
            usize::try_from(self.missed).is_ok_and(|missed| (fewest..=most).contains(&missed));
        match (exact, self.missed, self.next) {
            (true, ..) => Ok(()),
            (false, 0, Some(next)) => Err(broken(
                Guarantee::G3Reliable,
                self.due[next].seq,
                format!(
                    "a matching emit was neither delivered nor reported as missed before seq {seq}"
                ),
            )),
            (false, 0, None) => Err(self.unseen_start()),
            (false, reported, _) => Err(broken(
                Guarantee::G18ExactLag,
                seq,
                format!("{reported} events were reported as missed, {fewest} to {most} were"),
            )),
        }
    }

    /// Goes on after a delivery that covers `due[first..=last]`.
    fn depart(&mut self, first: usize, last: usize) {
        self.delivered
            .extend(self.due[first..=last].iter().map(|due| due.seq));
        self.last = Some(self.due[last].seq);
        self.next = Some(last + 1);
        self.missed = 0;
        self.n_deliveries += 1;
    }

    /// The place in `due` of the first emit that began after the subscription had been made.
    fn latest_start(&self) -> usize {
        self.due.partition_point(|due| Some(due.seq) <= self.after)
    }

    fn unseen_start(&self) -> Broken {
        let seq = self.due.get(self.latest_start()).map(|due| due.seq);
        let detail =
            "the emit began after the subscription had been made, and was not seen".to_owned();
        Broken {
            guarantee: Guarantee::G5SeamlessStart,
            seq,
            detail,
        }
    }
}

fn broken(guarantee: Guarantee, seq: Seq, detail: impl Into<String>) -> Broken {
    Broken {
        guarantee,
        seq: Some(seq),
        detail: detail.into(),
    }
}
