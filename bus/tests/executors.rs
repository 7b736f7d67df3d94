//! The bus needs no executor, and runs on any.

mod deadline;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures::StreamExt;
use rangewatch_bus::{RangeWatchBus, RecvError};

const N_EMITS: u64 = 500;

/// Receives, in every way there is, from an emitter on another thread until the bus closes.
///
/// Ends only if no wake-up is lost: the emitter continues when the consumer has received what was
/// emitted.
async fn consume(bus: RangeWatchBus) {
    let mut events = bus.subscribe(.."m").events(4).unwrap();
    let mut answers = bus.subscribe("answer".."answers").wake().unwrap();
    let mut spans = bus.subscribe("n"..).wake().unwrap();
    let emitter = thread::spawn({
        let bus = bus.clone();
        move || {
            for value in 1..=N_EMITS {
                bus.emit(value, ["a", "x"]).unwrap();
                let span = futures::executor::block_on(answers.recv()).unwrap();
                assert_eq!(span.last(), value);
            }
            bus.close();
        }
    });
    for value in 1..=N_EMITS {
        let received = if value % 2 == 0 {
            events.recv().await.unwrap()
        } else {
            events.next().await.unwrap().unwrap()
        };
        assert_eq!(received.value(), value);
        assert_eq!(spans.recv().await.unwrap().last(), value);
        bus.emit(value, ["answer"]).unwrap();
        // The reply lies in the range of the events, too.
        assert!(events.recv().await.unwrap().keys().eq([b"answer"]));
    }
    assert_eq!(events.recv().await, Err(RecvError::Closed));
    assert!(spans.next().await.is_none());
    emitter.join().unwrap();
}

#[test]
fn g12_no_wake_up_is_lost_on_the_executor_of_futures() {
    deadline::ends(|| futures::executor::block_on(consume(RangeWatchBus::new())));
}

#[test]
fn g12_no_wake_up_is_lost_on_tokio_with_one_thread() {
    deadline::ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async { tokio::spawn(consume(RangeWatchBus::new())).await.unwrap() });
    });
}

#[test]
fn g12_no_wake_up_is_lost_on_tokio_with_several_threads() {
    deadline::ends(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        runtime.block_on(async {
            let consumers = (0..4).map(|_| tokio::spawn(consume(RangeWatchBus::new())));
            for consumer in consumers.collect::<Vec<_>>() {
                consumer.await.unwrap();
            }
        });
    });
}

#[test]
fn g12_no_wake_up_is_lost_in_a_poll_loop_written_by_hand() {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn run<F: Future>(future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    deadline::ends(|| run(consume(RangeWatchBus::new())));
}

#[test]
fn g12_select_between_subscriptions_loses_nothing() {
    deadline::ends(|| futures::executor::block_on(select_between_two()));
}

async fn select_between_two() {
    let bus = RangeWatchBus::new();
    let mut low = bus.subscribe(.."m").events(1000).unwrap();
    let mut high = bus.subscribe("m"..).events(1000).unwrap();
    let emitter = thread::spawn({
        let bus = bus.clone();
        move || {
            (0..N_EMITS).for_each(|value| {
                bus.emit(value, [if value % 3 == 0 { "a" } else { "x" }])
                    .unwrap();
            })
        }
    });
    let mut values = Vec::new();
    while values.len() < N_EMITS as usize {
        // Each turn drops one of the two futures unfinished.
        let event = match futures::future::select(pin!(low.recv()), pin!(high.recv())).await {
            futures::future::Either::Left((event, _))
            | futures::future::Either::Right((event, _)) => event,
        };
        values.push(event.unwrap().value());
    }
    values.sort_unstable();
    assert!(values.into_iter().eq(0..N_EMITS));
    emitter.join().unwrap();
}
