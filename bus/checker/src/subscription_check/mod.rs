//! Verifies the log of one subscription against the recorded emits.

mod end;
mod restore;
mod span;
mod stats;

use std::collections::HashSet;

use rangewatch_bus::{RecvError, Seq};

use crate::expected::{Expected, SelectorVersions};
use crate::log::Entry;
use crate::trace::{Start, Subscription};
use crate::verify::Recorded;
use crate::{Delivery, Guarantee, Violation};

pub(crate) use stats::Counted;

/// Verifies the entries of a log, one after the other.
pub(crate) struct SubscriptionCheck<'a> {
    recorded: &'a Recorded<'a>,
    start: Start,
    /// The epoch of what is expected next.
    epoch: usize,
    selectors: SelectorVersions<'a>,
    /// The matching emits of the epoch, in order.
    expected: Vec<Expected<'a>>,
    /// The index in `expected` of the next delivery. `None` as long as the start is not known: it
    /// is one of the emits that were concurrent with the subscription, or the first after them.
    next: Option<usize>,
    /// Events reported as missed since the last delivery.
    missed: u64,
    /// The greatest value that the subscription was started after.
    cut: Option<u64>,
    /// How many emits were expected before the cut, or in an earlier epoch, and are not any more.
    n_cut: usize,
    /// How many of them a conservative span, or a report of missed events that is not exact, may
    /// still count: all, until the next delivery.
    n_cut_uncounted: usize,
    /// The runs of consecutive values that those form, at most.
    n_cut_runs: usize,
    /// Whether events were reported as missed before the cut, and the start is not known: the
    /// report may count emits that were cut.
    is_cut_reported: bool,
    /// The position and the value of the last delivery.
    last: Option<(Seq, u64)>,
    /// The last emit up to which a receive found nothing.
    caught_up: Option<Seq>,
    /// The greatest progress mark.
    mark: Option<u64>,
    /// The first emit that the last edit applies to.
    edited: Option<Seq>,
    delivered: HashSet<Seq>,
    end: Option<RecvError>,
    is_discarded: bool,
    /// Whether it is certain that this is no wake subscription.
    has_received_events: bool,
    /// Whether some of what matched in an earlier epoch may not be counted.
    is_uncountable: bool,
    n_deliveries: usize,
    counted: Counted,
}

impl<'a> SubscriptionCheck<'a> {
    pub(crate) fn new(
        recorded: &'a Recorded<'a>,
        subscription: &'a Subscription,
        entries: &'a [Entry],
        epoch: usize,
    ) -> Result<Self, Violation> {
        let start = subscription.start;
        if let Start::Live { before, after, .. } = start {
            recorded.check_from(before)?;
            recorded.check_through(before, after)?;
        }
        let selectors = SelectorVersions::new(&subscription.selectors, entries);
        let emits = recorded.emits_of(epoch).filter(|emit| start.includes(emit));
        let expected = emits
            .filter_map(|emit| Expected::new(emit, &selectors))
            .collect();
        Ok(Self {
            recorded,
            start,
            epoch,
            expected,
            selectors,
            next: match start {
                Start::Live { .. } => None,
                Start::History { .. } => Some(0),
            },
            missed: 0,
            cut: None,
            n_cut: 0,
            n_cut_uncounted: 0,
            n_cut_runs: 0,
            is_cut_reported: false,
            last: None,
            caught_up: None,
            mark: None,
            edited: None,
            delivered: HashSet::new(),
            end: None,
            is_discarded: false,
            has_received_events: false,
            is_uncountable: false,
            n_deliveries: 0,
            counted: Counted::default(),
        })
    }

    pub(crate) const fn n_deliveries(&self) -> usize {
        self.n_deliveries
    }

    pub(crate) const fn counted(&self) -> Counted {
        self.counted
    }

    pub(crate) fn check(&mut self, entry: &Entry) -> Result<(), Violation> {
        match entry {
            Entry::Delivery(delivery) => self.deliver(delivery),
            Entry::Edited(seq, ..) => self.edited(*seq),
            &Entry::StartedAfter(value) => self.start_after(value),
            Entry::Discarded => {
                self.is_discarded = true;
                Ok(())
            }
            Entry::AtRest(through, stats) => self.at_rest(*through, stats),
        }
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Violation> {
        match (&self.end, delivery) {
            (_, Delivery::CaughtUp(_)) => {}
            (None, Delivery::Ended(_)) => {}
            (None, _) if !self.is_discarded => {}
            (Some(end), Delivery::Ended(again)) if end == again => {}
            (Some(_), Delivery::Ended(again)) if self.is_end_by_restore(again) => {}
            (Some(end), _) => {
                let detail = format!("{delivery:?} was received after the end, {end:?}");
                return Err(self.violation(Guarantee::G27Draining, detail));
            }
            (None, _) => {
                let detail = format!("{delivery:?} was received, but was discarded at the close");
                return Err(self.violation(Guarantee::G27Draining, detail));
            }
        }
        self.has_received_events |= matches!(
            delivery,
            Delivery::Event { .. } | Delivery::Progress(_) | Delivery::Lagged(_)
        );
        match delivery {
            Delivery::Event {
                seq,
                value,
                keys,
                payloads,
            } => self.event(*seq, *value, keys, payloads),
            Delivery::Span { .. } => self.span_delivery(delivery),
            &Delivery::Progress(mark) => self.progress(mark),
            &Delivery::Lagged(missed) => self.lagged(missed),
            Delivery::Ended(end) => self.ended(end),
            &Delivery::CaughtUp(through) => self.found_nothing(through),
            Delivery::Unknown(text) => {
                let detail =
                    format!("{text} is unknown: use a checker of the same version as the bus");
                Err(self.violation(Guarantee::G10ExactMatch, detail))
            }
        }
    }

    fn event(
        &mut self,
        seq: Seq,
        value: u64,
        keys: &[Box<[u8]>],
        payloads: &[u64],
    ) -> Result<(), Violation> {
        self.reach(seq)?;
        let place = self.locate(seq)?;
        self.arrive(place)?;
        let expected = &self.expected[place];
        if value != expected.value {
            let detail = format!("the value is {value}, {} was emitted", expected.value);
            return Err(Violation::at(Guarantee::G4Atomic, seq, detail));
        }
        if expected.keys != keys.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>() {
            let emitted = &self.recorded.emits[&seq].keys;
            let unselected = |key| emitted.contains(key) && !expected.keys.contains(&key.as_ref());
            let by_edit = keys
                .iter()
                .any(|key| unselected(key) && self.selectors.ever_select(key));
            return Err(if by_edit {
                let detail = "a delivered key is selected only before or after an edit";
                Violation::at(Guarantee::G28Edit, seq, detail)
            } else if keys.iter().any(unselected) {
                let detail = "a delivered key is not selected";
                Violation::at(Guarantee::G10ExactMatch, seq, detail)
            } else {
                let detail = "the keys are not the matching keys of the emit, in their order";
                Violation::at(Guarantee::G4Atomic, seq, detail)
            });
        }
        if expected.payloads != payloads {
            let detail = "the payloads are not those that the keys were emitted with";
            return Err(Violation::at(Guarantee::G40Payloads, seq, detail));
        }
        self.require_no_conservative_span(seq)?;
        self.counted.delivered += 1;
        self.depart(place, place);
        Ok(())
    }

    fn progress(&mut self, mark: u64) -> Result<(), Violation> {
        if self.start.since().is_some_and(|since| mark < since) || Some(mark) <= self.cut {
            let detail = format!("a progress mark of {mark} lies below the start");
            return Err(self.violation(Guarantee::G6FutureStart, detail));
        }
        if Some(mark) < self.mark {
            let detail = format!("a progress mark of {mark} followed a greater one");
            return Err(self.violation(Guarantee::G9Progress, detail));
        }
        self.reach_mark(mark);
        let head = self.current().head();
        if !self.recorded.has_history || Some(mark) > head {
            let detail = format!(
                "a progress mark of {mark} lies above the head, {head:?}: if the bus advanced, \
                 record that with `Checker::observe`"
            );
            return Err(self.violation(Guarantee::G9Progress, detail));
        }
        let n_expected = self.n_expected(|expected| expected.value <= mark);
        let n_missed = usize::try_from(self.missed).unwrap_or(usize::MAX);
        let n_received = self
            .next
            .unwrap_or_else(|| self.latest_start())
            .saturating_add(n_missed);
        if n_received < n_expected {
            let seq = self.expected[n_received].seq;
            let detail = format!("a mark of {mark} came before an emit of that value or below");
            return Err(Violation::at(Guarantee::G9Progress, seq, detail));
        }
        if self.missed == 0 {
            self.next = self.next.max(Some(n_expected));
        }
        self.mark = Some(mark);
        Ok(())
    }

    fn lagged(&mut self, missed: u64) -> Result<(), Violation> {
        if missed == 0 {
            let detail = "a report of no missed events".to_owned();
            return Err(self.violation(Guarantee::G18ExactLag, detail));
        }
        self.missed = self.missed.saturating_add(missed);
        self.counted.missed = self.counted.missed.saturating_add(missed);
        Ok(())
    }

    /// An edit applies to the first emit after it, so it cannot apply to one that was received.
    fn edited(&mut self, seq: Seq) -> Result<(), Violation> {
        let received = [self.start.before(), self.caught_up, self.last_seq()];
        let received = received.into_iter().max().flatten();
        if Some(seq) <= received || Some(seq) < self.edited {
            let detail = "the edit applies to an emit before it";
            return Err(Violation::at(Guarantee::G28Edit, seq, detail));
        }
        let last = self.recorded.last_seq().max(self.start.after());
        if seq.get() > last.map_or(0, Seq::get).saturating_add(1) {
            let detail = format!("the edit applies from after the next emit, the last is {last:?}");
            return Err(Violation::at(Guarantee::G28Edit, seq, detail));
        }
        self.edited = Some(seq);
        Ok(())
    }

    fn start_after(&mut self, value: u64) -> Result<(), Violation> {
        // What was reported as missed came before everything that was left.
        match self.next {
            Some(next) => {
                let missed = usize::try_from(self.missed).unwrap_or(usize::MAX);
                let next = next.saturating_add(missed);
                if next > self.expected.len() {
                    return Err(self.miscounted("more than there were".to_owned()));
                }
                self.next = Some(next);
                self.missed = 0;
            }
            None => self.is_cut_reported |= self.missed > 0,
        }
        self.cut = self.cut.max(Some(value));
        if let Some(RecvError::Disconnected { resume }) = &mut self.end {
            *resume = value.saturating_add(1).max(*resume);
        }
        let next = self.next.unwrap_or(0);
        let mut place = 0;
        let mut cut = Vec::new();
        self.expected.retain(|expected| {
            place += 1;
            let is_left = place <= next || expected.value > value;
            if !is_left {
                cut.push(expected.value);
            }
            is_left
        });
        self.n_cut += cut.len();
        self.n_cut_uncounted += cut.len();
        self.n_cut_runs += n_runs(cut);
        Ok(())
    }

    /// Verifies, at the end of the trace, that the last report of missed events is possible.
    pub(crate) fn finish(&self) -> Result<(), Violation> {
        let n_expected = self.expected.len();
        let n_left = n_expected - self.next.unwrap_or(0) + self.n_cut_reportable(n_expected);
        if usize::try_from(self.missed).map_or(true, |missed| missed > n_left) {
            return Err(self.miscounted(format!("{n_left} were left")));
        }
        Ok(())
    }

    /// The index in `expected` of a delivered emit.
    fn locate(&self, seq: Seq) -> Result<usize, Violation> {
        let violation = |guarantee, detail: &str| Err(Violation::at(guarantee, seq, detail));
        let Some(emit) = self.recorded.emits.get(&seq) else {
            let detail = "the delivered emit was never emitted";
            return violation(Guarantee::G10ExactMatch, detail);
        };
        if !self.current().contains(seq) {
            let detail =
                "the emit came before a restore, after which the subscription has received";
            return violation(Guarantee::G7NoSilentGap, detail);
        }
        if Some(seq) <= self.start.before() {
            let detail = "the emit came before the subscription";
            return violation(Guarantee::G5SeamlessStart, detail);
        }
        if self.start.since().is_some_and(|since| emit.value < since) {
            let detail = "the value lies below the first value of the subscription";
            return violation(Guarantee::G6FutureStart, detail);
        }
        if let Ok(place) = self.expected.binary_search_by_key(&seq, |it| it.seq) {
            return Ok(place);
        }
        if Some(emit.value) <= self.cut && Expected::new(emit, &self.selectors).is_some() {
            let detail = "the value is not above the one that the subscription was started after";
            return violation(Guarantee::G6FutureStart, detail);
        }
        if emit.keys.iter().any(|key| self.selectors.ever_select(key)) {
            let detail = "its keys are selected only before or after an edit";
            return violation(Guarantee::G28Edit, detail);
        }
        let detail = "no key of the emit is selected";
        violation(Guarantee::G10ExactMatch, detail)
    }

    /// Verifies that `expected[place]` is what comes next.
    fn arrive(&self, place: usize) -> Result<(), Violation> {
        let Expected { seq, value, .. } = self.expected[place];
        let violation = |guarantee, detail: String| Err(Violation::at(guarantee, seq, detail));
        match self.last_seq() {
            Some(last) if last == seq => {
                let detail = "the emit was delivered twice in a row".to_owned();
                return violation(Guarantee::G11OneDelivery, detail);
            }
            _ if self.delivered.contains(&seq) => {
                let detail = "the emit had been delivered before".to_owned();
                return violation(Guarantee::G2Unique, detail);
            }
            Some(last) if last > seq => {
                let detail = format!("seq {last} was delivered before it");
                return violation(Guarantee::G1Ordered, detail);
            }
            _ => {}
        }
        if Some(value) <= self.mark {
            let detail = format!("the value {value} came after a progress mark of it or above");
            return violation(Guarantee::G9Progress, detail);
        }
        match self.skipped(place) {
            Some((fewest, most)) => {
                let most = most.saturating_add(self.n_cut_reportable(place));
                self.check_missed(fewest, most, Some(seq))
            }
            None => {
                let detail = "the emit was delivered after it had been reported as missed, or \
                              after a receive that found nothing";
                let detail = detail.to_owned();
                violation(Guarantee::G3Reliable, detail)
            }
        }
    }

    /// The fewest and the most expected emits between the last delivery and `expected[place]`. They
    /// differ while the start is not known. `None` if `place` lies before the next delivery.
    fn skipped(&self, place: usize) -> Option<(usize, usize)> {
        match self.next {
            Some(next) => place.checked_sub(next).map(|n| (n, n)),
            None => Some((place.saturating_sub(self.latest_start()), place)),
        }
    }

    /// Verifies the number of events reported as missed before the emit at `seq`, or before
    /// nothing.
    fn check_missed(&self, fewest: usize, most: usize, seq: Option<Seq>) -> Result<(), Violation> {
        let is_exact =
            usize::try_from(self.missed).is_ok_and(|missed| (fewest..=most).contains(&missed));
        match (is_exact, self.missed, self.next) {
            (true, ..) => Ok(()),
            (false, 0, Some(next)) => Err(self.missing(next, "a later one was delivered")),
            (false, 0, None) => Err(self.missed_start()),
            (false, ..) => Err(Violation {
                seq: seq.or_else(|| self.last_seq()),
                ..self.miscounted(format!("{fewest} to {most} were"))
            }),
        }
    }

    /// How many of the emits that were cut the report of missed events before `expected[place]` may
    /// count. It is exact up to a number of runs.
    ///
    /// Source: `EventSubscription::start_after`.
    fn n_cut_reportable(&self, place: usize) -> usize {
        const MAX_RUNS: usize = 64;
        let skipped = self.expected.get(self.next.unwrap_or(0)..place);
        let skipped = skipped.unwrap_or_default().iter();
        let is_exact = || self.n_cut_runs + n_runs(skipped.map(|it| it.value)) <= MAX_RUNS;
        if self.missed == 0 || !self.is_cut_reported && is_exact() {
            return 0;
        }
        self.n_cut_uncounted
    }

    /// Continues after a delivery that covers `expected[first..=last]`.
    fn depart(&mut self, first: usize, last: usize) {
        let covered = self.expected[first..=last].iter();
        self.delivered.extend(covered.map(|it| it.seq));
        let Expected { seq, value, .. } = self.expected[last];
        self.continue_at(last + 1, (seq, value));
    }

    const fn continue_at(&mut self, next: usize, last: (Seq, u64)) {
        self.last = Some(last);
        self.next = Some(next);
        self.missed = 0;
        self.n_cut_uncounted = 0;
        self.n_cut_runs = 0;
        self.is_cut_reported = false;
        self.n_deliveries += 1;
    }

    /// How many emits are expected up to the last one for which `counts` holds.
    fn n_expected(&self, counts: impl Fn(&Expected<'_>) -> bool) -> usize {
        let last = self.expected.iter().rposition(counts);
        last.map_or(0, |last| last + 1)
    }

    /// The index in `expected` of the first emit that began after the subscription had been made.
    fn latest_start(&self) -> usize {
        let after = self.start.after();
        self.expected.partition_point(|it| Some(it.seq) <= after)
    }

    fn last_seq(&self) -> Option<Seq> {
        self.last.map(|(seq, _)| seq)
    }

    fn missing(&self, place: usize, although: &str) -> Violation {
        let expected = &self.expected[place];
        let guarantee = if expected.by_edit {
            Guarantee::G28Edit
        } else {
            Guarantee::G3Reliable
        };
        let detail = format!("neither delivered nor reported as missed, although {although}");
        Violation::at(guarantee, expected.seq, detail)
    }

    fn miscounted(&self, actual: String) -> Violation {
        let reported = self.missed;
        let detail = format!("{reported} events were reported as missed, {actual}");
        self.violation(Guarantee::G18ExactLag, detail)
    }

    fn missed_start(&self) -> Violation {
        let detail = "the emit began after the subscription had been made, and was not received";
        let first = self.expected.get(self.latest_start());
        Violation::new(
            Guarantee::G5SeamlessStart,
            first.map(|it| it.seq),
            detail.to_owned(),
        )
    }

    /// A violation after the last delivery.
    fn violation(&self, guarantee: Guarantee, detail: String) -> Violation {
        Violation::new(guarantee, self.last_seq(), detail)
    }
}

/// The number of runs of consecutive values.
fn n_runs(values: impl IntoIterator<Item = u64>) -> usize {
    let (mut n_runs, mut next) = (0, None);
    for value in values {
        n_runs += usize::from(next != Some(value));
        next = value.checked_add(1);
    }
    n_runs
}
