//! The time from an emit to its receipt, at a fixed rate of emits among very many subscriptions.

use std::hint;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::executor::block_on;
use futures::stream::{self, StreamExt};
use rangewatch_bench_harness::{Effort, Report, nanos, per_second, quantile};
use rangewatch_bus::{RangeWatchBus, Seq, WatchSet};
use tokio::sync::mpsc;

use crate::peers::Message;
use crate::watched::{self, Emits, Keys};

/// The time between two emits: 100,000 per second.
const PERIOD: Duration = Duration::from_micros(10);
const N_EMITS: usize = 500_000;
/// More than a subscription of a thousand misses if the machine stops the consumer for seconds.
const CAPACITY: usize = 1024;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "Each 10 us one thread emits a key that matches one random subscription, and another thread\n\
         receives: wake subscriptions from a `WatchSet`, events from a `select_all` of `futures`.\n\
         For comparison, the messages of all to one channel. A latency counts from the time at\n\
         which the emit is due, also if the emitter is late.\n",
    );
    report.table(&["", "emits", "p50", "p99", "p99.9"]);
    let sizes: &[usize] = match effort {
        Effort::Smoke => &[1000],
        _ => &[1000, 1_000_000],
    };
    for n in sizes {
        wake(effort, report, *n);
        events(effort, report, *n);
    }
    channel(effort, report);
}

fn wake(effort: Effort, report: &Report, n: usize) {
    let emits = Emits::new(effort, n, 1, Keys::Random);
    let (bus, subs) =
        watched::subscribed(n, |bus, i| bus.subscribe(watched::range(i)).wake().unwrap());
    let receive = |is_waiting: &Barrier, receipts: &mut Receipts| {
        let set = WatchSet::new();
        for (i, sub) in subs.into_iter().enumerate() {
            set.insert(i, sub);
        }
        is_waiting.wait();
        block_on(async {
            while !receipts.is_complete() {
                let (i, span) = set.recv().await;
                let span = span.unwrap();
                assert_eq!(i, emits.matching(number(span.first_seq())));
                // All emits of a span count with the latency of the first, which is the longest.
                (0..span.count()).for_each(|_| receipts.add(span.first()));
            }
        });
    };
    let name = format!("{n} wake, in a `WatchSet`");
    row(effort, report, &name, emitter(bus, &emits), receive);
}

fn events(effort: Effort, report: &Report, n: usize) {
    let emits = Emits::new(effort, n, 1, Keys::Random);
    let (bus, subs) = watched::subscribed(n, |bus, i| {
        bus.subscribe(watched::range(i)).events(CAPACITY).unwrap()
    });
    let receive = |is_waiting: &Barrier, receipts: &mut Receipts| {
        let subs = subs.into_iter().enumerate();
        let mut all = stream::select_all(subs.map(|(i, sub)| sub.map(move |event| (i, event))));
        // The first poll is of all of them.
        assert!(all.next().now_or_never().is_none());
        is_waiting.wait();
        block_on(async {
            while !receipts.is_complete() {
                let (i, event) = all.next().await.unwrap();
                let event = event.unwrap();
                assert_eq!(i, emits.matching(number(event.seq())));
                receipts.add(event.value());
            }
        });
    };
    let name = format!("{n} events, in a `select_all`");
    row(effort, report, &name, emitter(bus, &emits), receive);
}

fn channel(effort: Effort, report: &Report) {
    let emits = Emits::new(effort, 1, 1, Keys::Random);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let send = move |i, due| sender.send(Message::new(due, emits.nth(i))).unwrap();
    let receive = |is_waiting: &Barrier, receipts: &mut Receipts| {
        is_waiting.wait();
        block_on(async {
            while !receipts.is_complete() {
                receipts.add(receiver.recv().await.unwrap().value);
            }
        });
    };
    row(effort, report, "one tokio mpsc, unbounded", send, receive);
}

/// Emits to a bus, which is closed when this is dropped.
fn emitter(bus: RangeWatchBus, emits: &Emits) -> impl Fn(usize, u64) {
    move |i, due| {
        let emitted = bus.emit(due, emits.nth(i)).unwrap();
        assert_eq!((emitted.matched(), number(emitted.seq())), (1, i));
    }
}

/// The number of an emit, from 0 on.
fn number(seq: Seq) -> usize {
    seq.get() as usize - 1
}

/// Calls `emit` with the number of each emit, and with the time at which it is due as the value:
/// nanoseconds after the base of the receipts.
fn row(
    effort: Effort,
    report: &Report,
    name: &str,
    emit: impl Fn(usize, u64),
    receive: impl FnOnce(&Barrier, &mut Receipts) + Send,
) {
    let n = effort.samples(N_EMITS);
    let base = Instant::now();
    let mut receipts = Receipts {
        base,
        n,
        latencies: Vec::with_capacity(n),
    };
    let is_waiting = Barrier::new(2);
    let took = thread::scope(|scope| {
        let consumer = scope.spawn(|| receive(&is_waiting, &mut receipts));
        // A panic drops it, which ends the receives.
        let emit = emit;
        is_waiting.wait();
        let started = base.elapsed();
        let mut due = started;
        for i in 0..n {
            while base.elapsed() < due {
                hint::spin_loop();
            }
            emit(i, due.as_nanos() as u64);
            due += PERIOD;
        }
        let took = base.elapsed() - started;
        consumer.join().expect("the consumer does not panic");
        took
    });
    let mut cells = vec![name.to_owned(), per_second(n as f64 / took.as_secs_f64())];
    for q in [0.5, 0.99, 0.999] {
        cells.push(nanos(quantile(&mut receipts.latencies, q)));
    }
    report.cells(&cells);
}

/// What the consumer has received.
struct Receipts {
    base: Instant,
    /// The number of emits.
    n: usize,
    latencies: Vec<f64>,
}

impl Receipts {
    fn is_complete(&self) -> bool {
        self.latencies.len() == self.n
    }

    /// Adds an emit that was due at this time.
    fn add(&mut self, due: u64) {
        let now = self.base.elapsed().as_nanos() as u64;
        self.latencies.push(now.saturating_sub(due) as f64);
    }
}
