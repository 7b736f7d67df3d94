//! Many threads under the checker, with history, payloads, every policy, edits, marks and starts in
//! the past: bounded steps and no sleeps.

mod deadline;
mod random;

use std::sync::Barrier;
use std::thread;

use futures::executor::block_on;
use rangewatch_bus::{
    EventSubscription, History, Overflow, RangeWatchBus, RecvError, SubscribeError,
};
use rangewatch_checker::{Checker, Log};

use random::Random;

const N_EMITTERS: u64 = 3;
const N_EMITS: u64 = 1_500;

const POLICIES: [Overflow; 5] = [
    Overflow::Lagged,
    Overflow::Coalesce,
    Overflow::Disconnect,
    Overflow::Park,
    Overflow::Backpressure,
];

/// Does something to the subscription beside receiving, now and then.
fn disturb(sub: &mut EventSubscription<u64>, log: &Log, random: &mut Random) {
    match random.below(60) {
        0..6 => {
            sub.request_progress().unwrap();
        }
        6 => {
            // Refused once the subscription has ended.
            let selectors = random.selectors();
            if let Ok(seq) = sub.add_selectors(&selectors) {
                log.selectors_added(seq, selectors);
            }
        }
        7 => {
            let selectors = random.selectors();
            if let Ok(seq) = sub.remove_selectors(&selectors) {
                log.selectors_removed(seq, selectors);
            }
        }
        8 => {
            sub.pause().unwrap();
            sub.start().unwrap();
        }
        9 => {
            sub.pause().unwrap();
            let revision = sub.position().unwrap_or(0) + 3;
            sub.start_after(revision).unwrap();
            log.started_after(revision);
        }
        _ => {}
    }
}

/// Whether a consumer resumes after a subscription, and from which value.
fn consume(
    bus: &RangeWatchBus<u64>,
    mut sub: EventSubscription<u64>,
    log: &Log,
    random: &mut Random,
) -> Option<u64> {
    loop {
        disturb(&mut sub, log, random);
        match block_on(sub.recv_item()) {
            Ok(item) => log.record(&item),
            Err(error) => {
                log.record(error);
                match error {
                    RecvError::Disconnected { resume } => return Some(resume),
                    RecvError::Compacted { floor, .. } => return Some(floor),
                    RecvError::Closed => {
                        log.at_rest(bus.last_seq(), sub.stats());
                        return None;
                    }
                    _ => {}
                }
            }
        }
        if random.below(200) == 0 {
            return Some(sub.position().map_or(0, |position| position + 1));
        }
    }
}

/// Follows the bus until it closes, over as many subscriptions as it takes.
fn follow(bus: &RangeWatchBus<u64>, checker: &Checker, seed: u64, overflow: Overflow) {
    let mut random = Random(seed);
    let mut next = Some(0);
    while let Some(since) = next {
        let (selectors, capacity) = (random.selectors(), 1 + random.below(6));
        let subscribed = checker.subscribe_since(bus, selectors, since, |builder| {
            builder.overflow(overflow).events(capacity)
        });
        next = match subscribed {
            Ok((sub, log)) => consume(bus, sub, &log, &mut random),
            Err(SubscribeError::Compacted { floor, .. }) => Some(floor),
            Err(SubscribeError::Closed) => None,
            Err(other) => panic!("{other}"),
        };
    }
}

/// As `follow`, for spans.
fn follow_spans(bus: &RangeWatchBus<u64>, checker: &Checker, seed: u64) {
    let mut random = Random(seed);
    let mut next = 0;
    loop {
        let selectors = random.selectors();
        let subscribed = checker.subscribe_since(bus, selectors, next, |builder| builder.wake());
        match subscribed {
            Ok((mut sub, log)) => {
                for _ in 0..1 + random.below(100) {
                    match block_on(sub.recv()) {
                        Ok(span) => log.record(span),
                        Err(_) => {
                            log.record(RecvError::Closed);
                            log.at_rest(bus.last_seq(), sub.stats());
                            return;
                        }
                    }
                }
                next = sub.position().map_or(next, |position| position + 1);
            }
            Err(SubscribeError::Compacted { floor, .. }) => next = floor,
            Err(SubscribeError::Closed) => return,
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn g01_to_g40_hold_with_every_policy_payloads_edits_marks_and_starts_in_the_past() {
    deadline::ends(|| {
        for (round, history) in [8, 64, 100_000].into_iter().enumerate() {
            let bus = RangeWatchBus::builder()
                .payloads::<u64>()
                .history(History::events(history))
                .build()
                .unwrap();
            let checker = Checker::new();
            let begin = Barrier::new(N_EMITTERS as usize + POLICIES.len());
            let shared = (&bus, &checker, &begin);
            thread::scope(|scope| {
                for (i, overflow) in POLICIES.into_iter().enumerate() {
                    let seed = 1 + (round * 100 + i) as u64;
                    scope.spawn(move || {
                        let (bus, checker, begin) = shared;
                        begin.wait();
                        follow(bus, checker, seed, overflow);
                    });
                }
                scope.spawn(|| follow_spans(&bus, &checker, 77));
                let emitters: Vec<_> = (0..N_EMITTERS)
                    .map(|emitter| {
                        scope.spawn(move || {
                            let (bus, checker, begin) = shared;
                            let mut random = Random(1000 + emitter);
                            begin.wait();
                            for i in 0..N_EMITS {
                                let n_keys = random.below(4) as u64;
                                let entry = |n| (random.key(), i * 10 + n);
                                let entries: Vec<_> = (0..n_keys).map(entry).collect();
                                checker.emit_next_with(bus, entries).unwrap();
                                if i % 4 == 0 {
                                    // So that consumers take part.
                                    thread::yield_now();
                                }
                                if emitter == 0 && i % 100 == 99 && history <= 64 {
                                    let head = bus.head().unwrap();
                                    bus.compact(head.saturating_sub(40)).unwrap();
                                    checker.observe(bus);
                                }
                            }
                        })
                    })
                    .collect();
                emitters
                    .into_iter()
                    .for_each(|emitter| emitter.join().unwrap());
                bus.close();
            });
            checker.at_rest(bus.stats());
            let verified = checker.verify().unwrap_or_else(|broken| panic!("{broken}"));
            assert_eq!(verified.n_emits() as u64, N_EMITTERS * N_EMITS);
            // The long history keeps everything for those who read it.
            let n_expected = if history > 64 { 300 } else { 1 };
            assert!(verified.n_deliveries() > n_expected, "{verified:?}");
            assert_eq!((bus.n_subscriptions(), bus.stats().n_parked()), (0, 0));
        }
    });
}

#[test]
fn g21_asynchronous_emits_lose_nothing_between_several_emitters_and_slow_subscribers() {
    deadline::ends(|| {
        let (bus, checker) = (RangeWatchBus::new(), Checker::new());
        let subs: Vec<_> = ["a".."b", "b".."c", "a".."c"]
            .into_iter()
            .zip([1, 2, 3])
            .map(|(range, capacity)| {
                let subscribed = checker.subscribe(&bus, range, |builder| {
                    builder.overflow(Overflow::Backpressure).events(capacity)
                });
                subscribed.unwrap()
            })
            .collect();
        thread::scope(|scope| {
            let bus = &bus;
            for (mut sub, log) in subs {
                scope.spawn(move || {
                    while let Ok(event) = block_on(sub.recv()) {
                        log.record(&event);
                    }
                    log.record(RecvError::Closed);
                    log.at_rest(bus.last_seq(), sub.stats());
                });
            }
            let emitters: Vec<_> = [["a", "b"], ["b", "a"], ["a", "a"]]
                .into_iter()
                .map(|keys| {
                    let checker = &checker;
                    scope.spawn(move || {
                        for value in 0..N_EMITS {
                            block_on(checker.emit_async(bus, value, keys)).unwrap();
                        }
                    })
                })
                .collect();
            emitters
                .into_iter()
                .for_each(|emitter| emitter.join().unwrap());
            bus.close();
        });
        checker.at_rest(bus.stats());
        let verified = checker.verify().unwrap_or_else(|broken| panic!("{broken}"));
        // Every emit has "a", and two of three have "b".
        let n_deliveries = N_EMITS as usize * (3 + 2 + 3);
        assert_eq!(verified.n_deliveries(), n_deliveries);
    });
}
