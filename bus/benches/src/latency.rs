//! The time from an emit until a waiting consumer on another thread has received it.

use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rangewatch_bench_harness::{Effort, Report, nanos, quantile};
use rangewatch_bus::RangeWatchBus;
use tokio::sync::{broadcast, mpsc};

const N_SAMPLES: usize = 1000;
const IDLE: Duration = Duration::from_millis(1);

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "Wall-clock time until a consumer on another thread, idle for 1 ms before, has received.\n",
    );
    report.table(&["", "p50", "p99"]);
    let n = effort.samples(N_SAMPLES);
    let bus = RangeWatchBus::new();
    let subscribe = || bus.subscribe("k".."l");
    let emit = |value| {
        bus.emit(value, ["k"]).unwrap();
    };

    let mut sub = subscribe().events(16).unwrap();
    let events = sample(n, emit, move || block_on(sub.recv()).unwrap().value());
    let mut sub = subscribe().wake().unwrap();
    let wake = sample(n, emit, move || block_on(sub.recv()).unwrap().last());
    let (sender, mut receiver) = mpsc::channel(16);
    let send = |value| sender.try_send(value).unwrap();
    let mpsc = sample(n, send, move || block_on(receiver.recv()).unwrap());
    let (sender, mut receiver) = broadcast::channel(16);
    let send = |value| {
        sender.send(value).unwrap();
    };
    let broadcast = sample(n, send, move || block_on(receiver.recv()).unwrap());

    let rows = [
        ("events", events),
        ("wake", wake),
        ("tokio mpsc", mpsc),
        ("tokio broadcast", broadcast),
    ];
    for (name, mut samples) in rows {
        let (p50, p99) = (quantile(&mut samples, 0.5), quantile(&mut samples, 0.99));
        report.cells(&[name.to_owned(), nanos(p50), nanos(p99)]);
    }
}

/// Sends the current time as the value, so that the receiver can compute the latency. Each message
/// is sent after the previous one was received, so that none is coalesced or lost on a busy
/// machine.
fn sample(n: usize, send: impl Fn(u64), mut recv: impl FnMut() -> u64 + Send) -> Vec<f64> {
    let base = Instant::now();
    let now = || base.elapsed().as_nanos() as u64;
    let (received, times) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..n {
                let sent = recv();
                let time = now().saturating_sub(sent) as f64;
                received.send(time).expect("the sender waits for it");
            }
        });
        let round = || {
            thread::sleep(IDLE);
            send(now());
            times.recv().expect("the consumer does not panic")
        };
        (0..n).map(|_| round()).collect()
    })
}
