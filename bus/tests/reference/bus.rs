//! The reference bus: a list of all emits, and a list of subscriptions that is scanned.

use rangewatch_bus::{
    CompactError, ControlError, EmitError, RestoreError, SubscribeError, TryRecvError,
};

use crate::events::TwinEvents;
use crate::got::{Got, Summary};
use crate::payload::Entries;
use crate::script::{Begin, Change, Past as Bounds, Request};
use crate::totals::Totals;
use crate::wake::TwinWake;
use crate::watched::Watched;

#[derive(Debug)]
pub(crate) struct Emit {
    pub(crate) value: u64,
    pub(crate) entries: Entries,
}

impl Emit {
    pub(crate) fn n_bytes(&self) -> usize {
        let sizes = self.entries.iter();
        8 + sizes
            .map(|(key, payload)| key.len() + 8 + *payload as usize)
            .sum::<usize>()
    }
}

/// The state of the bus that a subscription reads.
pub(crate) struct Past<'a> {
    pub(crate) emits: &'a [Emit],
    /// The first emit of the epoch.
    pub(crate) first: usize,
    pub(crate) epoch: u64,
    pub(crate) floor: u64,
    pub(crate) head: Option<u64>,
    /// Emits up to this value are excluded.
    pub(crate) after: Option<u64>,
    pub(crate) watched: &'a Watched,
}

impl Past<'_> {
    /// The emits in the history from the value `next` on.
    pub(crate) fn retained(&self, next: u64) -> impl Iterator<Item = usize> {
        retained(self.emits, self.first, self.floor.max(next))
    }
}

/// The emits of the value `floor` and above, from `first` on.
fn retained(emits: &[Emit], first: usize, floor: u64) -> impl Iterator<Item = usize> {
    (first..emits.len()).filter(move |&i| emits[i].value >= floor)
}

#[derive(Debug)]
enum Kind {
    Events(TwinEvents),
    Wake(TwinWake),
}

#[derive(Debug)]
pub(crate) struct TwinSub {
    watched: Watched,
    begin: Begin,
    epoch: u64,
    after: Option<u64>,
    kind: Kind,
}

#[derive(Debug)]
pub(crate) struct ReferenceBus {
    bounds: Bounds,
    emits: Vec<Emit>,
    /// The first emit of the epoch.
    first: usize,
    epoch: u64,
    head: Option<u64>,
    /// Everything of this value and above is in the history.
    floor: u64,
    closed: bool,
    pub(crate) subs: Vec<TwinSub>,
    departed: Totals,
}

/// How many subscriptions an emit matched, and how many will read it from the history.
pub(crate) type Matches = (usize, usize);

impl ReferenceBus {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let head = bounds.and_then(|(_, _, head)| head);
        Self {
            bounds,
            emits: Vec::new(),
            first: 0,
            epoch: 0,
            head,
            floor: head.map_or(0, |head| head + 1),
            closed: false,
            subs: Vec::new(),
            departed: Totals::default(),
        }
    }

    pub(crate) fn n_emits(&self) -> usize {
        self.emits.len()
    }

    /// The head, or the last value of a bus without history.
    pub(crate) fn last_value(&self) -> Option<u64> {
        self.head
            .or_else(|| self.emits.last().map(|emit| emit.value))
    }

    pub(crate) fn bounds(&self) -> (Option<u64>, Option<u64>) {
        match self.bounds {
            Some(_) => (self.head, Some(self.floor)),
            None => (None, None),
        }
    }

    pub(crate) fn next_value(&self) -> Result<u64, EmitError> {
        match self.bounds {
            _ if self.closed => Err(EmitError::Closed),
            None => Err(EmitError::NoHistory),
            Some(_) => Ok(self.head.map_or(1, |head| head.saturating_add(1))),
        }
    }

    fn check(&self, value: u64, head: Option<u64>) -> Result<(), EmitError> {
        match head {
            _ if self.closed => Err(EmitError::Closed),
            _ if self.bounds.is_none() => Ok(()),
            Some(head) if value <= head => Err(EmitError::NotIncreasing { value, head }),
            _ if value == u64::MAX => Err(EmitError::LastValue),
            _ => Ok(()),
        }
    }

    /// Emits all or nothing.
    pub(crate) fn emit(&mut self, emits: Vec<(u64, Entries)>) -> Result<Vec<Matches>, EmitError> {
        if self.closed {
            return Err(EmitError::Closed);
        }
        let mut head = self.head;
        for (value, _) in &emits {
            self.check(*value, head)?;
            head = Some(*value);
        }
        let emits = emits.into_iter();
        Ok(emits
            .map(|(value, entries)| self.commit(value, entries))
            .collect())
    }

    /// As `emit`, or `None` if it would wait.
    pub(crate) fn emit_async(
        &mut self,
        value: u64,
        entries: Entries,
    ) -> Option<Result<Matches, EmitError>> {
        if let Err(error) = self.check(value, self.head) {
            return Some(Err(error));
        }
        self.emits.push(Emit { value, entries });
        let must_wait = self.subs.iter().any(|sub| match &sub.kind {
            Kind::Events(events) => sub.wants(&self.emits) && events.must_wait(&self.emits),
            Kind::Wake(_) => false,
        });
        let Emit { entries, .. } = self.emits.pop().unwrap();
        (!must_wait).then(|| Ok(self.commit(value, entries)))
    }

    fn commit(&mut self, value: u64, entries: Entries) -> Matches {
        self.emits.push(Emit { value, entries });
        if let Some((max_events, max_bytes, _)) = self.bounds {
            self.head = Some(value);
            let exceeds = |floor| {
                let n_bytes =
                    retained(&self.emits, self.first, floor).map(|i| self.emits[i].n_bytes());
                retained(&self.emits, self.first, floor).count() > max_events
                    || n_bytes.sum::<usize>() > max_bytes
            };
            while exceeds(self.floor) {
                let oldest = retained(&self.emits, self.first, self.floor)
                    .next()
                    .unwrap();
                self.floor = self.emits[oldest].value + 1;
            }
        }
        let mut matches = (0, 0);
        for sub in &mut self.subs {
            if sub.wants(&self.emits) {
                matches.0 += 1;
                match &mut sub.kind {
                    Kind::Wake(wake) => wake.push(&self.emits),
                    Kind::Events(events) => {
                        let has_history = self.bounds.is_some();
                        matches.1 += usize::from(events.push(&self.emits, has_history));
                    }
                }
            }
        }
        matches
    }

    pub(crate) fn advance(&mut self, value: u64) -> Result<(), EmitError> {
        self.check(value, self.head)?;
        if self.bounds.is_none() {
            return Err(EmitError::NoHistory);
        }
        self.head = Some(value);
        Ok(())
    }

    pub(crate) fn compact(&mut self, value: u64) -> Option<Result<u64, (u64, Option<u64>)>> {
        self.bounds?;
        let greatest = self.head.map_or(0, |head| head + 1);
        if value > greatest {
            return Some(Err((value, self.head)));
        }
        self.floor = self.floor.max(value);
        Some(Ok(self.floor))
    }

    /// `watches` says which subscriptions have a selector. Returns the position of the next emit.
    pub(crate) fn restore(
        &mut self,
        epoch: u64,
        head: Option<u64>,
        watches: &[bool],
    ) -> Result<u64, RestoreError> {
        match self.bounds {
            None => return Err(RestoreError::NoHistory),
            Some(_) if head >= Some(u64::MAX - 1) => return Err(RestoreError::LastHead),
            Some(_) if self.closed => return Err(RestoreError::Closed),
            Some(_) => {}
        }
        self.head = head;
        self.floor = head.map_or(0, |head| head + 1);
        self.epoch = epoch;
        self.first = self.emits.len();
        for (sub, &watches) in self.subs.iter_mut().zip(watches) {
            let is_open = !matches!(sub.begin, Begin::Reserved);
            match &mut sub.kind {
                Kind::Events(events) if is_open => events.end_compacted(self.floor, epoch),
                Kind::Events(events) => events.restore(head),
                Kind::Wake(wake) => {
                    sub.after = None;
                    wake.restore(head, self.emits.len() as u64, is_open && watches);
                }
            }
        }
        Ok(self.emits.len() as u64 + 1)
    }

    pub(crate) fn epoch(&self) -> Option<u64> {
        self.bounds.map(|_| self.epoch)
    }

    pub(crate) fn epoch_of(&self, sub: usize) -> Option<u64> {
        self.bounds.map(|_| self.subs[sub].epoch)
    }

    pub(crate) fn close(&mut self, at_once: bool) {
        self.closed = true;
        for sub in &mut self.subs {
            match &mut sub.kind {
                Kind::Events(events) if at_once => events.clear(),
                Kind::Wake(wake) if at_once => wake.clear(),
                _ => {}
            }
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        request: &Request,
        since: Option<u64>,
    ) -> Result<(), SubscribeError> {
        if since.is_some() && matches!(request.begin, Begin::Reserved) {
            return Err(SubscribeError::SinceReserved);
        }
        if request
            .events
            .as_ref()
            .is_some_and(|queue| queue.max_bytes == 0)
        {
            return Err(SubscribeError::ZeroCapacity);
        }
        let has_history = self.bounds.is_some();
        let needs_history = request
            .events
            .as_ref()
            .is_some_and(|queue| queue.overflow == Some(rangewatch_bus::Overflow::Park));
        if needs_history && !has_history {
            return Err(SubscribeError::NoHistory);
        }
        if self.closed {
            return Err(SubscribeError::Closed);
        }
        let is_known =
            |since| since >= self.floor && request.epoch.is_none_or(|it| it == self.epoch);
        if has_history && since.is_some_and(|since| !is_known(since)) {
            return Err(SubscribeError::Compacted {
                floor: self.floor,
                epoch: self.epoch,
            });
        }
        if since.is_some() && !has_history && request.epoch.is_some() {
            return Err(SubscribeError::NoHistory);
        }
        if since.is_some() && !has_history && request.events.is_some() {
            return Err(SubscribeError::NoHistory);
        }
        let mut watched = Watched::default();
        if !matches!(request.begin, Begin::Reserved) {
            watched.edit(0, Change::Set, &request.selectors);
        }
        let after = since.and_then(|since| since.checked_sub(1));
        let position = since.map_or(self.head, |_| after);
        let kind = match &request.events {
            Some(queue) => {
                let replay = since
                    .filter(|since| retained(&self.emits, self.first, *since).next().is_some());
                Kind::Events(TwinEvents::new(
                    queue.clone(),
                    has_history,
                    replay,
                    position,
                ))
            }
            None => Kind::Wake(TwinWake::new(
                self.first_span(since, &watched, !request.selectors.is_empty()),
                position,
            )),
        };
        self.subs.push(TwinSub {
            watched,
            begin: request.begin,
            epoch: self.epoch,
            after,
            kind,
        });
        Ok(())
    }

    fn first_span(
        &self,
        since: Option<u64>,
        watched: &Watched,
        watches_anything: bool,
    ) -> Option<Summary> {
        let since = since?;
        if self.bounds.is_none() {
            let last = self.emits.last().filter(|last| since <= last.value)?;
            if !watches_anything {
                return None;
            }
            return Some(Summary {
                first: since,
                last: last.value,
                first_seq: 1,
                last_seq: self.emits.len() as u64,
                count: 0,
                is_conservative: true,
            });
        }
        let matching = retained(&self.emits, self.first, since)
            .filter(|&i| watched.matches(i, &self.emits[i]));
        matching.fold(None, |span: Option<Summary>, i| match span {
            Some(mut span) => {
                span.push(i, self.emits[i].value);
                Some(span)
            }
            None => Some(Summary::of(i, self.emits[i].value)),
        })
    }

    /// The next item of a subscription. Marks are skipped unless `marks` is set.
    pub(crate) fn receive(&mut self, sub: usize, marks: bool) -> Result<Got, TryRecvError> {
        let sub = &mut self.subs[sub];
        if !matches!(sub.begin, Begin::Started) && !self.closed && !sub.has_ended() {
            return Err(TryRecvError::NotStarted);
        }
        let past = Past {
            emits: &self.emits,
            first: self.first,
            epoch: self.epoch,
            floor: self.floor,
            head: self.head,
            after: sub.after,
            watched: &sub.watched,
        };
        loop {
            let got = match &mut sub.kind {
                Kind::Events(events) => events.take(&past),
                Kind::Wake(wake) => wake.take().map(Ok),
            };
            match got {
                Some(Ok(Got::Progress(_))) if !marks => {}
                Some(got) => return got,
                None if self.closed => return Err(TryRecvError::Closed),
                None => return Err(TryRecvError::Empty),
            }
        }
    }

    pub(crate) fn edit(
        &mut self,
        sub: usize,
        change: Change,
        selectors: &[rangewatch_bus::Selector],
        opens: bool,
    ) -> Result<u64, ControlError> {
        let sub = &mut self.subs[sub];
        match (opens, matches!(sub.begin, Begin::Reserved)) {
            (true, false) => return Err(ControlError::AlreadyOpen),
            (false, true) => return Err(ControlError::NotOpen),
            _ => {}
        }
        if self.closed {
            return Err(ControlError::Closed);
        }
        if sub.has_ended() {
            return Err(ControlError::Ended);
        }
        sub.watched.edit(self.emits.len(), change, selectors);
        if opens {
            sub.begin = Begin::Held;
            sub.epoch = self.epoch;
            // Without history there is no head.
            match &mut sub.kind {
                Kind::Events(events) => events.begin_after(self.head),
                Kind::Wake(wake) => wake.begin_after(self.head),
            }
        }
        Ok(self.emits.len() as u64 + 1)
    }

    pub(crate) fn turn(&mut self, sub: usize, begin: Begin) -> Result<(), ControlError> {
        let sub = &mut self.subs[sub];
        if matches!(sub.begin, Begin::Reserved) {
            return Err(ControlError::NotOpen);
        }
        sub.begin = begin;
        Ok(())
    }

    pub(crate) fn start_after(&mut self, i: usize, value: u64) -> Result<(), ControlError> {
        self.turn(i, Begin::Started)?;
        let sub = &mut self.subs[i];
        if matches!(&sub.kind, Kind::Wake(wake) if wake.is_restored()) {
            return Ok(());
        }
        sub.after = sub.after.max(Some(value));
        match &mut sub.kind {
            Kind::Events(events) => events.discard_through(value, &self.emits),
            Kind::Wake(wake) => wake.discard_through(value),
        }
        Ok(())
    }

    /// `None` if a progress mark is refused.
    pub(crate) fn request_progress(&mut self, sub: usize) -> Option<Option<u64>> {
        self.bounds?;
        let sub = &mut self.subs[sub];
        let head = self.head.filter(|_| !self.closed && self.head > sub.after);
        let Kind::Events(events) = &mut sub.kind else {
            return Some(None);
        };
        Some(head.filter(|head| events.request_progress(*head)))
    }

    pub(crate) fn drop_sub(&mut self, sub: usize) {
        let totals = self.subs.remove(sub).totals().departed();
        self.departed = self.departed.plus(totals);
    }

    pub(crate) fn totals(&self) -> Totals {
        let subs = self.subs.iter().map(TwinSub::totals);
        subs.fold(self.departed, Totals::plus)
    }

    pub(crate) fn n_parked(&self) -> usize {
        let parked =
            |sub: &&TwinSub| matches!(&sub.kind, Kind::Events(events) if events.is_parked());
        self.subs.iter().filter(parked).count()
    }

    /// The number of events and of bytes in the history.
    pub(crate) fn history(&self) -> (usize, usize) {
        if self.bounds.is_none() {
            return (0, 0);
        }
        let bytes = retained(&self.emits, self.first, self.floor).map(|i| self.emits[i].n_bytes());
        (
            retained(&self.emits, self.first, self.floor).count(),
            bytes.sum(),
        )
    }

    /// The position, the lag, the length and the bytes of a subscription.
    pub(crate) fn state(&self, sub: usize) -> (Option<u64>, u64, usize, usize) {
        let sub = &self.subs[sub];
        let past = Past {
            emits: &self.emits,
            first: self.first,
            epoch: self.epoch,
            floor: self.floor,
            head: self.head,
            after: sub.after,
            watched: &sub.watched,
        };
        match &sub.kind {
            Kind::Events(events) => (
                events.position(),
                events.lag(&past),
                events.len(),
                events.n_bytes(&self.emits),
            ),
            Kind::Wake(wake) => (wake.position(), wake.lag(), 0, 0),
        }
    }
}

impl TwinSub {
    pub(crate) fn totals(&self) -> Totals {
        match &self.kind {
            Kind::Events(events) => events.totals(),
            Kind::Wake(wake) => wake.totals(),
        }
    }

    fn has_ended(&self) -> bool {
        matches!(&self.kind, Kind::Events(events) if events.has_ended())
    }

    /// Whether it receives the last of the emits.
    fn wants(&self, emits: &[Emit]) -> bool {
        let i = emits.len() - 1;
        !self.has_ended() && Some(emits[i].value) > self.after && self.watched.matches(i, &emits[i])
    }
}

/// The error of the bus where the reference refuses to compact.
pub(crate) fn above_head(error: CompactError) -> Option<(u64, Option<u64>)> {
    match error {
        CompactError::AboveHead { value, head, .. } => Some((value, head)),
        _ => None,
    }
}
