//! Several threads under the checker, with bounded steps and without sleeps.

mod deadline;
mod random;

use std::sync::Barrier;
use std::thread;

use futures::executor::block_on;
use rangewatch_bus::{EventSubscription, RangeWatchBus, RecvError, TryRecvError, WakeSubscription};
use rangewatch_checker::{Checker, Delivery, Log};

use random::Random;

const N_EMITS: u64 = 3_000;

/// The greatest number of subscriptions that come and go.
const N_CHURNED: usize = 400;

fn emit_many(bus: &RangeWatchBus, checker: &Checker, seed: u64) {
    let mut random = Random(seed);
    for value in 0..N_EMITS {
        let keys: Vec<_> = (0..random.below(4)).map(|_| random.key()).collect();
        checker.emit(bus, value, keys).unwrap();
    }
}

/// Receives until the bus closes.
fn consume_events(mut sub: EventSubscription, log: &Log, bus: &RangeWatchBus) {
    loop {
        match block_on(sub.recv()) {
            Ok(event) => log.record(&event),
            Err(RecvError::Lagged(missed)) => log.record(Delivery::Lagged(missed)),
            Err(RecvError::Closed) => break,
            Err(other) => panic!("{other}"),
        }
    }
    log.caught_up(bus.last_seq());
}

/// Receives until the bus closes.
fn consume_spans(mut sub: WakeSubscription, log: &Log, bus: &RangeWatchBus) {
    while let Ok(span) = block_on(sub.recv()) {
        log.record(span);
    }
    log.caught_up(bus.last_seq());
}

/// Subscribes, receives a little and drops, until it has done enough or the bus closes. Returns the
/// number of subscriptions that it made.
fn churn(bus: &RangeWatchBus, checker: &Checker, seed: u64) -> usize {
    let mut random = Random(seed);
    for n_subscriptions in (0..N_CHURNED).step_by(2) {
        let subscribed = checker.subscribe(bus, random.selectors(), |builder| builder.events(3));
        let Ok((mut events, events_log)) = subscribed else {
            return n_subscriptions;
        };
        let subscribed = checker.subscribe(bus, random.selectors(), |builder| builder.wake());
        let Ok((mut wake, wake_log)) = subscribed else {
            return n_subscriptions + 1;
        };
        for _ in 0..random.below(20) {
            let head = bus.last_seq();
            match events.try_recv() {
                Ok(event) => events_log.record(&event),
                Err(TryRecvError::Lagged(missed)) => events_log.record(Delivery::Lagged(missed)),
                Err(_) => events_log.caught_up(head),
            }
            let head = bus.last_seq();
            match wake.try_recv() {
                Ok(span) => wake_log.record(span),
                Err(_) => wake_log.caught_up(head),
            }
        }
    }
    N_CHURNED
}

#[test]
fn g01_to_g18_hold_between_an_emitter_and_a_consumer() {
    deadline::ends(|| {
        for capacity in [1, 4, 100_000] {
            let (bus, checker) = (RangeWatchBus::new(), Checker::new());
            let (events, log) = checker
                .subscribe(&bus, "a".."c", |builder| builder.events(capacity))
                .unwrap();
            thread::scope(|scope| {
                scope.spawn(|| consume_events(events, &log, &bus));
                emit_many(&bus, &checker, 1);
                bus.close();
            });
            let verified = checker.verify().unwrap();
            assert_eq!(verified.n_emits() as u64, N_EMITS);
            let n_received = verified.n_deliveries() as u64 + verified.n_missed();
            assert!(
                n_received > N_EMITS / 4 && n_received < N_EMITS,
                "{verified:?}"
            );
            assert!(capacity < 100_000 || verified.n_missed() == 0);
        }
    });
}

#[test]
fn g01_to_g18_hold_between_several_emitters_and_consumers_that_come_and_go() {
    deadline::ends(|| {
        const N_EMITTERS: usize = 3;
        const N_STEADY: usize = 2;

        let (bus, checker) = (RangeWatchBus::new(), Checker::new());
        let begin = Barrier::new(N_EMITTERS + 1);
        let n_churned = thread::scope(|scope| {
            for seed in 1..=N_STEADY as u64 {
                let selectors = Random(seed).selectors();
                let (events, log) = checker
                    .subscribe(&bus, selectors, |builder| builder.events(8))
                    .unwrap();
                let consumer_bus = &bus;
                scope.spawn(move || consume_events(events, &log, consumer_bus));
                let (spans, log) = checker
                    .subscribe(&bus, "a".."c", |builder| builder.wake())
                    .unwrap();
                scope.spawn(move || consume_spans(spans, &log, consumer_bus));
            }
            let churner = scope.spawn(|| {
                begin.wait();
                churn(&bus, &checker, 7)
            });
            let emitters: Vec<_> = (1..=N_EMITTERS as u64)
                .map(|seed| {
                    let (bus, checker, begin) = (&bus, &checker, &begin);
                    scope.spawn(move || {
                        begin.wait();
                        emit_many(bus, checker, seed);
                    })
                })
                .collect();
            emitters
                .into_iter()
                .for_each(|emitter| emitter.join().unwrap());
            bus.close();
            churner.join().unwrap()
        });

        let verified = checker.verify().unwrap();
        assert_eq!(verified.n_emits(), N_EMITTERS * N_EMITS as usize);
        assert_eq!(verified.n_subscriptions(), 2 * N_STEADY + n_churned);
        assert!(verified.n_deliveries() > n_churned / 4, "{verified:?}");
        assert_eq!(bus.n_subscriptions(), 0);
    });
}

#[test]
fn g05_everything_up_to_the_last_seq_of_the_bus_is_queued() {
    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(..).wake().unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for value in 0..N_EMITS {
                        bus.emit(value, ["k"]).unwrap();
                    }
                });
            }
            let mut last = None;
            while last.map(u64::from) < Some(2 * N_EMITS) {
                let head = bus.last_seq();
                if let Ok(span) = sub.try_recv() {
                    last = Some(span.last_seq());
                }
                assert!(
                    last >= head,
                    "{head:?} had been emitted, {last:?} was the last received"
                );
            }
        });
    });
}
