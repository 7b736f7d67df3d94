//! Event subscriptions: the queue, its bound and its lag.

mod cases;

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::executor::block_on;
use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bus::{RangeWatchBus, RecvError, TryRecvError};

#[test]
fn g17_the_queue_never_holds_more_than_its_capacity() {
    let bus = RangeWatchBus::new();
    for capacity in [1, 2, 7] {
        let sub = bus.subscribe(..).events(capacity).unwrap();
        assert!(sub.is_empty());
        for value in 0..20 {
            bus.emit(value, ["k"]).unwrap();
            assert_eq!(sub.len(), capacity.min(value as usize + 1));
        }
        assert_eq!(sub.capacity(), capacity);
    }
}

#[test]
fn g18_the_next_receive_reports_the_exact_number_missed_then_the_oldest_retained_follows() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(.."m").events(2).unwrap();
    for value in 1..=10 {
        // Odd values do not match, and are not missed.
        bus.emit(value, [if value % 2 == 0 { "a" } else { "x" }])
            .unwrap();
    }
    assert_eq!(sub.try_recv(), Err(TryRecvError::Lagged(3)));
    assert_eq!(sub.try_recv().unwrap().value(), 8);
    assert_eq!(sub.try_recv().unwrap().value(), 10);
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn g18_a_lag_that_goes_on_after_its_report_is_reported_again() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(1).unwrap();
    let emit = |value| {
        bus.emit(value, ["k"]).unwrap();
    };
    (1..=3).for_each(emit);
    assert_eq!(block_on(sub.recv()), Err(RecvError::Lagged(2)));
    (4..=5).for_each(emit);
    assert_eq!(block_on(sub.recv()), Err(RecvError::Lagged(2)));
    assert_eq!(block_on(sub.recv()).unwrap().value(), 5);
}

/// A step of a consumer or an emitter.
#[derive(Clone, Copy, Debug)]
enum Step {
    Emit(u64),
    Receive,
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn g18_the_queue_agrees_with_a_list(
        capacity in 1_usize..6,
        steps in vec(prop_oneof![any::<u64>().prop_map(Step::Emit), Just(Step::Receive)], 0..80),
    ) {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(..).events(capacity).unwrap();
        // Everything emitted and not received, dropped or not.
        let mut reference = VecDeque::new();
        for step in steps {
            match step {
                Step::Emit(value) => {
                    bus.emit(value, ["k"]).unwrap();
                    reference.push_back(value);
                }
                Step::Receive => {
                    let expected = match reference.len().checked_sub(capacity) {
                        Some(missed @ 1..) => {
                            reference.drain(..missed);
                            Err(TryRecvError::Lagged(missed as u64))
                        }
                        _ => reference.pop_front().ok_or(TryRecvError::Empty),
                    };
                    prop_assert_eq!(sub.try_recv().map(|event| event.value()), expected);
                }
            }
            prop_assert_eq!(sub.len(), reference.len().min(capacity));
        }
    }
}

#[test]
fn every_way_to_receive_gives_the_same_items() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(1).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let lag = || {
        (1..=3).for_each(|value| {
            bus.emit(value, ["k"]).unwrap();
        })
    };

    lag();
    assert_eq!(block_on(sub.recv()), Err(RecvError::Lagged(2)));
    assert_eq!(block_on(sub.recv()).unwrap().value(), 3);
    lag();
    assert_eq!(
        sub.poll_recv(&mut cx),
        Poll::Ready(Err(RecvError::Lagged(2)))
    );
    assert!(matches!(sub.poll_recv(&mut cx), Poll::Ready(Ok(event)) if event.value() == 3));
    assert_eq!(sub.poll_recv(&mut cx), Poll::Pending);
    lag();
    assert!(matches!(
        sub.poll_next_unpin(&mut cx),
        Poll::Ready(Some(Err(RecvError::Lagged(2))))
    ));
    assert!(
        matches!(sub.poll_next_unpin(&mut cx), Poll::Ready(Some(Ok(event))) if event.value() == 3)
    );
    assert_eq!(sub.poll_next_unpin(&mut cx), Poll::Pending);
    bus.close();
    assert_eq!(sub.poll_recv(&mut cx), Poll::Ready(Err(RecvError::Closed)));
    assert_eq!(sub.poll_next_unpin(&mut cx), Poll::Ready(None));
}

#[test]
fn an_event_outlives_its_subscription_and_its_bus() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(.."m").events(1).unwrap();
    bus.emit(7, ["a", "x"]).unwrap();
    let event = sub.try_recv().unwrap();
    drop((sub, bus));
    assert!(event.keys().eq([b"a"]));
}
