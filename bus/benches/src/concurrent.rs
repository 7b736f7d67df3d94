//! Several emitters at once.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use rangewatch_bench_harness::{Effort, Report, quantile};
use rangewatch_bus::RangeWatchBus;
use tokio::sync::{broadcast, mpsc};

use crate::peers::Message;

const N_EMITS: usize = 200_000;
const N_BATCHES: usize = 5;
const CAPACITY: usize = 1024;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note("Emits per second of all emitters together, by the wall clock; a full queue drops its oldest.\n");
    report.table(&["", "1 emitter", "2 emitters", "4 emitters"]);
    let n = effort.samples(N_EMITS);

    let bus = RangeWatchBus::new();
    let _queue = bus.subscribe("k".."l").events(CAPACITY).unwrap();
    row(
        report,
        "ours, to one events subscription",
        n,
        || {
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
        || {
            bus.emit(1, ["k"]).unwrap();
        },
        || (),
    );

    let (sender, _receiver) = broadcast::channel(CAPACITY);
    row(
        report,
        "tokio broadcast, to one receiver",
        n,
        || {
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
        || sender.send(Message::new(1, &["k"])).unwrap(),
        drain,
    );
}

fn row(report: &Report, name: &str, n: usize, emit: impl Fn() + Sync, mut between: impl FnMut()) {
    let mut cells = vec![name.to_owned()];
    let mut of_one = None;
    for n_emitters in [1, 2, 4] {
        let mut rates: Vec<f64> = (0..N_BATCHES)
            .map(|_| {
                let rate = rate(n_emitters, n, &emit);
                between();
                rate
            })
            .collect();
        let rate = quantile(&mut rates, 0.5);
        let ratio = rate / *of_one.get_or_insert(rate);
        cells.push(format!("{:.2} M/s ({ratio:.2}x)", rate / 1e6));
    }
    report.cells(&cells);
}

fn rate(n_emitters: usize, n: usize, emit: &(impl Fn() + Sync)) -> f64 {
    let start = Barrier::new(n_emitters + 1);
    thread::scope(|scope| {
        let emitters: Vec<_> = (0..n_emitters)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    (0..n).for_each(|_| emit());
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
