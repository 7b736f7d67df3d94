//! The course of one subscription: what it was told to have received, beside what it was to receive.

use std::collections::HashSet;

use rangewatch_bus::{RecvError, Seq, Stats};

use crate::checker::{Begin, Entry, Subscription};
use crate::due::{Due, Watched};
use crate::verify::Emits;
use crate::{Delivery, Guarantee};

/// A broken guarantee.
pub(crate) struct Broken {
    pub(crate) guarantee: Guarantee,
    pub(crate) seq: Option<Seq>,
    pub(crate) detail: String,
}

/// What was recorded, in the terms of the statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) delivered: u64,
    pub(crate) coalesced: u64,
    pub(crate) missed: u64,
}

/// Goes through the log of one subscription beside the emits that it was to receive.
pub(crate) struct Course<'a> {
    emits: &'a Emits<'a>,
    begin: Begin,
    watched: Watched<'a>,
    /// The matching emits, in order.
    due: Vec<Due<'a>>,
    /// The place in `due` of the next delivery. `None` as long as the start is open: it lies
    /// somewhere in the emits that were concurrent with the subscription.
    next: Option<usize>,
    /// Events reported as missed since the last delivery.
    missed: u64,
    /// The value that it was started after.
    cut: Option<u64>,
    /// How many emits were due and are not since the cut.
    n_cut: usize,
    /// How many of them may have been missed or summed up before the cut: all, until the next delivery.
    n_cut_unseen: usize,
    /// The position and the value of the last delivery.
    last: Option<(Seq, u64)>,
    /// The greatest progress mark.
    mark: Option<u64>,
    delivered: HashSet<Seq>,
    end: Option<RecvError>,
    is_discarded: bool,
    n_deliveries: usize,
    counted: Counted,
}

/// A span as it was received.
struct Spanned {
    seqs: (Seq, Seq),
    values: (u64, u64),
    count: u64,
}

impl<'a> Course<'a> {
    pub(crate) fn new(
        emits: &'a Emits<'a>,
        subscription: &'a Subscription,
        entries: &'a [Entry],
    ) -> Self {
        let begin = subscription.begin;
        let watched = Watched::new(&subscription.selectors, entries);
        let due = emits.values().filter(|emit| begin.reaches(emit));
        let due = due.filter_map(|emit| Due::of(emit, &watched)).collect();
        Self {
            emits,
            begin,
            due,
            watched,
            next: match begin {
                Begin::Live { .. } => None,
                Begin::History { .. } => Some(0),
            },
            missed: 0,
            cut: None,
            n_cut: 0,
            n_cut_unseen: 0,
            last: None,
            mark: None,
            delivered: HashSet::new(),
            end: None,
            is_discarded: false,
            n_deliveries: 0,
            counted: Counted::default(),
        }
    }

    pub(crate) const fn n_deliveries(&self) -> usize {
        self.n_deliveries
    }

    pub(crate) const fn counted(&self) -> Counted {
        self.counted
    }

    pub(crate) fn take(&mut self, entry: &Entry) -> Result<(), Broken> {
        match entry {
            Entry::Delivery(delivery) => self.deliver(delivery),
            // They are seen from the beginning.
            Entry::Edited(..) => Ok(()),
            &Entry::StartedAfter(value) => {
                self.start_after(value);
                Ok(())
            }
            Entry::Discarded => {
                self.is_discarded = true;
                Ok(())
            }
            Entry::AtRest(through, stats) => self.at_rest(*through, stats),
        }
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Broken> {
        match (&self.end, delivery) {
            (None, _) | (_, Delivery::CaughtUp(_)) => {}
            (Some(end), Delivery::Ended(again)) if end == again => {}
            (Some(end), _) => {
                let detail = format!("{delivery:?} was received after the end, {end:?}");
                return Err(self.broken_here(Guarantee::G27Draining, detail));
            }
        }
        match delivery {
            Delivery::Event { seq, value, keys } => self.event(*seq, *value, keys),
            &Delivery::Span {
                first_seq,
                last_seq,
                first,
                last,
                count,
                is_conservative,
            } => {
                let span = Spanned {
                    seqs: (first_seq, last_seq),
                    values: (first, last),
                    count,
                };
                if is_conservative {
                    self.conservative_span(&span)
                } else {
                    self.span(&span)
                }
            }
            &Delivery::Progress(mark) => self.progress(mark),
            &Delivery::Lagged(missed) => self.lagged(missed),
            Delivery::Ended(end) => self.ended(end),
            &Delivery::CaughtUp(through) => self.caught_up(through),
            Delivery::Unknown(text) => {
                let detail =
                    format!("the checker does not know {text}: use that of the same version");
                Err(self.broken_here(Guarantee::G10ExactMatch, detail))
            }
        }
    }

    fn event(&mut self, seq: Seq, value: u64, keys: &[Box<[u8]>]) -> Result<(), Broken> {
        let place = self.locate(seq)?;
        self.arrive(place)?;
        let due = &self.due[place];
        if value != due.value {
            let detail = format!("the value is {value}, {} was emitted", due.value);
            return Err(Broken::at(Guarantee::G4Atomic, seq, detail));
        }
        if due.keys != keys.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>() {
            let emitted = &self.emits[&seq].keys;
            let unselected = |key| emitted.contains(key) && !due.keys.contains(&key.as_ref());
            let by_edit = keys
                .iter()
                .any(|key| unselected(key) && self.watched.ever_holds(key));
            return Err(if by_edit {
                let detail = "a key was delivered that was only watched before or after an edit";
                Broken::at(Guarantee::G28Edit, seq, detail)
            } else if keys.iter().any(unselected) {
                let detail = "a key was delivered that no selector selects";
                Broken::at(Guarantee::G10ExactMatch, seq, detail)
            } else {
                let detail = "the keys are not the matching keys of the emit, in their order";
                Broken::at(Guarantee::G4Atomic, seq, detail)
            });
        }
        self.counted.delivered += 1;
        self.depart(place, place);
        Ok(())
    }

    fn span(&mut self, span: &Spanned) -> Result<(), Broken> {
        let (first_seq, last_seq) = span.seqs;
        let inexact = |detail: String| Err(Broken::at(Guarantee::G13ExactSpan, first_seq, detail));
        if first_seq > last_seq {
            return inexact("the span ends before it begins".to_owned());
        }
        let (first, last) = (self.locate(first_seq)?, self.locate(last_seq)?);
        self.arrive(first)?;
        let emitted = (self.due[first].value, self.due[last].value);
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
        self.count_span(count);
        self.depart(first, last);
        Ok(())
    }

    /// A span that covers at least what matched: it needs a reason, leaves nothing out and counts nothing that
    /// did not match.
    fn conservative_span(&mut self, span: &Spanned) -> Result<(), Broken> {
        let (last_seq, (first, last)) = (span.seqs.1, span.values);
        let inexact = |detail: String| Err(Broken::at(Guarantee::G13ExactSpan, last_seq, detail));
        let from_store = match self.begin {
            Begin::Live { since, .. } => since.filter(|_| self.next.is_none()),
            Begin::History { .. } => None,
        };
        let after_cut = self.cut.map(|cut| cut.saturating_add(1));
        if from_store.max(after_cut) != Some(first) {
            return inexact(format!(
                "the span is conservative from {first} on, without a reason"
            ));
        }
        if self
            .emits
            .get(&last_seq)
            .is_none_or(|emit| emit.value != last)
        {
            return inexact(format!("the value {last} was not emitted at its end"));
        }
        let next = self.next.unwrap_or(0);
        let end = self.due.partition_point(|due| due.seq <= last_seq);
        let Some(covered) = self.due.get(next..end) else {
            let detail = "a span ends before what was received";
            return Err(Broken::at(Guarantee::G1Ordered, last_seq, detail));
        };
        let n_most = covered.len() + self.n_cut_unseen;
        if usize::try_from(span.count).map_or(true, |count| count > n_most) {
            let count = span.count;
            return inexact(format!(
                "the span counts {count} emits, {n_most} can have matched"
            ));
        }
        self.delivered.extend(covered.iter().map(|due| due.seq));
        self.count_span(span.count);
        self.go_on(end, (last_seq, last));
        Ok(())
    }

    fn count_span(&mut self, count: u64) {
        self.counted.delivered += u64::from(count > 0);
        self.counted.coalesced += count.saturating_sub(1);
    }

    fn progress(&mut self, mark: u64) -> Result<(), Broken> {
        if self.begin.since().is_some_and(|since| mark < since) || Some(mark) <= self.cut {
            let detail = format!("a progress mark of {mark} lies below the start");
            return Err(self.broken_here(Guarantee::G6FutureStart, detail));
        }
        if Some(mark) < self.mark {
            let detail = format!("a progress mark of {mark} followed a greater one");
            return Err(self.broken_here(Guarantee::G9Progress, detail));
        }
        let n_due = self.n_due(|due| due.value <= mark);
        let n_missed = usize::try_from(self.missed).unwrap_or(usize::MAX);
        let n_had = match self.next {
            Some(next) => next.saturating_add(n_missed),
            None => self.latest_start().saturating_add(n_missed),
        };
        if n_had < n_due {
            let seq = self.due[n_had].seq;
            let detail = format!("a mark of {mark} came before an emit of that value or below");
            return Err(Broken::at(Guarantee::G9Progress, seq, detail));
        }
        if self.missed == 0 {
            self.next = self.next.max(Some(n_due));
        }
        self.mark = Some(mark);
        Ok(())
    }

    fn lagged(&mut self, missed: u64) -> Result<(), Broken> {
        if missed == 0 {
            let detail = "a lag of no events was reported".to_owned();
            return Err(self.broken_here(Guarantee::G18ExactLag, detail));
        }
        self.missed = self.missed.saturating_add(missed);
        self.counted.missed = self.counted.missed.saturating_add(missed);
        Ok(())
    }

    fn caught_up(&mut self, through: Option<Seq>) -> Result<(), Broken> {
        if self.end.is_some() || self.is_discarded {
            return Ok(());
        }
        let n_due = self.due.partition_point(|due| Some(due.seq) <= through);
        self.nothing_left(n_due)?;
        match self.next {
            None if through < self.begin.after() => {}
            // Nothing of what was concurrent with the start was seen, so the subscription began
            // after it.
            _ => self.next = self.next.max(Some(n_due)),
        }
        self.missed = 0;
        Ok(())
    }

    /// Checks that of the first `n_due` emits none is outstanding.
    fn nothing_left(&self, n_due: usize) -> Result<(), Broken> {
        if self.missed > 0 {
            // An event that never fits may be the last that is missed, so that none follows.
            return match self.passed_over(n_due) {
                Some((fewest, most)) => self.check_missed(fewest, most, None),
                None => Err(self.miscounted("more than there were".to_owned())),
            };
        }
        match self.next {
            Some(next) if next < n_due => Err(self.missing(next, "the subscription caught up")),
            None if self.latest_start() < n_due => Err(self.unseen_start()),
            _ => Ok(()),
        }
    }

    fn start_after(&mut self, value: u64) {
        self.cut = self.cut.max(Some(value));
        let n_before = self.due.len();
        let next = self.next.unwrap_or(0);
        let mut place = 0;
        self.due.retain(|due| {
            place += 1;
            place <= next || due.value > value
        });
        self.n_cut += n_before - self.due.len();
        self.n_cut_unseen += n_before - self.due.len();
    }

    fn ended(&mut self, end: &RecvError) -> Result<(), Broken> {
        if self.end.is_some() {
            return Ok(());
        }
        match end {
            &RecvError::Disconnected { resume } => {
                let (first, last) = match self.next {
                    Some(next) => (next, next),
                    None => (0, self.latest_start()),
                };
                let last = last.min(self.due.len().saturating_sub(1));
                let candidates = self.due.get(first..=last).unwrap_or_default();
                // What was cut off is not to be resumed from.
                let is_due = candidates.iter().any(|due| due.value == resume)
                    || self.cut.map(|cut| cut.saturating_add(1)) == Some(resume);
                if self.missed > 0 || !is_due {
                    let expected = candidates.first().map(|due| due.value);
                    let detail = format!("the value to resume from is {resume}, not {expected:?}");
                    return Err(self.broken_here(Guarantee::G19Disconnect, detail));
                }
            }
            &RecvError::Compacted { floor } => {
                let had = [self.last.map(|(_, value)| value), self.mark, self.cut];
                if had.into_iter().flatten().any(|had| floor <= had) {
                    let detail = format!("the floor {floor} overtook nothing");
                    return Err(self.broken_here(Guarantee::G7NoSilentGap, detail));
                }
            }
            // No emit was accepted after the close, so everything was due.
            RecvError::Closed if !self.is_discarded => {
                self.nothing_left(self.due.len()).map_err(|broken| Broken {
                    guarantee: Guarantee::G27Draining,
                    ..broken
                })?;
                self.missed = 0;
            }
            _ => {}
        }
        self.end = Some(*end);
        Ok(())
    }

    fn at_rest(&self, through: Option<Seq>, stats: &Stats) -> Result<(), Broken> {
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
        Err(self.broken_here(Guarantee::G35Conservation, detail))
    }

    /// How many can have matched up to `through`, if it is not what `stats` say.
    fn mismatch(&self, through: Option<Seq>, stats: &Stats) -> Option<String> {
        let n_due = self.due.partition_point(|due| Some(due.seq) <= through) + self.n_cut;
        let n_due = u64::try_from(n_due).unwrap_or(u64::MAX);
        let n_open = u64::try_from(self.latest_start()).unwrap_or(u64::MAX);
        let fewest = match self.begin {
            // What was not read from the history is not counted, nor what came after the end.
            Begin::History { .. } => 0,
            Begin::Live { .. } if self.cut.is_some() || self.has_ended_early() => 0,
            Begin::Live { .. } => n_due.saturating_sub(n_open),
        };
        let is_expected = (fewest..=n_due).contains(&stats.matched());
        (!is_expected).then(|| format!("{fewest} to {n_due}"))
    }

    /// Whether the subscription ended before its bus.
    const fn has_ended_early(&self) -> bool {
        matches!(
            self.end,
            Some(RecvError::Disconnected { .. } | RecvError::Compacted { .. })
        )
    }

    /// Checks, at the end of the trace, that what was reported as missed last can have been missed.
    pub(crate) fn finish(&self) -> Result<(), Broken> {
        let n_left = self.due.len() - self.next.unwrap_or(0) + self.n_cut_unseen;
        if usize::try_from(self.missed).map_or(true, |missed| missed > n_left) {
            return Err(self.miscounted(format!("{n_left} were left")));
        }
        Ok(())
    }

    /// The place in `due` of a delivered emit.
    fn locate(&self, seq: Seq) -> Result<usize, Broken> {
        let broken = |guarantee, detail: &str| Err(Broken::at(guarantee, seq, detail));
        let Some(emit) = self.emits.get(&seq) else {
            let detail = "the delivered emit was never emitted";
            return broken(Guarantee::G10ExactMatch, detail);
        };
        if Some(seq) <= self.begin.before() {
            let detail = "the emit came before the subscription";
            return broken(Guarantee::G5SeamlessStart, detail);
        }
        if self.begin.since().is_some_and(|since| emit.value < since) {
            let detail = "the value lies below that which the subscription began with";
            return broken(Guarantee::G6FutureStart, detail);
        }
        if let Ok(place) = self.due.binary_search_by_key(&seq, |due| due.seq) {
            return Ok(place);
        }
        if Some(emit.value) <= self.cut && Due::of(emit, &self.watched).is_some() {
            let detail = "the value does not lie above that which it was started after";
            return broken(Guarantee::G6FutureStart, detail);
        }
        if emit.keys.iter().any(|key| self.watched.ever_holds(key)) {
            let detail = "its keys were only watched before or after an edit";
            return broken(Guarantee::G28Edit, detail);
        }
        let detail = "no key of the emit lies in a selector";
        broken(Guarantee::G10ExactMatch, detail)
    }

    /// Checks that `due[place]` is what comes next.
    fn arrive(&self, place: usize) -> Result<(), Broken> {
        let Due { seq, value, .. } = self.due[place];
        let broken = |guarantee, detail: String| Err(Broken::at(guarantee, seq, detail));
        match self.last {
            Some((last, _)) if last == seq => {
                let detail = "the emit was delivered twice in a row".to_owned();
                return broken(Guarantee::G11OneDelivery, detail);
            }
            _ if self.delivered.contains(&seq) => {
                let detail = "the emit had been delivered before".to_owned();
                return broken(Guarantee::G2Unique, detail);
            }
            Some((last, _)) if last > seq => {
                let detail = format!("seq {last} was delivered before it");
                return broken(Guarantee::G1Ordered, detail);
            }
            _ => {}
        }
        if Some(value) <= self.mark {
            let detail = format!("the value {value} came after a progress mark of it or above");
            return broken(Guarantee::G9Progress, detail);
        }
        match self.passed_over(place) {
            Some((fewest, most)) => self.check_missed(fewest, most, Some(seq)),
            None => {
                let detail = "the emit was delivered after a receive that found nothing".to_owned();
                broken(Guarantee::G3Reliable, detail)
            }
        }
    }

    /// The fewest and the most due emits that lie between the last delivery and `due[place]`. Up to the latest
    /// start, an open start is where they begin. `None` if the place was passed.
    fn passed_over(&self, place: usize) -> Option<(usize, usize)> {
        match self.next {
            Some(next) => place.checked_sub(next).map(|n| (n, n)),
            None => Some((place.saturating_sub(self.latest_start()), place)),
        }
    }

    /// Checks the reported lag against what was passed over before the emit at `seq`, or before nothing.
    fn check_missed(&self, fewest: usize, most: usize, seq: Option<Seq>) -> Result<(), Broken> {
        // What a start cut off may have been missed before.
        let most = most.saturating_add(if self.missed > 0 {
            self.n_cut_unseen
        } else {
            0
        });
        let is_exact =
            usize::try_from(self.missed).is_ok_and(|missed| (fewest..=most).contains(&missed));
        match (is_exact, self.missed, self.next) {
            (true, ..) => Ok(()),
            (false, 0, Some(next)) => Err(self.missing(next, "a later one was delivered")),
            (false, 0, None) => Err(self.unseen_start()),
            (false, ..) => Err(Broken {
                seq: seq.or_else(|| self.last.map(|(seq, _)| seq)),
                ..self.miscounted(format!("{fewest} to {most} were"))
            }),
        }
    }

    /// Goes on after a delivery that covers `due[first..=last]`.
    fn depart(&mut self, first: usize, last: usize) {
        self.delivered
            .extend(self.due[first..=last].iter().map(|due| due.seq));
        let Due { seq, value, .. } = self.due[last];
        self.go_on(last + 1, (seq, value));
    }

    const fn go_on(&mut self, next: usize, last: (Seq, u64)) {
        self.last = Some(last);
        self.next = Some(next);
        self.missed = 0;
        self.n_cut_unseen = 0;
        self.n_deliveries += 1;
    }

    /// How many emits are due up to the last for which `counts` holds.
    fn n_due(&self, counts: impl Fn(&Due<'_>) -> bool) -> usize {
        self.due.iter().rposition(counts).map_or(0, |last| last + 1)
    }

    /// The place in `due` of the first emit that began after the subscription had been made.
    fn latest_start(&self) -> usize {
        let after = self.begin.after();
        self.due.partition_point(|due| Some(due.seq) <= after)
    }

    fn missing(&self, place: usize, although: &str) -> Broken {
        let due = &self.due[place];
        let guarantee = if due.by_edit {
            Guarantee::G28Edit
        } else {
            Guarantee::G3Reliable
        };
        let detail = format!("neither delivered nor reported as missed, although {although}");
        Broken::at(guarantee, due.seq, detail)
    }

    fn miscounted(&self, expected: String) -> Broken {
        let reported = self.missed;
        let detail = format!("{reported} events were reported as missed, {expected}");
        self.broken_here(Guarantee::G18ExactLag, detail)
    }

    fn unseen_start(&self) -> Broken {
        let detail = "the emit began after the subscription had been made, and was not seen";
        Broken {
            guarantee: Guarantee::G5SeamlessStart,
            seq: self.due.get(self.latest_start()).map(|due| due.seq),
            detail: detail.to_owned(),
        }
    }

    /// What was broken after the last delivery.
    fn broken_here(&self, guarantee: Guarantee, detail: String) -> Broken {
        Broken {
            guarantee,
            seq: self.last.map(|(seq, _)| seq),
            detail,
        }
    }
}

impl Counted {
    pub(crate) fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.coalesced += other.coalesced;
        self.missed = self.missed.saturating_add(other.missed);
    }
}

impl Broken {
    pub(crate) fn at(guarantee: Guarantee, seq: Seq, detail: impl Into<String>) -> Self {
        Self {
            guarantee,
            seq: Some(seq),
            detail: detail.into(),
        }
    }
}
