//! A watch set against a reference implementation: every step of a random script has the same
//! outcome on both.

mod cases;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rangewatch_bus::{Closed, Delivery, RangeWatchBus, Selector, WatchSet};

use cases::config;

/// Keys of the set, and of the emits: a subscription watches one key or two.
const KEYS: [&str; 3] = ["a", "b", "c"];
const N_BUSES: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Insert {
        watch: usize,
        bus: usize,
        keys: Vec<&'static str>,
        held: bool,
    },
    Remove(usize),
    Emit {
        bus: usize,
        keys: Vec<&'static str>,
    },
    Recv,
    Take,
    /// Drops the delivery that was taken so many takes ago.
    Release(usize),
    Start(usize),
    Pause(usize),
    RecvByHand(usize),
    Close(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let watch = 0..4_usize;
    let bus = 0..N_BUSES;
    let keys = || vec(select(&KEYS[..]), 0..3);
    prop_oneof![
        4 => (watch.clone(), bus.clone(), keys(), any::<bool>())
            .prop_map(|(watch, bus, keys, held)| Step::Insert { watch, bus, keys, held }),
        2 => watch.clone().prop_map(Step::Remove),
        8 => (bus.clone(), keys()).prop_map(|(bus, keys)| Step::Emit { bus, keys }),
        5 => Just(Step::Recv),
        3 => Just(Step::Take),
        3 => (0..3_usize).prop_map(Step::Release),
        2 => watch.clone().prop_map(Step::Start),
        1 => watch.clone().prop_map(Step::Pause),
        1 => watch.prop_map(Step::RecvByHand),
        1 => bus.prop_map(Step::Close),
    ]
}

/// What is known of a subscription in the set.
#[derive(Debug)]
struct Watch {
    bus: usize,
    keys: BTreeSet<&'static str>,
    held: bool,
    paused: bool,
    /// The values that matched and were not received.
    pending: Vec<u64>,
    has_closed: bool,
}

/// The reference implementation: lists and linear scans.
#[derive(Default, Debug)]
struct Reference {
    watches: BTreeMap<usize, Watch>,
    /// The keys that are ready, those of one emit or close together, in no order among them.
    ready: VecDeque<BTreeSet<usize>>,
    /// The watches that were used by hand while they were ready. Such a watch may keep its place,
    /// so that it is received early when it is ready again.
    kept: BTreeSet<usize>,
    is_closed: [bool; N_BUSES],
}

impl Reference {
    fn has_something(&self, watch: usize) -> bool {
        let watch = &self.watches[&watch];
        let is_closed = self.is_closed[watch.bus];
        let delivers = is_closed || !watch.held;
        !watch.paused && delivers && !watch.has_closed && (is_closed || !watch.pending.is_empty())
    }

    /// Appends those of `watches` that became ready, together.
    fn enqueue(&mut self, watches: impl IntoIterator<Item = usize>) {
        let mut together = BTreeSet::new();
        for watch in watches {
            let is_queued = self.ready.iter().any(|group| group.contains(&watch));
            if !is_queued && self.has_something(watch) {
                together.insert(watch);
            }
        }
        self.ready.push_back(together);
    }

    fn dequeue(&mut self, watch: usize) {
        self.kept.remove(&watch);
        for group in &mut self.ready {
            group.remove(&watch);
        }
        self.ready.retain(|group| !group.is_empty());
    }

    /// A `with` call for a watch.
    fn use_by_hand(&mut self, watch: usize) {
        if self.ready.iter().any(|group| group.contains(&watch)) {
            self.kept.insert(watch);
        }
    }

    /// Whether `watch` may be received now, where `front` are the oldest.
    fn may_come_next(&self, watch: usize, front: &BTreeSet<usize>) -> bool {
        front.contains(&watch) || self.kept.contains(&watch) && self.has_something(watch)
    }

    fn remove(&mut self, watch: usize) -> Option<Watch> {
        self.dequeue(watch);
        self.watches.remove(&watch)
    }

    fn emit(&mut self, bus: usize, keys: &[&'static str], value: u64) {
        if self.is_closed[bus] {
            return;
        }
        let mut matched = Vec::new();
        for (id, watch) in &mut self.watches {
            if watch.bus == bus && keys.iter().any(|key| watch.keys.contains(key)) {
                watch.pending.push(value);
                matched.push(*id);
            }
        }
        self.enqueue(matched);
    }

    fn close(&mut self, bus: usize) {
        self.is_closed[bus] = true;
        let of_bus: Vec<_> = self.watches.iter().filter(|(_, w)| w.bus == bus).collect();
        let ids: Vec<_> = of_bus.into_iter().map(|(id, _)| *id).collect();
        self.enqueue(ids);
    }

    /// What is received of a watch: the first and the last value and their number, or the close.
    fn receive(&mut self, watch: usize) -> Result<(u64, u64, u64), Closed> {
        let pending = std::mem::take(&mut self.watches.get_mut(&watch).unwrap().pending);
        match pending[..] {
            [] => {
                self.watches.get_mut(&watch).unwrap().has_closed = true;
                Err(Closed)
            }
            [first, ..] => Ok((first, pending[pending.len() - 1], pending.len() as u64)),
        }
    }

    /// The watches of which any may be received now. A watch whose span was received by hand, or
    /// that was held meanwhile, is skipped.
    fn front(&mut self) -> BTreeSet<usize> {
        while let Some(mut group) = self.ready.pop_front() {
            group.retain(|watch| self.has_something(*watch));
            if !group.is_empty() {
                self.ready.push_front(group.clone());
                return group;
            }
        }
        BTreeSet::new()
    }
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let buses = [(); N_BUSES].map(|()| RangeWatchBus::new());
    let watches = WatchSet::new();
    let mut reference = Reference::default();
    let mut deliveries: VecDeque<(u64, Delivery<usize>)> = VecDeque::new();
    // Which insert of a watch a delivery is of.
    let mut generations = [0_u64; 4];
    for (value, step) in (1..).zip(steps) {
        match step {
            Step::Insert {
                watch,
                bus,
                keys,
                held,
            } => {
                let selectors = keys.iter().map(Selector::key);
                let builder =
                    buses[bus].subscribe(selectors.collect::<rangewatch_bus::Selectors>());
                let builder = if held { builder.hold() } else { builder };
                let Ok(sub) = builder.wake() else {
                    prop_assert!(reference.is_closed[bus]);
                    continue;
                };
                generations[watch] += 1;
                let replaced = watches.insert(watch, sub);
                prop_assert_eq!(replaced.is_some(), reference.remove(watch).is_some());
                reference.watches.insert(
                    watch,
                    Watch {
                        bus,
                        keys: keys.into_iter().collect(),
                        held,
                        paused: false,
                        pending: Vec::new(),
                        has_closed: false,
                    },
                );
            }
            Step::Remove(watch) => {
                generations[watch] += 1;
                let removed = watches.remove(&watch);
                let expected = reference.remove(watch);
                prop_assert_eq!(
                    removed.map(|sub| sub.lag()),
                    expected.map(|watch| watch.pending.len() as u64)
                );
            }
            Step::Emit { bus, keys } => {
                let emitted = buses[bus].emit(value, &keys);
                prop_assert_eq!(emitted.is_err(), reference.is_closed[bus]);
                reference.emit(bus, &keys, value);
            }
            Step::Recv => {
                let expected = reference.front();
                let received = watches.try_recv();
                prop_assert_eq!(received.is_none(), expected.is_empty(), "{:?}", reference);
                if let Some((watch, span)) = received {
                    prop_assert!(
                        reference.may_come_next(watch, &expected),
                        "{} of {:?}",
                        watch,
                        expected
                    );
                    let span = span.map(|span| (span.first(), span.last(), span.count()));
                    reference.dequeue(watch);
                    prop_assert_eq!(span, reference.receive(watch));
                    reference.enqueue([watch]);
                }
            }
            Step::Take => {
                let expected = reference.front();
                let taken = watches.take();
                prop_assert_eq!(taken.is_none(), expected.is_empty(), "{:?}", reference);
                if let Some(delivery) = taken {
                    let watch = *delivery.key();
                    prop_assert!(
                        reference.may_come_next(watch, &expected),
                        "{} of {:?}",
                        watch,
                        expected
                    );
                    let span = delivery.span();
                    let span = span.map(|span| (span.first(), span.last(), span.count()));
                    reference.dequeue(watch);
                    prop_assert_eq!(span, reference.receive(watch));
                    reference.watches.get_mut(&watch).unwrap().paused = true;
                    deliveries.push_back((generations[watch], delivery));
                }
            }
            Step::Release(i) => {
                if let Some((generation, delivery)) = deliveries.remove(i) {
                    let watch = *delivery.key();
                    drop(delivery);
                    if generation == generations[watch] {
                        reference.watches.get_mut(&watch).unwrap().paused = false;
                        reference.enqueue([watch]);
                    }
                }
            }
            Step::Start(watch) | Step::Pause(watch) => {
                let starts = matches!(step, Step::Start(_));
                reference.use_by_hand(watch);
                let changed = watches.with(&watch, |sub| match starts {
                    true => sub.start(),
                    false => sub.pause(),
                });
                let expected = reference.watches.get_mut(&watch);
                prop_assert_eq!(changed.is_some(), expected.is_some());
                if let Some(expected) = expected {
                    expected.held = !starts;
                    reference.enqueue([watch]);
                }
            }
            Step::RecvByHand(watch) => {
                reference.use_by_hand(watch);
                let received = watches.with(&watch, |sub| sub.try_recv());
                let Some(expected) = reference.watches.get_mut(&watch) else {
                    prop_assert!(received.is_none());
                    continue;
                };
                let delivers = !expected.held || reference.is_closed[expected.bus];
                let n_received = received.unwrap().map_or(0, |span| span.count());
                let n_expected = if delivers {
                    expected.pending.len() as u64
                } else {
                    0
                };
                prop_assert_eq!(n_received, n_expected);
                if delivers {
                    expected.pending.clear();
                }
                reference.enqueue([watch]);
            }
            Step::Close(bus) => {
                buses[bus].close();
                reference.close(bus);
            }
        }
        prop_assert_eq!(watches.len(), reference.watches.len());
        let n_ready: usize = reference.ready.iter().map(BTreeSet::len).sum();
        prop_assert!(watches.n_ready() >= reference.front().len().min(n_ready));
    }
    drop(watches);
    let n_subscriptions: usize = buses.iter().map(RangeWatchBus::n_subscriptions).sum();
    prop_assert_eq!(n_subscriptions, 0);
    for bus in &buses {
        let stats = bus.stats();
        prop_assert!(stats.deliveries().is_conserved(), "{:?}", stats);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_watch_set_agrees_with_the_reference(steps in vec(step(), 0..60)) {
        run(steps)?;
    }
}
