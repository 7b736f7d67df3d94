//! Receiving several events at once, and streams that own their subscription.

mod cases;
mod count;

use std::task::{Context, Poll, Waker};

use futures::executor::block_on;
use futures::stream::FusedStream;
use futures::{FutureExt, StreamExt};
use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bus::{
    Event, EventSubscription, History, Item, Overflow, RangeWatchBus, RecvError, Selector,
    TryRecvError,
};

fn bus() -> RangeWatchBus {
    let history = History::events(100);
    RangeWatchBus::builder().history(history).build().unwrap()
}

/// Emits "k" with `values`.
fn emit(bus: &RangeWatchBus, values: impl IntoIterator<Item = u64>) {
    for value in values {
        bus.emit(value, ["k"]).unwrap();
    }
}

/// Receives at most `limit` values.
fn values(sub: &mut EventSubscription, limit: usize) -> Poll<Result<Vec<u64>, RecvError>> {
    let mut buf = Vec::new();
    let received = sub.poll_recv_many(&mut Context::from_waker(Waker::noop()), &mut buf, limit);
    if let Poll::Ready(Ok(n)) = received {
        assert_eq!(n, buf.len());
    } else {
        assert_eq!(buf, []);
    }
    received.map_ok(|_| buf.iter().map(Event::value).collect())
}

fn ready<const N: usize>(values: [u64; N]) -> Poll<Result<Vec<u64>, RecvError>> {
    Poll::Ready(Ok(Vec::from(values)))
}

#[test]
fn g01_several_are_received_in_order_behind_what_the_buffer_holds() {
    let bus = bus();
    let mut sub = bus.subscribe(..).events(1_000).unwrap();
    emit(&bus, 1..=100);
    let mut buf = Vec::new();
    for n_expected in [7, 64, 29] {
        let received =
            block_on(sub.recv_many(&mut buf, if n_expected == 29 { 99 } else { n_expected }));
        assert_eq!(received, Ok(n_expected));
    }
    assert!(buf.iter().map(Event::value).eq(1..=100));
    assert_eq!(block_on(sub.recv_many(&mut buf, 0)), Ok(0));
    bus.close();
    assert_eq!(block_on(sub.recv_many(&mut buf, 0)), Ok(0));
    assert_eq!(block_on(sub.recv_many(&mut buf, 1)), Err(RecvError::Closed));
    assert_eq!(buf.len(), 100);
}

#[test]
fn g03_a_gap_is_returned_alone_after_the_events_before_it() {
    let bus = bus();
    let coalesce = bus.subscribe(..).overflow(Overflow::Coalesce);
    let mut coalesce = coalesce.events(3).unwrap();
    let lagged = bus.subscribe(..).overflow(Overflow::Lagged);
    let mut lagged = lagged.events(3).unwrap();
    emit(&bus, 1..=5);
    let gap = |polled| match polled {
        Poll::Ready(Err(RecvError::Coalesced(gap))) => (gap.first(), gap.last(), gap.count()),
        other => panic!("{other:?}"),
    };
    assert_eq!(values(&mut coalesce, 10), ready([1, 2, 3]));
    emit(&bus, [6]);
    assert_eq!(gap(values(&mut coalesce, 10)), (4, 5, 2));
    assert_eq!(values(&mut coalesce, 10), ready([6]));
    let missed = Poll::Ready(Err(RecvError::Lagged(3)));
    assert_eq!(values(&mut lagged, 10), missed);
    assert_eq!(values(&mut lagged, 10), ready([4, 5, 6]));
    assert_eq!(values(&mut lagged, 10), Poll::Pending);
}

#[test]
fn g19_the_end_is_returned_alone_after_the_events_before_it() {
    let bus = bus();
    let builder = bus.subscribe(..).overflow(Overflow::Disconnect);
    let mut sub = builder.events(2).unwrap();
    emit(&bus, 1..=3);
    assert_eq!(values(&mut sub, 10), ready([1, 2]));
    for _ in 0..2 {
        let end = RecvError::Disconnected { resume: 3 };
        assert_eq!(values(&mut sub, 10), Poll::Ready(Err(end)));
    }
    let mut parked = bus.subscribe(..).events(2).unwrap();
    emit(&bus, 4..=9);
    bus.compact(8).unwrap();
    assert_eq!(values(&mut parked, 10), ready([4, 5]));
    let end = RecvError::Compacted { floor: 8, epoch: 0 };
    assert_eq!(values(&mut parked, 10), Poll::Ready(Err(end)));
}

#[test]
fn g09_marks_are_skipped() {
    let bus = bus();
    let mut sub = bus.subscribe(..).events(10).unwrap();
    emit(&bus, 1..=2);
    sub.request_progress().unwrap();
    emit(&bus, 3..=4);
    sub.request_progress().unwrap();
    assert_eq!(values(&mut sub, 10), ready([1, 2, 3, 4]));
    assert_eq!(values(&mut sub, 10), Poll::Pending);
    assert_eq!(sub.position(), Some(4));
}

#[test]
fn g12_a_receive_that_was_dropped_while_it_waited_loses_nothing() {
    let bus = bus();
    let mut sub = bus.subscribe(..).events(10).unwrap();
    let mut buf = Vec::new();
    assert!(sub.recv_many(&mut buf, 10).now_or_never().is_none());
    let (waker, count) = count::counting();
    let polled = sub.poll_recv_many(&mut Context::from_waker(&waker), &mut buf, 10);
    assert_eq!((polled, buf.len()), (Poll::Pending, 0));
    emit(&bus, 1..=3);
    assert_eq!(count.n_wakes(), 1);
    assert_eq!(values(&mut sub, 10), ready([1, 2, 3]));
}

#[test]
fn g21_emitters_that_wait_are_notified_of_all_the_room() {
    let bus = RangeWatchBus::new();
    let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
    let mut sub = builder.events(3).unwrap();
    emit(&bus, 1..=3);
    let (waker, count) = count::counting();
    let mut cx = Context::from_waker(&waker);
    let mut waiting: Vec<_> = (4..=6)
        .map(|value| Box::pin(bus.emit_async(value, ["k"])))
        .collect();
    for emitter in &mut waiting {
        assert!(emitter.poll_unpin(&mut cx).is_pending());
    }
    assert_eq!(values(&mut sub, 3), ready([1, 2, 3]));
    assert_eq!(count.n_wakes(), 3);
    for emitter in &mut waiting {
        assert!(emitter.poll_unpin(&mut cx).is_ready());
    }
    assert_eq!(values(&mut sub, 3), ready([4, 5, 6]));
}

#[derive(Clone, Debug)]
enum Step {
    Emit(char),
    Receive(usize),
    Edit(char),
    Mark,
    Compact,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || prop::sample::select(vec!['a', 'b', 'c']);
    let step = prop_oneof![
        40 => key().prop_map(Step::Emit),
        15 => (1_usize..80).prop_map(Step::Receive),
        5 => key().prop_map(Step::Edit),
        3 => Just(Step::Mark),
        1 => Just(Step::Compact),
        1 => Just(Step::Close),
    ];
    vec(step, 0..300)
}

fn overflow() -> impl Strategy<Value = Overflow> {
    prop::sample::select(vec![
        Overflow::Lagged,
        Overflow::Coalesce,
        Overflow::Disconnect,
        Overflow::Park,
    ])
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn g03_it_receives_what_as_many_single_receives_do(
        steps in steps(),
        overflow in overflow(),
        capacity in 1_usize..60,
    ) {
        let bus = bus();
        let subscribe = || {
            let builder = bus.subscribe("a".."c").overflow(overflow);
            builder.events(capacity).unwrap()
        };
        let (mut many, mut single) = (subscribe(), subscribe());
        let mut cx = Context::from_waker(Waker::noop());
        for step in steps {
            match step {
                Step::Emit(key) => drop(bus.emit_next([key.to_string()])),
                Step::Receive(limit) => {
                    let mut buf = Vec::new();
                    let polled = many.poll_recv_many(&mut cx, &mut buf, limit);
                    match polled {
                        Poll::Ready(Ok(n)) => prop_assert!(n == buf.len() && n >= 1 && n <= limit),
                        Poll::Ready(Err(error)) => {
                            prop_assert_eq!(single.try_recv(), Err(TryRecvError::from(error)));
                        }
                        Poll::Pending => prop_assert_eq!(single.try_recv(), Err(TryRecvError::Empty)),
                    }
                    for event in buf {
                        prop_assert_eq!(single.try_recv(), Ok(event));
                    }
                    prop_assert_eq!(many.position(), single.position());
                    prop_assert_eq!(many.stats().pending(), single.stats().pending());
                }
                Step::Edit(key) => for sub in [&mut many, &mut single] {
                    let _ = sub.set_selectors([Selector::from(key.to_string()..), Selector::key("b")]);
                },
                Step::Mark => for sub in [&mut many, &mut single] {
                    sub.request_progress().unwrap();
                },
                Step::Compact => drop(bus.compact(bus.head().unwrap_or(0))),
                Step::Close => bus.close(),
            }
        }
    }
}

#[test]
fn g27_an_owned_stream_ends_after_its_end_and_returns_its_subscription() {
    let bus = bus();
    let builder = bus.subscribe(..).overflow(Overflow::Disconnect);
    let mut items = builder.events(1).unwrap().into_items();
    emit(&bus, 1..=2);
    let mut next = || block_on(items.next());
    assert!(matches!(next(), Some(Ok(Item::Event(event))) if event.value() == 1));
    let end = RecvError::Disconnected { resume: 2 };
    assert_eq!(next(), Some(Err(end)));
    assert_eq!(next(), None);
    assert!(items.is_terminated());
    assert_eq!(items.get_ref().capacity(), 1);
    assert_eq!(items.into_inner().try_recv(), Err(end.into()));

    let mut items = bus.subscribe(..).events(4).unwrap().into_items();
    emit(&bus, [3]);
    items.get_mut().request_progress().unwrap();
    bus.close();
    let received: Vec<_> = block_on(items.collect());
    assert!(matches!(
        received[..],
        [Ok(Item::Event(_)), Ok(Item::Progress(3))]
    ));
}

#[test]
fn g23_dropping_an_owned_stream_ends_its_subscription() {
    let bus = bus();
    let items = bus.subscribe(..).events(4).unwrap().into_items();
    assert_eq!(bus.n_subscriptions(), 1);
    drop(items);
    assert_eq!(bus.n_subscriptions(), 0);
}
