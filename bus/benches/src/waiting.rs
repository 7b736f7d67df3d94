//! Many emitters that wait for room in one queue.

use std::time::Duration;

use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use rangewatch_bench_harness::{Clock, Contender, Effort, Report};
use rangewatch_bus::{Overflow, RangeWatchBus};
use tokio::sync::mpsc;

use crate::peers::Message;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "As many tasks as the row says emit once each into a queue of one event, and one task\n\
         receives all of it, on one thread. The goal for 4,000 is 5x mpsc, so 0.20x here.\n",
    );
    report.table(&["waiting emitters", "ours", "tokio mpsc"]);
    for n in [400, 4_000] {
        report.row(
            effort,
            &n.to_string(),
            &mut [contender(move || ours(n)), contender(move || mpsc(n))],
        );
    }
}

fn contender(drain: impl Fn() -> Duration + 'static) -> Contender<'static> {
    Contender::timed(move |n| (0..n).map(|_| drain()).sum())
}

fn ours(n: usize) -> Duration {
    let bus = RangeWatchBus::new();
    let builder = bus.subscribe("k".."l").overflow(Overflow::Backpressure);
    let mut sub = builder.events(1).unwrap();
    let mut pool = LocalPool::new();
    for _ in 0..n {
        let bus = bus.clone();
        let emit = async move {
            bus.emit_async(1, ["k"]).await.unwrap();
        };
        pool.spawner().spawn_local(emit).unwrap();
    }
    Clock::Thread.time(|| {
        pool.run_until(async {
            for expected in 1..=n {
                assert_eq!(sub.recv().await.unwrap().seq().get(), expected as u64);
            }
        });
    })
}

fn mpsc(n: usize) -> Duration {
    let (sender, mut receiver) = mpsc::channel(1);
    let mut pool = LocalPool::new();
    for _ in 0..n {
        let sender = sender.clone();
        let send = async move { sender.send(Message::new(1, &["k"])).await.unwrap() };
        pool.spawner().spawn_local(send).unwrap();
    }
    Clock::Thread.time(|| {
        pool.run_until(async {
            for _ in 0..n {
                assert_eq!(receiver.recv().await.unwrap().value, 1);
            }
        });
    })
}
