//! Models of every hand-written wait: loom runs each in all interleavings of its threads up to a
//! number of preemptions.
//!
//! A wake-up that is lost is a deadlock, which ends the model. Run with `RUSTFLAGS="--cfg loom"
//! cargo test --package rangewatch-bus --release --test loom`, with a target folder of its own;
//! without the flag there is nothing here. `LOOM_MAX_PREEMPTIONS` sets another bound.
#![cfg(loom)]

mod backpressure;
mod catch_up;
mod edits;
mod mirror;
mod progress;
mod restore;
mod waking;
mod watch_set;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::future::block_on;
use loom::thread;
use rangewatch_bus::{
    EventSubscription, History, Overflow, RangeWatchBus, Selector, WakeSubscription,
};

/// Preemptions that a model of two threads explores, unless the environment says otherwise.
const TWO_THREADS: usize = 5;
/// The same of a model of three threads, which branches more.
const THREE_THREADS: usize = 3;
/// Steps of one run; those that read a history in chunks have many.
const MAX_BRANCHES: usize = 20_000;

fn model(max_preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(max_preemptions);
    builder.max_branches = MAX_BRANCHES;
    builder.check(run);
}

fn with_history() -> RangeWatchBus {
    let history = History::events(1_000);
    RangeWatchBus::builder().history(history).build().unwrap()
}

fn all(bus: &RangeWatchBus) -> rangewatch_bus::SubscribeBuilder<'_> {
    bus.subscribe(Selector::all())
}

/// A subscription with room for one event, for which `emit_async` waits.
fn narrow(bus: &RangeWatchBus) -> EventSubscription {
    all(bus).overflow(Overflow::Backpressure).events(1).unwrap()
}

type Thread<T = ()> = thread::JoinHandle<T>;

/// Runs on a thread with another handle of the bus, so that the bus does not close before.
fn spawn<T: 'static>(
    bus: &RangeWatchBus,
    run: impl FnOnce(&RangeWatchBus) -> T + 'static,
) -> Thread<T> {
    let bus = bus.clone();
    thread::spawn(move || run(&bus))
}

fn emitter(bus: &RangeWatchBus, values: impl IntoIterator<Item = u64> + 'static) -> Thread {
    spawn(bus, |bus| {
        for value in values {
            bus.emit(value, ["k"]).unwrap();
        }
    })
}

/// Emits `value` as soon as there is room.
fn patient_emitter(bus: &RangeWatchBus, value: u64) -> Thread {
    spawn(bus, move |bus| {
        block_on(bus.emit_async(value, ["k"])).unwrap();
    })
}

fn recv_value(sub: &mut EventSubscription) -> u64 {
    block_on(sub.recv()).unwrap().value()
}

/// Receives spans until they cover `n_emits`; returns the first and the last value. All emits of
/// the bus match, with the number of the emit as its value.
fn recv_spans(sub: &mut WakeSubscription, n_emits: u64) -> (u64, u64) {
    let mut recv = || {
        let span = block_on(sub.recv()).unwrap();
        let seqs = (span.first_seq().get(), span.last_seq().get());
        assert_eq!(seqs, (span.first(), span.last()));
        span
    };
    let span = recv();
    let (first, mut last, mut n) = (span.first(), span.last(), span.count());
    while n < n_emits {
        let span = recv();
        assert_eq!(span.first(), last + 1, "a gap or a repeat");
        last = span.last();
        n += span.count();
    }
    assert_eq!(n, n_emits);
    (first, last)
}

/// The waker of a task that is not polled any more.
struct NoTask;

impl Wake for NoTask {
    fn wake(self: Arc<Self>) {}
}

fn poll_once_without_task<F: Future>(future: F) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(NoTask));
    pin!(future).poll(&mut Context::from_waker(&waker))
}
