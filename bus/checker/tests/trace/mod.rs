//! Traces of a real bus, in a form that can be mutated and verified again.

use proptest::prelude::*;
use proptest::sample::select;
use rangewatch_bus::{
    EventSubscription, History, Item, Overflow, RangeWatchBus, RecvError, Selectors, Seq, Stats,
    SubscribeError, TryRecvError, WakeSubscription,
};
use rangewatch_checker::{Checker, Delivery, Log, Verified, Violation};

#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) history: bool,
    pub(crate) emits: Vec<(Seq, u64, Vec<Vec<u8>>)>,
    /// The position, the epoch and the head of each restore.
    pub(crate) restores: Vec<(Seq, u64, Option<u64>)>,
    /// The last emit, the head and the floor at the end of each epoch.
    pub(crate) observed: Vec<(Option<Seq>, Option<u64>, u64)>,
    pub(crate) since_results: Vec<(u64, (u64, u64), Option<u64>)>,
    pub(crate) subs: Vec<Sub>,
}

#[derive(Clone, Debug)]
pub(crate) struct Sub {
    pub(crate) selectors: Selectors,
    pub(crate) start: Start,
    /// The number of restores before it was made.
    pub(crate) epoch: usize,
    pub(crate) is_wake: bool,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    After(Option<Seq>),
    Since(u64),
}

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Delivery(Delivery),
    Edited(Seq, Edit, Selectors),
    StartedAfter(u64),
    AtRest(Option<Seq>, Stats),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    Add,
    Remove,
    Set,
}

/// One step. Subscriptions are named by a number modulo how many there are.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The value rises by the first number.
    Emit(u64, Vec<&'static str>),
    /// With a value so much below the head, if any.
    Subscribe(&'static str, Option<u64>, Kind),
    Receive(usize),
    CatchUp(usize),
    RequestProgress(usize),
    Edit(usize, Edit, &'static str),
    StartAfter(usize, u64),
    Compact(u64),
    Advance(u64),
    /// To a head that is so much below, or to none, in the same epoch or in the next one.
    Restore(Option<u64>, bool),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Wake,
    Events(Overflow, usize),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let keys = || {
        select(vec![
            vec![],
            vec!["a"],
            vec!["b"],
            vec!["a", "b"],
            vec!["b", "c"],
        ])
    };
    let selectors = || select(vec!["a", "b", "ab", "abc", ""]);
    let overflow = select(vec![
        Overflow::Lagged,
        Overflow::Coalesce,
        Overflow::Disconnect,
        Overflow::Park,
    ]);
    let kind = prop_oneof![
        1 => Just(Kind::Wake),
        4 => (overflow, 1..4_usize).prop_map(|(overflow, n)| Kind::Events(overflow, n)),
    ];
    let sub = || 0..8_usize;
    let edit = select(vec![Edit::Add, Edit::Remove, Edit::Set]);
    prop_oneof![
        30 => (1..4_u64, keys()).prop_map(|(rise, keys)| Step::Emit(rise, keys)),
        10 => (selectors(), proptest::option::weighted(0.4, 0..12_u64), kind)
            .prop_map(|(selectors, since, kind)| Step::Subscribe(selectors, since, kind)),
        15 => sub().prop_map(Step::Receive),
        2 => sub().prop_map(Step::CatchUp),
        5 => sub().prop_map(Step::RequestProgress),
        3 => (sub(), edit, selectors()).prop_map(|(sub, edit, keys)| Step::Edit(sub, edit, keys)),
        1 => (sub(), 0..5_u64).prop_map(|(sub, back)| Step::StartAfter(sub, back)),
        2 => (0..8_u64).prop_map(Step::Compact),
        1 => (1..4_u64).prop_map(Step::Advance),
        2 => (proptest::option::weighted(0.9, 0..8_u64), any::<bool>())
            .prop_map(|(back, stays)| Step::Restore(back, stays)),
    ]
}

/// The last emit that an entry shows to have been received.
pub(crate) fn received_seq(entry: &Entry) -> Option<Seq> {
    match entry {
        Entry::Delivery(Delivery::Event { seq, .. }) => Some(*seq),
        Entry::Delivery(Delivery::Span { last_seq, .. }) => Some(*last_seq),
        Entry::Delivery(Delivery::CaughtUp(through)) => *through,
        _ => None,
    }
}

enum Subscription {
    Wake(WakeSubscription),
    Events(EventSubscription),
}

/// A selector for each letter.
fn selectors_of(keys: &str) -> Selectors {
    keys.chars()
        .map(|key| rangewatch_bus::Selector::key(key.to_string()))
        .collect()
}

impl Trace {
    /// Runs the steps on a bus, and then receives everything that is left.
    pub(crate) fn run(history: bool, steps: &[Step]) -> Self {
        let mut builder = RangeWatchBus::builder();
        if history {
            builder = builder.history(History::events(6));
        }
        let mut run = Run {
            bus: builder.build().unwrap(),
            value: 10,
            trace: Self {
                history,
                emits: Vec::new(),
                restores: Vec::new(),
                observed: Vec::new(),
                since_results: Vec::new(),
                subs: Vec::new(),
            },
            subs: Vec::new(),
        };
        steps.iter().for_each(|step| run.step(step));
        for i in 0..run.subs.len() {
            run.catch_up(i);
            let stats = match &run.subs[i] {
                Subscription::Wake(sub) => sub.stats(),
                Subscription::Events(sub) => sub.stats(),
            };
            let at_rest = Entry::AtRest(run.bus.last_seq(), stats);
            run.trace.subs[i].entries.push(at_rest);
        }
        run.observe();
        run.trace
    }

    pub(crate) fn head(&self) -> Option<u64> {
        let emitted = self.emits.iter().map(|(_, value, _)| *value);
        let observed = self.observed.iter().filter_map(|(_, head, _)| *head);
        emitted.chain(observed).max()
    }

    pub(crate) fn verify(&self) -> Result<Verified, Violation> {
        let checker = Checker::new();
        for (seq, value, keys) in &self.emits {
            checker.emitted(*seq, *value, keys);
        }
        for (since, floors, compacted) in &self.since_results {
            checker.since_returned(*since, *floors, *compacted);
        }
        let observe = |epoch: usize| {
            if let Some((through, head, floor)) = self.observed.get(epoch) {
                checker.observed(*through, *head, *floor);
            }
        };
        let mut n_restores = 0;
        let restore = |epoch: usize| {
            let (first, number, head) = self.restores[epoch];
            observe(epoch);
            checker.restored(first, number, head);
        };
        for sub in &self.subs {
            while n_restores < sub.epoch {
                restore(n_restores);
                n_restores += 1;
            }
            let log = match sub.start {
                Start::After(before) => checker.subscribed(&sub.selectors, before, before),
                Start::Since(since) => checker.subscribed_since(&sub.selectors, since),
            };
            sub.entries.iter().for_each(|entry| entry.record(&log));
        }
        (n_restores..self.restores.len()).for_each(restore);
        observe(self.restores.len());
        checker.verify()
    }
}

impl Entry {
    fn record(&self, log: &Log) {
        match self {
            Self::Delivery(delivery) => log.record(delivery.clone()),
            Self::Edited(seq, Edit::Add, selectors) => log.selectors_added(*seq, selectors),
            Self::Edited(seq, Edit::Remove, selectors) => log.selectors_removed(*seq, selectors),
            Self::Edited(seq, Edit::Set, selectors) => log.selectors_set(*seq, selectors),
            Self::StartedAfter(value) => log.started_after(*value),
            Self::AtRest(through, stats) => log.at_rest(*through, *stats),
        }
    }
}

struct Run {
    bus: RangeWatchBus,
    value: u64,
    trace: Trace,
    subs: Vec<Subscription>,
}

impl Run {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Emit(rise, keys) => {
                self.value += rise;
                let emitted = self.bus.emit(self.value, keys).unwrap();
                let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
                self.trace.emits.push((emitted.seq(), self.value, keys));
            }
            Step::Subscribe(keys, back, kind) => self.subscribe(keys, *back, *kind),
            Step::Receive(sub) => {
                if let Some(i) = self.index(*sub) {
                    self.receive(i);
                }
            }
            Step::CatchUp(sub) => {
                if let Some(i) = self.index(*sub) {
                    self.catch_up(i);
                }
            }
            Step::RequestProgress(sub) => {
                if let Some((Subscription::Events(sub), _)) = self.sub(*sub) {
                    let _ = sub.request_progress();
                }
            }
            Step::Edit(sub, edit, keys) => {
                let selectors = selectors_of(keys);
                let Some((sub, entries)) = self.sub(*sub) else {
                    return;
                };
                let seq = match (sub, edit) {
                    (Subscription::Events(sub), Edit::Add) => sub.add_selectors(&selectors),
                    (Subscription::Events(sub), Edit::Remove) => sub.remove_selectors(&selectors),
                    (Subscription::Events(sub), Edit::Set) => sub.set_selectors(&selectors),
                    (Subscription::Wake(sub), Edit::Add) => sub.add_selectors(&selectors),
                    (Subscription::Wake(sub), Edit::Remove) => sub.remove_selectors(&selectors),
                    (Subscription::Wake(sub), Edit::Set) => sub.set_selectors(&selectors),
                };
                if let Ok(seq) = seq {
                    entries.push(Entry::Edited(seq, *edit, selectors));
                }
            }
            Step::StartAfter(sub, back) => {
                let value = self.value.saturating_sub(*back);
                let Some((sub, entries)) = self.sub(*sub) else {
                    return;
                };
                let started = match sub {
                    Subscription::Events(sub) => sub.start_after(value),
                    Subscription::Wake(sub) => sub.start_after(value),
                };
                if started.is_ok() {
                    entries.push(Entry::StartedAfter(value));
                }
            }
            Step::Compact(back) => {
                let _ = self.bus.compact(self.value.saturating_sub(*back));
            }
            Step::Advance(rise) => {
                if self.bus.advance(self.value + rise).is_ok() {
                    self.value += rise;
                }
            }
            Step::Restore(back, stays) => {
                let Some(epoch) = self.bus.epoch() else {
                    return;
                };
                self.observe();
                let epoch = epoch + u64::from(!stays);
                let head = back.map(|back| self.value.saturating_sub(back));
                let first = self.bus.restore(epoch, head).unwrap();
                self.value = head.unwrap_or(0);
                self.trace.restores.push((first, epoch, head));
            }
        }
    }

    /// Observes the head and the floor of the epoch.
    fn observe(&mut self) {
        if let Some(floor) = self.bus.floor() {
            let observed = (self.bus.last_seq(), self.bus.head(), floor);
            self.trace.observed.push(observed);
        }
    }

    fn subscribe(&mut self, keys: &str, back: Option<u64>, kind: Kind) {
        let selectors = selectors_of(keys);
        let since = back
            .filter(|_| self.trace.history)
            .map(|back| self.value.saturating_sub(back));
        let mut builder = self.bus.subscribe(&selectors);
        if let Some(since) = since {
            builder = builder.since(since);
        }
        let subscribed = match kind {
            Kind::Wake => builder.wake().map(Subscription::Wake),
            Kind::Events(overflow, n) => builder
                .overflow(overflow)
                .events(n)
                .map(Subscription::Events),
        };
        if let (Some(since), Some(floor)) = (since, self.bus.floor()) {
            let compacted = match &subscribed {
                Err(SubscribeError::Compacted { floor, .. }) => Some(*floor),
                _ => None,
            };
            let result = (since, (floor, floor), compacted);
            self.trace.since_results.push(result);
        }
        if let Ok(subscription) = subscribed {
            self.subs.push(subscription);
            self.trace.subs.push(Sub {
                selectors,
                start: since.map_or_else(|| Start::After(self.bus.last_seq()), Start::Since),
                epoch: self.trace.restores.len(),
                is_wake: matches!(kind, Kind::Wake),
                entries: Vec::new(),
            });
        }
    }

    fn index(&self, sub: usize) -> Option<usize> {
        sub.checked_rem(self.subs.len())
    }

    fn sub(&mut self, sub: usize) -> Option<(&mut Subscription, &mut Vec<Entry>)> {
        let i = self.index(sub)?;
        Some((&mut self.subs[i], &mut self.trace.subs[i].entries))
    }

    /// Receives one item. Returns whether there may be more.
    fn receive(&mut self, i: usize) -> bool {
        let through = self.bus.last_seq();
        let delivery = match &mut self.subs[i] {
            Subscription::Wake(sub) => match sub.try_recv() {
                Ok(span) => span.into(),
                Err(_) => Delivery::CaughtUp(through),
            },
            Subscription::Events(sub) => match sub.try_recv_item() {
                Ok(item) => Delivery::from(&item as &Item),
                Err(TryRecvError::Empty) => Delivery::CaughtUp(through),
                Err(TryRecvError::Lagged(missed)) => Delivery::Lagged(missed),
                Err(TryRecvError::Disconnected { resume }) => {
                    Delivery::Ended(RecvError::Disconnected { resume })
                }
                Err(TryRecvError::Compacted { floor, epoch }) => {
                    Delivery::Ended(RecvError::Compacted { floor, epoch })
                }
                Err(other) => panic!("{other}"),
            },
        };
        let is_last = matches!(delivery, Delivery::CaughtUp(_) | Delivery::Ended(_));
        self.trace.subs[i].entries.push(Entry::Delivery(delivery));
        !is_last
    }

    fn catch_up(&mut self, i: usize) {
        while self.receive(i) {}
    }
}
