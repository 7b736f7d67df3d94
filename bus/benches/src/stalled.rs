//! The effect of stalled subscribers on a healthy one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Instant;

use rangewatch_bench_harness::{Effort, Report, nanos, quantile};
use rangewatch_bus::{EventSubscription, History, Overflow, RangeWatchBus};

const N_SAMPLES: usize = 20_000;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "From an emit to the wake-up of the one healthy subscriber, the only one that it matches.\n",
    );
    report.table(&["stalled", "p50", "p99", "p50 to 1", "p99 to 1"]);
    for (name, overflow) in [("parked", Overflow::Park), ("lagging", Overflow::Lagged)] {
        let mut first = None;
        for n_stalled in [1, 10, 100, 1000] {
            let mut samples = sample(effort, n_stalled, overflow);
            let (p50, p99) = (quantile(&mut samples, 0.5), quantile(&mut samples, 0.99));
            let (p50_of_one, p99_of_one) = *first.get_or_insert((p50, p99));
            report.cells(&[
                format!("{n_stalled} {name}"),
                nanos(p50),
                nanos(p99),
                format!("{:.2}x", p50 / p50_of_one),
                format!("{:.2}x", p99 / p99_of_one),
            ]);
        }
    }
}

/// A waker that stores the time at which it was woken.
struct Stamp {
    base: Instant,
    woken_at: AtomicU64,
}

impl Stamp {
    fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }
}

impl Wake for Stamp {
    fn wake(self: Arc<Self>) {
        self.woken_at.store(self.now(), Ordering::Relaxed);
    }
}

fn sample(effort: Effort, n_stalled: usize, overflow: Overflow) -> Vec<f64> {
    let bus = RangeWatchBus::builder()
        .history(History::events(10_000))
        .build()
        .unwrap();
    let stalled: Vec<EventSubscription> = (0..n_stalled)
        .map(|i| {
            let range = format!("stalled/{i:04}")..format!("stalled/{i:04}0");
            bus.subscribe(range).overflow(overflow).events(1).unwrap()
        })
        .collect();
    for i in (0..n_stalled).chain(0..n_stalled) {
        bus.emit_next([format!("stalled/{i:04}")]).unwrap();
    }
    assert!(stalled.iter().all(|sub| sub.lag() > 1), "they are stalled");

    let mut healthy = bus.subscribe("healthy".."healthz").events(16).unwrap();
    let stamp = Arc::new(Stamp {
        base: Instant::now(),
        woken_at: AtomicU64::new(0),
    });
    let waker = Waker::from(Arc::clone(&stamp));
    let mut cx = Context::from_waker(&waker);
    let mut one = || {
        assert!(healthy.poll_recv(&mut cx).is_pending());
        let emitted_at = stamp.now();
        bus.emit_next(["healthy"]).unwrap();
        let time = stamp.woken_at.load(Ordering::Relaxed) - emitted_at;
        assert!(healthy.poll_recv(&mut cx).is_ready());
        time as f64
    };
    let n = effort.samples(N_SAMPLES);
    for _ in 0..n / 10 {
        one();
    }
    (0..n).map(|_| one()).collect()
}
