//! Wake subscriptions: the wake-up and the span.

mod cases;
mod count;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::executor::block_on;
use futures::stream::FusedStream;
use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bus::{Closed, History, RangeWatchBus, Seq, TryWakeError};

use crate::count::counting;

#[test]
fn g12_emit_wakes_a_waiting_recv_before_it_returns() {
    let bus = RangeWatchBus::new();
    let mut wake = bus.subscribe("a".."m").wake().unwrap();
    let mut events = bus.subscribe("a".."m").events(1).unwrap();
    let [(first, wake_count), (second, events_count)] = [counting(), counting()];
    let counts = [wake_count, events_count];
    let wakers = [first, second];

    let mut wake_recv = pin!(wake.recv());
    let mut events_recv = pin!(events.recv());
    assert!(
        wake_recv
            .as_mut()
            .poll(&mut Context::from_waker(&wakers[0]))
            .is_pending()
    );
    assert!(
        events_recv
            .as_mut()
            .poll(&mut Context::from_waker(&wakers[1]))
            .is_pending()
    );
    bus.emit(1, ["x"]).unwrap();
    assert_eq!(
        counts.each_ref().map(|count| count.n_wakes()),
        [0, 0],
        "an emit that does not match wakes nobody"
    );

    bus.emit(2, ["b"]).unwrap();
    bus.emit(3, ["b"]).unwrap();
    assert_eq!(
        counts.each_ref().map(|count| count.n_wakes()),
        [1, 1],
        "one wake per wait"
    );
    assert!(
        wake_recv
            .as_mut()
            .poll(&mut Context::from_waker(&wakers[0]))
            .is_ready()
    );
    assert!(
        events_recv
            .as_mut()
            .poll(&mut Context::from_waker(&wakers[1]))
            .is_ready()
    );
}

#[test]
fn g12_the_latest_waker_is_the_one_that_is_woken() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).wake().unwrap();
    let counts = [(), ()].map(|()| {
        let (waker, count) = counting();
        assert!(sub.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        count
    });
    assert_eq!(
        Arc::strong_count(&counts[0]),
        1,
        "the waker that was replaced is dropped"
    );
    bus.emit(1, ["k"]).unwrap();
    assert_eq!(counts.each_ref().map(|count| count.n_wakes()), [0, 1]);
}

#[test]
fn g12_a_dropped_recv_loses_nothing() {
    let bus = RangeWatchBus::new();
    let mut wake = bus.subscribe(..).wake().unwrap();
    let mut events = bus.subscribe(..).events(1).unwrap();
    let waker = Waker::noop();
    for _ in 0..2 {
        assert!(
            pin!(wake.recv())
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
        assert!(
            pin!(events.recv())
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    {
        let mut wake_recv = pin!(wake.recv());
        let mut events_recv = pin!(events.recv());
        assert!(
            wake_recv
                .as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
        assert!(
            events_recv
                .as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
        bus.emit(1, ["k"]).unwrap();
        // Woken, and dropped before they could take what there is.
    }
    assert_eq!(wake.try_recv().unwrap().last(), 1);
    assert_eq!(events.try_recv().unwrap().value(), 1);
}

#[test]
fn g13_a_span_has_first_last_and_count_of_what_matched_since_the_last_receive() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe("a".."m").wake().unwrap();
    assert_eq!(sub.try_recv(), Err(TryWakeError::Empty));
    for (value, key) in [(1500, "a"), (1, "x"), (1600, "b"), (1700, "c"), (800, "l")] {
        bus.emit(value, [key]).unwrap();
    }
    let span = sub.try_recv().unwrap();
    assert_eq!((span.first(), span.last(), span.count()), (1500, 800, 4));
    assert_eq!((span.first_seq().get(), span.last_seq().get()), (1, 5));
    assert_eq!(sub.try_recv(), Err(TryWakeError::Empty));

    bus.emit(7, ["a"]).unwrap();
    let span = sub.try_recv().unwrap();
    assert_eq!((span.first(), span.last(), span.count()), (7, 7, 1));
}

proptest! {
    #![proptest_config(cases::config())]

    /// Each step is an emit of a value that matches or not, or a receive.
    #[test]
    fn g13_spans_sum_up_exactly_what_lies_between_receives(
        steps in vec(prop::option::weighted(0.8, (any::<u64>(), any::<bool>())), 0..60),
    ) {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe("a".."m").wake().unwrap();
        let mut unreceived: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            if let Some((value, matches)) = step {
                let emitted = bus.emit(value, [if matches { "b" } else { "x" }]).unwrap();
                if matches {
                    unreceived.push((emitted.seq().get(), value));
                }
                continue;
            }
            match sub.try_recv() {
                Ok(span) => {
                    prop_assert_eq!((span.first_seq().get(), span.first()), unreceived[0]);
                    let last = unreceived[unreceived.len() - 1];
                    prop_assert_eq!((span.last_seq().get(), span.last()), last);
                    prop_assert_eq!(span.count(), unreceived.len() as u64);
                }
                Err(error) => {
                    prop_assert_eq!(error, TryWakeError::Empty);
                    prop_assert!(unreceived.is_empty());
                }
            }
            unreceived.clear();
        }
    }
}

#[test]
fn every_way_to_receive_gives_the_same_items() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).wake().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    bus.emit(1, ["k"]).unwrap();
    assert_eq!(block_on(sub.recv()).unwrap().last(), 1);
    bus.emit(2, ["k"]).unwrap();
    assert!(matches!(sub.poll_recv(&mut cx), Poll::Ready(Ok(span)) if span.last() == 2));
    assert_eq!(sub.poll_recv(&mut cx), Poll::Pending);
    bus.emit(3, ["k"]).unwrap();
    assert!(matches!(sub.poll_next_unpin(&mut cx), Poll::Ready(Some(span)) if span.last() == 3));
    assert_eq!(sub.poll_next_unpin(&mut cx), Poll::Pending);
    bus.close();
    assert_eq!(sub.poll_recv(&mut cx), Poll::Ready(Err(Closed)));
    assert_eq!(sub.poll_next_unpin(&mut cx), Poll::Ready(None));
}

#[test]
fn g27_the_stream_of_a_closed_bus_is_terminated_once_its_last_span_was_received() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).wake().unwrap();
    assert!(!sub.is_terminated());
    bus.emit(1, ["k"]).unwrap();
    bus.close();
    assert!(!sub.is_terminated(), "a span is left");
    assert_eq!(block_on(sub.next()).unwrap().last(), 1);
    assert!(sub.is_terminated());
    assert_eq!(block_on(sub.next()), None);
}

#[test]
fn g13_a_span_from_the_history_ends_with_the_last_emit_that_was_live() {
    // A history that is read in one piece, under the lock, and one that is read in several.
    for n_old in [10, 1_000] {
        let history = History::events(10_000);
        let bus = RangeWatchBus::builder().history(history).build().unwrap();
        for _ in 0..n_old {
            bus.emit_next(["k"]).unwrap();
        }
        let mut sub = bus.subscribe(..).since(5).wake().unwrap();
        bus.emit_next(["k"]).unwrap();
        let span = sub.try_recv().unwrap();
        assert_eq!((span.first(), span.last()), (5, n_old + 1));
        assert_eq!(span.first_seq(), Seq::new(5).unwrap());
        assert_eq!(span.last_seq(), Seq::new(n_old + 1).unwrap());
        assert_eq!((span.count(), sub.position()), (n_old - 3, Some(n_old + 1)));
    }
}

#[test]
fn a_wake_subscription_is_small() {
    assert!(size_of::<rangewatch_bus::WakeSubscription>() <= 3 * size_of::<usize>());
}
