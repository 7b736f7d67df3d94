//! The time from an emit to its receipt, at a fixed rate of emits among very many subscriptions.

use std::hint;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::executor::block_on;
use futures::stream::{self, StreamExt};
use rangewatch_bench_harness::{Effort, Report, nanos, quantile};
use rangewatch_bus::{EventSubscription, RangeWatchBus, Seq, WakeSubscription, WatchSet};

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
         A latency counts from the time at which the emit is due, also if the emitter is late.\n",
    );
    report.table(&["subscriptions", "emits", "p50", "p99", "p99.9"]);
    let sizes: &[usize] = match effort {
        Effort::Smoke => &[1000],
        _ => &[1000, 1_000_000],
    };
    for n in sizes {
        let name = format!("{n} wake, in a `WatchSet`");
        let subs = watched::subscribed(*n, |bus, i| {
            bus.subscribe(watched::range(i)).wake().unwrap()
        });
        row(effort, report, &name, subs, receive_set);
        let name = format!("{n} events, in a `select_all`");
        let subs = watched::subscribed(*n, |bus, i| {
            bus.subscribe(watched::range(i)).events(CAPACITY).unwrap()
        });
        row(effort, report, &name, subs, receive_all);
    }
}

fn row<S: Send>(
    effort: Effort,
    report: &Report,
    name: &str,
    (bus, subs): (RangeWatchBus, Vec<S>),
    receive: fn(Vec<S>, &Barrier, &mut Receipts<'_>),
) {
    let n = effort.samples(N_EMITS);
    let emits = Emits::new(effort, subs.len(), 1, Keys::Random);
    let mut receipts = Receipts {
        base: Instant::now(),
        emits: &emits,
        n,
        latencies: Vec::with_capacity(n),
    };
    let base = receipts.base;
    let is_waiting = Barrier::new(2);
    let took = thread::scope(|scope| {
        let consumer = scope.spawn(|| receive(subs, &is_waiting, &mut receipts));
        // Dropped by a panic, which ends the receives.
        let bus = bus;
        is_waiting.wait();
        let took = emit_on_schedule(&bus, &emits, n, base);
        consumer.join().expect("the consumer does not panic");
        took
    });
    let mut cells = vec![name.to_owned()];
    cells.push(format!("{:.1} k/s", n as f64 / took.as_secs_f64() / 1e3));
    for q in [0.5, 0.99, 0.999] {
        cells.push(nanos(quantile(&mut receipts.latencies, q)));
    }
    report.cells(&cells);
}

/// Emits with the time at which each emit is due as the value, in nanoseconds after `base`.
fn emit_on_schedule(bus: &RangeWatchBus, emits: &Emits, n: usize, base: Instant) -> Duration {
    let started = base.elapsed();
    let mut due = started;
    for i in 0..n {
        while base.elapsed() < due {
            hint::spin_loop();
        }
        let emitted = bus.emit(due.as_nanos() as u64, emits.nth(i)).unwrap();
        assert_eq!(emitted.matched(), 1);
        due += PERIOD;
    }
    base.elapsed() - started
}

/// What the consumer has received.
struct Receipts<'a> {
    base: Instant,
    emits: &'a Emits,
    /// The number of emits.
    n: usize,
    latencies: Vec<f64>,
}

impl Receipts<'_> {
    fn is_complete(&self) -> bool {
        self.latencies.len() == self.n
    }

    /// Adds `count` emits that a subscription has received at once: all of them with the latency of
    /// the first one, which is the longest.
    fn add(&mut self, subscription: usize, first: Seq, due: u64, count: u64) {
        let latency = (self.base.elapsed().as_nanos() as u64).saturating_sub(due);
        let emit = first.get() as usize - 1;
        assert_eq!(subscription, self.emits.matching(emit));
        for _ in 0..count {
            self.latencies.push(latency as f64);
        }
    }
}

fn receive_set(subs: Vec<WakeSubscription>, is_waiting: &Barrier, receipts: &mut Receipts<'_>) {
    let set = WatchSet::new();
    for (i, sub) in subs.into_iter().enumerate() {
        set.insert(i, sub);
    }
    is_waiting.wait();
    block_on(async {
        while !receipts.is_complete() {
            let (i, span) = set.recv().await;
            let span = span.unwrap();
            receipts.add(i, span.first_seq(), span.first(), span.count());
        }
    });
}

fn receive_all(subs: Vec<EventSubscription>, is_waiting: &Barrier, receipts: &mut Receipts<'_>) {
    let subs = subs.into_iter().enumerate();
    let mut all = stream::select_all(subs.map(|(i, sub)| sub.map(move |event| (i, event))));
    // The first poll is of all of them.
    assert!(all.next().now_or_never().is_none());
    is_waiting.wait();
    block_on(async {
        while !receipts.is_complete() {
            let (i, event) = all.next().await.unwrap();
            let event = event.unwrap();
            receipts.add(i, event.seq(), event.value(), 1);
        }
    });
}
