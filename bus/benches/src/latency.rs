//! The time from an emit until a consumer on another thread has received it.

use std::hint;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rangewatch_bench_harness::{Effort, Report, nanos, quantile};
use rangewatch_bus::RangeWatchBus;
use tokio::sync::{broadcast, mpsc};

const CAPACITY: usize = 16;

/// What happens between two emits. Each emit follows the receipt of the previous one, so that none
/// is coalesced or lost on a busy machine.
#[derive(Clone, Copy)]
enum Pace {
    /// The consumer waits, and its thread has been parked for a millisecond.
    Idle,
    /// The next emit follows the receipt at once. The consumer waits, or begins to wait.
    BackToBack,
    /// The next emit follows the receipt at once. The consumer does not wait but tries to receive
    /// again and again.
    Spinning,
}

impl Pace {
    const ALL: [Self; 3] = [Self::Idle, Self::BackToBack, Self::Spinning];
    const IDLE: Duration = Duration::from_millis(1);

    fn n_samples(self, effort: Effort) -> usize {
        effort.samples(match self {
            Self::Idle => 1000,
            Self::BackToBack | Self::Spinning => 20_000,
        })
    }
}

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "Wall-clock time until a consumer on another thread has received. Idle: it has waited for\n\
         1 ms. Back to back: each emit follows the receipt of the previous one at once, to a\n\
         consumer that waits, and to one that spins with `try_recv`.\n",
    );
    report.table(&[
        "",
        "idle: p50",
        "p99",
        "back to back: p50",
        "p99",
        "spinning: p50",
        "p99",
    ]);
    let bus = RangeWatchBus::new();
    let subscribe = || bus.subscribe("k".."l");
    let emit = |value| {
        bus.emit(value, ["k"]).unwrap();
    };

    row(effort, report, "events", |pace, n| {
        let mut sub = subscribe().events(CAPACITY).unwrap();
        sample(pace, n, emit, || match pace {
            Pace::Spinning => spin(|| sub.try_recv().ok()).value(),
            _ => block_on(sub.recv()).unwrap().value(),
        })
    });
    row(effort, report, "wake", |pace, n| {
        let mut sub = subscribe().wake().unwrap();
        sample(pace, n, emit, || match pace {
            Pace::Spinning => spin(|| sub.try_recv().ok()).last(),
            _ => block_on(sub.recv()).unwrap().last(),
        })
    });
    row(effort, report, "tokio mpsc", |pace, n| {
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        let send = |value| sender.try_send(value).unwrap();
        sample(pace, n, send, || match pace {
            Pace::Spinning => spin(|| receiver.try_recv().ok()),
            _ => block_on(receiver.recv()).unwrap(),
        })
    });
    row(effort, report, "tokio broadcast", |pace, n| {
        let (sender, mut receiver) = broadcast::channel(CAPACITY);
        let send = |value| {
            sender.send(value).unwrap();
        };
        sample(pace, n, send, || match pace {
            Pace::Spinning => spin(|| receiver.try_recv().ok()),
            _ => block_on(receiver.recv()).unwrap(),
        })
    });
}

fn row(
    effort: Effort,
    report: &Report,
    name: &str,
    mut samples: impl FnMut(Pace, usize) -> Vec<f64>,
) {
    let mut cells = vec![name.to_owned()];
    for pace in Pace::ALL {
        let mut samples = samples(pace, pace.n_samples(effort));
        for q in [0.5, 0.99] {
            cells.push(nanos(quantile(&mut samples, q)));
        }
    }
    report.cells(&cells);
}

fn spin<T>(mut try_recv: impl FnMut() -> Option<T>) -> T {
    loop {
        match try_recv() {
            Some(received) => return received,
            None => hint::spin_loop(),
        }
    }
}

/// Sends the current time as the value, so that the receiver can compute the latency.
fn sample(
    pace: Pace,
    n: usize,
    send: impl Fn(u64),
    mut recv: impl FnMut() -> u64 + Send,
) -> Vec<f64> {
    let base = Instant::now();
    let now = || base.elapsed().as_nanos() as u64;
    let n_received = AtomicU64::new(0);
    thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            let one = || {
                let sent = recv();
                let time = now().saturating_sub(sent) as f64;
                n_received.fetch_add(1, Ordering::Release);
                time
            };
            std::iter::repeat_with(one).take(n).collect()
        });
        for i in 0..n as u64 {
            let is_received = || n_received.load(Ordering::Acquire) == i || consumer.is_finished();
            spin(|| is_received().then_some(()));
            if let Pace::Idle = pace {
                thread::sleep(Pace::IDLE);
            }
            send(now());
        }
        consumer.join().expect("the consumer does not panic")
    })
}
