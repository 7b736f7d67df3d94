//! The cost of an emit by the number of subscriptions that it matches.

use std::time::Duration;

use rangewatch_bench_harness::{Clock, Contender, Effort, Report};
use rangewatch_bus::{EventSubscription, RangeWatchBus, WakeSubscription};

use crate::watched;

const N_WATCHERS: usize = 65_536;
/// The ranges of the matching subscriptions lie in the middle of the others.
const HOT: &str = "watched/00032768~";
/// The emits between two rounds of receives, which do not count.
const CAPACITY: usize = 64;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "Of 65,536 subscriptions as many as the row says match, all by the first key; the other\n\
         keys lie between what is watched. All emits have the same keys. Nothing waits.\n",
    );
    report.table(&["", "wake", "events, the receives not counted"]);
    for n_matches in [0, 1, 16, 1000] {
        for n_keys in [1, 16] {
            row(effort, report, n_matches, n_keys);
        }
    }
}

fn row(effort: Effort, report: &Report, n_matches: usize, n_keys: usize) {
    let keys = keys(n_keys);
    let (wake_bus, _idle, _spans) = subscribed(n_matches, |bus| {
        bus.subscribe(format!("{HOT}/")..format!("{HOT}0"))
            .wake()
            .unwrap()
    });
    let (event_bus, _idle, mut queues) = subscribed(n_matches, |bus| {
        bus.subscribe(format!("{HOT}/")..format!("{HOT}0"))
            .events(CAPACITY)
            .unwrap()
    });
    check(&event_bus, &mut queues, &keys);
    let mut value = 1;
    let wake = Contender::new(|| {
        value += 1;
        wake_bus.emit(value, &keys).unwrap();
    });
    let events = Contender::timed(|n| {
        let mut time = Duration::ZERO;
        let mut left = n;
        while left > 0 {
            let n_now = left.min(CAPACITY as u64);
            left -= n_now;
            time += Clock::Thread.time(|| {
                for value in 0..n_now {
                    event_bus.emit(value, &keys).unwrap();
                }
            });
            for queue in &mut queues {
                while queue.try_recv().is_ok() {}
            }
        }
        time
    });
    let name = format!("keys: {n_keys}, matching: {n_matches}");
    report.row(effort, &name, &mut [wake, events]);
}

/// The first key matches; the others lie between the watched ranges.
fn keys(n_keys: usize) -> Vec<String> {
    let others = (1..n_keys).map(|i| watched::between(i * 317 % N_WATCHERS));
    std::iter::once(format!("{HOT}/key"))
        .chain(others)
        .collect()
}

fn subscribed<S>(
    n_matches: usize,
    subscribe: impl Fn(&RangeWatchBus) -> S,
) -> (RangeWatchBus, Vec<WakeSubscription>, Vec<S>) {
    let bus = RangeWatchBus::new();
    let idle = (n_matches..N_WATCHERS).map(|i| bus.subscribe(watched::range(i)).wake().unwrap());
    let idle = idle.collect();
    let matching = (0..n_matches).map(|_| subscribe(&bus)).collect();
    (bus, idle, matching)
}

fn check(bus: &RangeWatchBus, queues: &mut [EventSubscription], keys: &[String]) {
    let emitted = bus.emit(7, keys).unwrap();
    assert_eq!(emitted.matched(), queues.len());
    for queue in queues {
        let event = queue.try_recv().unwrap();
        assert_eq!(event.value(), 7);
        assert!(event.keys().eq([keys[0].as_bytes()]));
    }
}
