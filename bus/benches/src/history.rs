//! The cost of an emit into the history, of a replay, and of parking.

use std::time::Duration;

use rangewatch_bench_harness::{Clock, Contender, Effort, Report};
use rangewatch_bus::{EventSubscription, History, RangeWatchBus, Selector};
use tokio::sync::mpsc;

use crate::peers::Message;

const N_EVENTS: usize = 10_000;
const KEYS: [&str; 3] = ["/registry/pods/a", "/registry/pods/b", "/registry/nodes/c"];
/// The capacity in events of the queue that parks.
const CAPACITY: usize = 16;
/// The emits of one cycle: twice the capacity, so that the queue overflows and the second half is
/// replayed.
const N_CYCLE: usize = 2 * CAPACITY;

pub(crate) fn run(effort: Effort, report: &Report) {
    emit(effort, report);
    replay(effort, report);
    park(effort, report);
}

fn bus(n_events: usize) -> RangeWatchBus {
    let history = History::events(n_events);
    RangeWatchBus::builder().history(history).build().unwrap()
}

fn emit(effort: Effort, report: &Report) {
    report.note("An emit of 3 keys that nothing matches; the history is full, so that each evicts the oldest.\n");
    report.table(&["", "with history", "without"]);
    let (with, without) = (bus(N_EVENTS), RangeWatchBus::new());
    for value in 1..=N_EVENTS as u64 {
        with.emit(value, KEYS).unwrap();
    }
    let mut value = N_EVENTS as u64;
    let with = Contender::new(|| {
        value += 1;
        with.emit(value, KEYS).unwrap();
    });
    let without = Contender::new(|| {
        without.emit(1, KEYS).unwrap();
    });
    report.row(effort, "emit", &mut [with, without]);
}

fn replay(effort: Effort, report: &Report) {
    report.note("\nReading 10,000 events of the past, per event.\n");
    report.table(&[
        "",
        "ours, all match",
        "ours, none matches",
        "tokio mpsc that holds as many",
    ]);
    let bus = bus(N_EVENTS);
    for value in 1..=N_EVENTS as u64 {
        bus.emit(value, KEYS).unwrap();
    }
    let read = |n: u64, selector: Selector, n_matching: usize| -> Duration {
        let mut time = Duration::ZERO;
        for _ in 0..n.div_ceil(N_EVENTS as u64) {
            let mut sub = bus.subscribe(&selector).since(1).events(1024).unwrap();
            time += Clock::Thread.time(|| assert_eq!(drain(&mut sub), n_matching));
        }
        // Whole replays of 10,000 events were timed; the harness divides by `n`, which may be less.
        time.mul_f64(n as f64 / (n.div_ceil(N_EVENTS as u64) * N_EVENTS as u64) as f64)
    };
    let all = Contender::timed(|n| read(n, Selector::all(), N_EVENTS));
    let none = Contender::timed(|n| read(n, Selector::prefix("nothing"), 0));
    let (sender, mut receiver) = mpsc::channel(N_EVENTS);
    let mpsc = Contender::timed(|n| {
        let n_rounds = n.div_ceil(N_EVENTS as u64);
        let mut time = Duration::ZERO;
        for _ in 0..n_rounds {
            for value in 0..N_EVENTS as u64 {
                sender.try_send(Message::new(value, &KEYS)).unwrap();
            }
            time += Clock::Thread.time(|| while receiver.try_recv().is_ok() {});
        }
        time.mul_f64(n as f64 / (n_rounds * N_EVENTS as u64) as f64)
    });
    report.row(effort, "one event", &mut [all, none, mpsc]);
}

fn park(effort: Effort, report: &Report) {
    report.note("\n32 emits and their receipt: by a queue of 16, which parks and resumes, and by one that holds all.\n");
    report.table(&["", "parks and resumes", "stays live"]);
    let buses = [bus(N_EVENTS), bus(N_EVENTS)];
    let mut cycles = Vec::new();
    for (bus, capacity) in buses.iter().zip([CAPACITY, N_CYCLE]) {
        let mut sub = bus
            .subscribe("/registry/".."/registry0")
            .events(capacity)
            .unwrap();
        cycles.push(Contender::new(move || {
            for _ in 0..N_CYCLE {
                bus.emit_next(KEYS).unwrap();
            }
            assert_eq!(drain(&mut sub), N_CYCLE);
            assert_eq!(sub.lag(), 0);
        }));
    }
    report.row(effort, "one cycle", &mut cycles);
}

fn drain(sub: &mut EventSubscription) -> usize {
    std::iter::from_fn(|| sub.try_recv().ok()).count()
}
