//! Several emitters at once.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use rangewatch_bench_harness::{Effort, Report, per_second, quantile};
use rangewatch_bus::{RangeWatchBus, WakeSubscription};
use tokio::sync::{broadcast, mpsc};

use crate::peers::Message;
use crate::watched::{self, Emits, Keys};

const N_EMITTERS: [usize; 3] = [1, 2, 4];
const N_EMITS: usize = 200_000;
const N_BATCHES: usize = 5;
const CAPACITY: usize = 1024;
const N_WATCHERS: usize = 65_536;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note("Emits per second of all emitters together, by the wall clock; a full queue drops its oldest.\n");
    report.table(&["", "1 emitter", "2 emitters", "4 emitters"]);
    to_one(effort, report);
    among_many(effort, report);
}

/// One key to one subscription, beside channels.
fn to_one(effort: Effort, report: &Report) {
    let n = effort.samples(N_EMITS);

    let bus = RangeWatchBus::new();
    let _queue = bus.subscribe("k".."l").events(CAPACITY).unwrap();
    row(
        report,
        "ours, to one events subscription",
        n,
        |_, _| {
            bus.emit(1, ["k"]).unwrap();
        },
        || (),
    );

    let bus = RangeWatchBus::new();
    let _span = bus.subscribe("k".."l").wake().unwrap();
    row(
        report,
        "ours, to one wake subscription",
        n,
        |_, _| {
            bus.emit(1, ["k"]).unwrap();
        },
        || (),
    );

    let (sender, _receiver) = broadcast::channel(CAPACITY);
    row(
        report,
        "tokio broadcast, to one receiver",
        n,
        |_, _| {
            sender.send(Message::new(1, &["k"])).unwrap();
        },
        || (),
    );

    let (sender, mut receiver) = mpsc::unbounded_channel();
    let drain = || while receiver.try_recv().is_ok() {};
    row(
        report,
        "tokio mpsc, unbounded, drained between batches",
        n,
        |_, _| sender.send(Message::new(1, &["k"])).unwrap(),
        drain,
    );
}

/// Random keys among many ranges, on a bus that the emitters share and on a bus for each of them:
/// the latter is what the machine allows.
fn among_many(effort: Effort, report: &Report) {
    let n_buses = N_EMITTERS.into_iter().max().unwrap_or(1);
    let buses: Vec<_> = (0..n_buses).map(|_| watched_bus()).collect();
    for (n_keys, keys, n) in [
        (1, "1 random key", N_EMITS / 4),
        (16, "16 random keys", N_EMITS / 20),
        (200, "200 random keys", N_EMITS / 200),
    ] {
        let n = effort.samples(n);
        let emits = Emits::new(effort, N_WATCHERS, n_keys, Keys::Random);
        let emit = |bus: &RangeWatchBus, emitter, i| {
            let emitted = bus.emit(1, emits.nth(emitter * n + i)).unwrap();
            assert_eq!(emitted.matched(), 1);
        };
        let shared = |emitter, i| emit(&buses[0].0, emitter, i);
        let name = format!("ours, {keys}, to one of 65,536 wake subscriptions");
        row(report, &name, n, shared, || ());
        let of_its_own = |emitter: usize, i| emit(&buses[emitter].0, emitter, i);
        let name = "the same, a bus for each emitter";
        row(report, name, n, of_its_own, || ());
    }
}

fn watched_bus() -> (RangeWatchBus, Vec<WakeSubscription>) {
    watched::subscribed(N_WATCHERS, |bus, i| {
        bus.subscribe(watched::range(i)).wake().unwrap()
    })
}

/// Calls `emit` with the number of the emitter and that of its emit, which is below `n`.
fn row(
    report: &Report,
    name: &str,
    n: usize,
    emit: impl Fn(usize, usize) + Sync,
    mut between: impl FnMut(),
) {
    let mut cells = vec![name.to_owned()];
    let mut of_one = None;
    for n_emitters in N_EMITTERS {
        let mut rates: Vec<f64> = (0..N_BATCHES)
            .map(|_| {
                let rate = rate(n_emitters, n, &emit);
                between();
                rate
            })
            .collect();
        let rate = quantile(&mut rates, 0.5);
        let ratio = rate / *of_one.get_or_insert(rate);
        cells.push(format!("{} ({ratio:.2}x)", per_second(rate)));
    }
    report.cells(&cells);
}

fn rate(n_emitters: usize, n: usize, emit: &(impl Fn(usize, usize) + Sync)) -> f64 {
    let start = &Barrier::new(n_emitters + 1);
    thread::scope(|scope| {
        let emitters: Vec<_> = (0..n_emitters)
            .map(|emitter| {
                scope.spawn(move || {
                    start.wait();
                    (0..n).for_each(|i| emit(emitter, i));
                })
            })
            .collect();
        start.wait();
        let started = Instant::now();
        for emitter in emitters {
            emitter.join().expect("an emitter does not panic");
        }
        (n * n_emitters) as f64 / started.elapsed().as_secs_f64()
    })
}
