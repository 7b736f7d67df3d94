//! Many consumers in tasks of their own, each of which watches a narrow range.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rangewatch_bench_harness::{Clock, Contender, Effort, Report};
use rangewatch_bus::RangeWatchBus;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;
use tokio::task::yield_now;

use crate::peers::{Loaded, Message};
use crate::watched::{self, Emits, Keys};

/// The numbers of watchers, and of emits: fewer where a broadcast would take minutes.
const SIZES: [(usize, usize); 3] = [(100, 20_000), (1000, 20_000), (10_000, 1000)];
/// The numbers of emits before the consumers run.
const BURSTS: [usize; 2] = [1, 64];
const CAPACITY: usize = 128;
/// The size of a payload.
const N_BYTES: usize = 1024;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "The processor time of all emits, each of one key with an `Arc<[u8]>` of 1 KiB, and of all\n\
         consumers: tasks of tokio on one thread, one for each watcher. Each emit matches one of\n\
         them. Of a broadcast each task receives all messages, and filters. A burst is the number of\n\
         emits before the consumers run.\n",
    );
    report.table(&["", "ours", "tokio broadcast"]);
    for (n, n_emits) in SIZES {
        for burst in BURSTS {
            let emits = Emits::new(effort, n, 1, Keys::Random);
            let n_now = effort.samples(n_emits);
            let mut contenders = [
                contender(n_now, burst, &emits, ours(n)),
                contender(n_now, burst, &emits, broadcast_to_all(n)),
            ];
            let name = format!("{n} watchers, {n_emits} emits, bursts of {burst}");
            report.row(effort, &name, &mut contenders);
        }
    }
}

/// Consumers in tasks, and what they receive from.
struct Service {
    runtime: Runtime,
    emit: Emit,
    counts: Arc<Counts>,
    /// The messages that tasks receive of one emit.
    n_received_of_each: usize,
}

/// Emits some keys.
type Emit = Box<dyn FnMut(&[String])>;

/// What the tasks did.
#[derive(Default)]
struct Counts {
    received: AtomicUsize,
    /// Those in the range of the task.
    matched: AtomicUsize,
}

impl Counts {
    fn count(&self, is_match: bool) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.matched
            .fetch_add(usize::from(is_match), Ordering::Relaxed);
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn payload() -> Arc<[u8]> {
    Arc::from([42; N_BYTES])
}

fn ours(n: usize) -> Service {
    let runtime = runtime();
    let counts = Arc::new(Counts::default());
    let bus = RangeWatchBus::builder()
        .payloads::<Arc<[u8]>>()
        .build()
        .unwrap();
    for i in 0..n {
        let sub = bus.subscribe(watched::range(i));
        let mut sub = sub.events(CAPACITY).unwrap();
        let counts = Arc::clone(&counts);
        runtime.spawn(async move {
            while let Ok(event) = sub.recv().await {
                counts.count(event.entries().all(|(_, payload)| payload[0] == 42));
            }
        });
    }
    let payload = payload();
    Service {
        runtime,
        emit: Box::new(move |keys| {
            let entries = keys.iter().map(|key| (key, Arc::clone(&payload)));
            bus.emit_with(1, entries).unwrap();
        }),
        counts,
        n_received_of_each: 1,
    }
}

fn broadcast_to_all(n: usize) -> Service {
    let runtime = runtime();
    let counts = Arc::new(Counts::default());
    let (sender, _) = broadcast::channel::<Loaded<Arc<[u8]>>>(CAPACITY);
    for i in 0..n {
        let range = watched::range(i);
        let ranges = [range.start.into()..range.end.into()];
        let mut receiver = sender.subscribe();
        let counts = Arc::clone(&counts);
        runtime.spawn(async move {
            while let Ok(loaded) = receiver.recv().await {
                counts.count(loaded.message.matches(&ranges) && loaded.payload[0] == 42);
            }
        });
    }
    let payload = payload();
    Service {
        runtime,
        emit: Box::new(move |keys| {
            let message = Message::new(1, keys);
            let payload = Arc::clone(&payload);
            assert!(sender.send(Loaded { message, payload }).is_ok());
        }),
        counts,
        n_received_of_each: n,
    }
}

/// An operation is `n` emits, and their receipt.
fn contender(n: usize, burst: usize, emits: &Emits, mut service: Service) -> Contender<'_> {
    Contender::on(Clock::Thread, move || {
        let counts = &service.counts;
        let before = counts.matched.load(Ordering::Relaxed);
        counts.received.store(0, Ordering::Relaxed);
        service.runtime.block_on(async {
            for i in 0..n {
                (service.emit)(emits.nth(i));
                let n_emitted = i + 1;
                if n_emitted % burst == 0 || n_emitted == n {
                    let n_expected = n_emitted * service.n_received_of_each;
                    while counts.received.load(Ordering::Relaxed) < n_expected {
                        yield_now().await;
                    }
                }
            }
        });
        assert_eq!(counts.matched.load(Ordering::Relaxed) - before, n);
    })
}
