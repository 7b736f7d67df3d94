//! Emitters that wait for room, and the order in which they do.

mod count;
mod deadline;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::executor::block_on;
use rangewatch_bus::{
    EmitError, Emitted, EventSubscription, History, Overflow, RangeWatchBus, TryRecvError,
};

use crate::count::counting;

fn subscribe(
    bus: &RangeWatchBus,
    range: std::ops::Range<&str>,
    capacity: usize,
) -> EventSubscription {
    let builder = bus.subscribe(range).overflow(Overflow::Backpressure);
    builder.events(capacity).unwrap()
}

type Emitting<'a> = Pin<Box<dyn Future<Output = Result<Emitted, EmitError>> + 'a>>;

fn emitting<'a>(bus: &'a RangeWatchBus, value: u64, keys: &'a [&'a str]) -> Emitting<'a> {
    Box::pin(bus.emit_async(value, keys))
}

#[test]
fn g21_an_asynchronous_emit_waits_for_room_and_has_reached_everyone_when_it_returns() {
    let bus = RangeWatchBus::new();
    let mut full = subscribe(&bus, "a".."m", 1);
    let mut roomy = subscribe(&bus, "a".."z", 9);
    block_on(bus.emit_async(1, ["b"])).unwrap();
    let (waker, count) = counting();
    let mut cx = Context::from_waker(&waker);
    let mut emit = emitting(&bus, 2, &["b", "n"]);
    for _ in 0..2 {
        assert!(emit.as_mut().poll(&mut cx).is_pending());
    }
    assert_eq!(
        (roomy.len(), bus.last_seq().unwrap().get()),
        (1, 1),
        "it holds nothing"
    );
    // Others overtake it: those that are not for the full one.
    assert!(emitting(&bus, 3, &["n"]).as_mut().poll(&mut cx).is_ready());
    assert_eq!(count.n_wakes(), 0);
    assert_eq!(full.try_recv().unwrap().value(), 1);
    assert_eq!(count.n_wakes(), 1);
    match emit.as_mut().poll(&mut cx) {
        Poll::Ready(Ok(emitted)) => assert_eq!((emitted.matched(), emitted.seq().get()), (2, 3)),
        other => panic!("{other:?}"),
    }
    assert_eq!(full.try_recv().unwrap().value(), 2);
    let values: Vec<_> = (0..3).map(|_| roomy.try_recv().unwrap().value()).collect();
    assert_eq!(values, [1, 3, 2]);
}

#[test]
fn g21_emitters_with_the_same_subscribers_in_opposite_order_never_wait_for_each_other() {
    let bus = RangeWatchBus::new();
    let mut a = subscribe(&bus, "a".."b", 1);
    let mut b = subscribe(&bus, "b".."c", 1);
    block_on(bus.emit_async(1, ["a", "b"])).unwrap();
    let (waker, _) = counting();
    let mut cx = Context::from_waker(&waker);
    let (mut ab, mut ba) = (
        emitting(&bus, 2, &["a", "b"]),
        emitting(&bus, 3, &["b", "a"]),
    );
    assert!(ab.as_mut().poll(&mut cx).is_pending() && ba.as_mut().poll(&mut cx).is_pending());
    // Room with one of the two is not enough for either.
    b.try_recv().unwrap();
    assert!(ba.as_mut().poll(&mut cx).is_pending() && ab.as_mut().poll(&mut cx).is_pending());
    a.try_recv().unwrap();
    // The first to wait is the first to emit.
    assert!(ba.as_mut().poll(&mut cx).is_pending() && ab.as_mut().poll(&mut cx).is_ready());
    assert_eq!(
        (a.try_recv().unwrap().value(), b.try_recv().unwrap().value()),
        (2, 2)
    );
    assert!(ba.as_mut().poll(&mut cx).is_ready());
}

/// A subscription to everything with a queue of `n_bytes`. An emit of one key of n bytes takes
/// n + 16 of them.
fn subscribe_bytes(bus: &RangeWatchBus, n_bytes: usize) -> EventSubscription {
    let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
    builder.queue_bytes(n_bytes).events(1_000).unwrap()
}

#[test]
fn g21_waiting_emitters_take_effect_in_the_order_in_which_they_began_to_wait() {
    let bus = RangeWatchBus::new();
    let mut sub = subscribe(&bus, "a".."m", 2);
    for value in [1, 2] {
        block_on(bus.emit_async(value, ["b"])).unwrap();
    }
    let mut cx = Context::from_waker(Waker::noop());
    let mut emits: Vec<_> = (3..7).map(|value| emitting(&bus, value, &["b"])).collect();
    for emit in &mut emits {
        assert!(emit.as_mut().poll(&mut cx).is_pending());
    }
    sub.try_recv().unwrap();
    // Neither a later one nor a new one overtakes the first.
    for emit in &mut emits[1..] {
        assert!(emit.as_mut().poll(&mut cx).is_pending());
    }
    let mut new = emitting(&bus, 7, &["b"]);
    assert!(new.as_mut().poll(&mut cx).is_pending());
    emits.push(new);
    for emit in &mut emits {
        assert!(emit.as_mut().poll(&mut cx).is_ready());
        sub.try_recv().unwrap();
    }
    let last: Vec<_> = std::iter::from_fn(|| sub.try_recv().ok()).collect();
    assert_eq!(
        last.iter().map(|event| event.value()).collect::<Vec<_>>(),
        [7]
    );
}

#[test]
fn g21_a_receive_wakes_as_many_emitters_as_it_made_room_for() {
    let bus = RangeWatchBus::new();
    let mut sub = subscribe_bytes(&bus, 100);
    let (large, small) = ("x".repeat(84), "x".repeat(9));
    let (large, small) = ([large.as_str()], [small.as_str()]);
    block_on(bus.emit_async(1, large)).unwrap();
    let (waker, count) = counting();
    let mut cx = Context::from_waker(&waker);
    let mut emits: Vec<_> = (0..10).map(|_| emitting(&bus, 2, &small)).collect();
    for emit in &mut emits {
        assert!(emit.as_mut().poll(&mut cx).is_pending());
    }
    sub.try_recv().unwrap();
    assert_eq!(count.n_wakes(), 4, "four of 25 bytes have room in 100");
    // None is woken twice for the same room, and none whose room is still reserved for another.
    assert!(emits[5].as_mut().poll(&mut cx).is_pending());
    for (i, emit) in emits[..4].iter_mut().enumerate() {
        assert!(emit.as_mut().poll(&mut cx).is_ready(), "{i}");
    }
    assert_eq!(count.n_wakes(), 4);
    sub.try_recv().unwrap();
    assert_eq!(count.n_wakes(), 5);
}

#[test]
fn g21_a_large_emit_is_not_overtaken_by_small_ones() {
    let bus = RangeWatchBus::new();
    let mut sub = subscribe_bytes(&bus, 100);
    let (large, small) = ("x".repeat(84), "x".repeat(9));
    let (large, small) = ([large.as_str()], [small.as_str()]);
    block_on(bus.emit_async(1, small)).unwrap();
    block_on(bus.emit_async(2, small)).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiting = emitting(&bus, 3, &large);
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    // There is room for small ones, which wait all the same.
    let mut after = emitting(&bus, 4, &small);
    assert!(after.as_mut().poll(&mut cx).is_pending());
    sub.try_recv().unwrap();
    assert!(after.as_mut().poll(&mut cx).is_pending());
    sub.try_recv().unwrap();
    assert!(after.as_mut().poll(&mut cx).is_pending());
    assert!(waiting.as_mut().poll(&mut cx).is_ready());
    assert_eq!(sub.try_recv().unwrap().value(), 3);
    assert!(after.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn g21_a_stalled_consumer_delays_only_the_emitters_that_match_it() {
    let bus = RangeWatchBus::new();
    let mut stalled = subscribe(&bus, "a".."b", 1);
    let mut active = subscribe(&bus, "b".."c", 1);
    block_on(bus.emit_async(1, ["a", "b"])).unwrap();
    let (waker, count) = counting();
    let mut cx = Context::from_waker(&waker);
    // These wait longer than the one that matches only the active consumer.
    let mut both: Vec<_> = (0..3).map(|_| emitting(&bus, 2, &["b", "a"])).collect();
    for emit in &mut both {
        assert!(emit.as_mut().poll(&mut cx).is_pending());
    }
    for value in 3..50 {
        let (waker, woken) = counting();
        let mut cx = Context::from_waker(&waker);
        let mut emit = emitting(&bus, value, &["b"]);
        let was_pending = emit.as_mut().poll(&mut cx).is_pending();
        active.try_recv().unwrap();
        // Those that the receive woke retry, and wait for the stalled consumer.
        for emit in &mut both {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(emit.as_mut().poll(&mut cx).is_pending());
        }
        if was_pending {
            assert_eq!(woken.n_wakes(), 1, "{value}");
            assert!(emit.as_mut().poll(&mut cx).is_ready(), "{value}");
        }
    }
    assert!(count.n_wakes() <= both.len());
    stalled.try_recv().unwrap();
    active.try_recv().unwrap();
    assert!(both[0].as_mut().poll(&mut cx).is_ready());
    assert!(both[1].as_mut().poll(&mut cx).is_pending());
}

#[test]
fn g21_a_dropped_future_passes_its_place_to_the_next_emitter() {
    let bus = RangeWatchBus::new();
    let mut sub = subscribe(&bus, "a".."m", 1);
    block_on(bus.emit_async(1, ["b"])).unwrap();
    let wakers: Vec<_> = (0..4).map(|_| counting()).collect();
    let mut emits: Vec<_> = wakers
        .iter()
        .map(|(waker, _)| {
            let mut emit = emitting(&bus, 2, &["b"]);
            assert!(
                emit.as_mut()
                    .poll(&mut Context::from_waker(waker))
                    .is_pending()
            );
            Some(emit)
        })
        .collect();
    let n_wakes = || {
        wakers
            .iter()
            .map(|(_, count)| count.n_wakes())
            .collect::<Vec<_>>()
    };
    // One that was not notified takes nothing with it.
    emits[1] = None;
    assert_eq!(n_wakes(), [0, 0, 0, 0]);
    sub.try_recv().unwrap();
    assert_eq!(n_wakes(), [1, 0, 0, 0]);
    emits[0] = None;
    assert_eq!(n_wakes(), [1, 0, 1, 0]);
    emits[2] = None;
    assert_eq!(n_wakes(), [1, 0, 1, 1]);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(emits[3].as_mut().unwrap().as_mut().poll(&mut cx).is_ready());
    assert_eq!(bus.last_seq().unwrap().get(), 2);

    // The room that a large one waited for is there for the small ones behind it.
    let bus = RangeWatchBus::new();
    let _sub = subscribe_bytes(&bus, 100);
    let (large, small) = ("x".repeat(84), "x".repeat(9));
    let (large, small) = ([large.as_str()], [small.as_str()]);
    block_on(bus.emit_async(1, small)).unwrap();
    let mut waiting = Some(emitting(&bus, 2, &large));
    assert!(
        waiting
            .as_mut()
            .unwrap()
            .as_mut()
            .poll(&mut cx)
            .is_pending()
    );
    let (waker, count) = counting();
    let mut behind = emitting(&bus, 3, &small);
    assert!(
        behind
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    waiting.take();
    assert_eq!(count.n_wakes(), 1);
    assert!(behind.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn g21_an_emitter_whose_room_a_synchronous_emit_takes_waits_again() {
    let bus = RangeWatchBus::new();
    let mut sub = subscribe(&bus, "a".."m", 2);
    for value in [1, 2] {
        block_on(bus.emit_async(value, ["b"])).unwrap();
    }
    let (waker, count) = counting();
    let mut cx = Context::from_waker(&waker);
    let mut emits = [3, 4].map(|value| emitting(&bus, value, &["b"]));
    for emit in &mut emits {
        assert!(emit.as_mut().poll(&mut cx).is_pending());
    }
    sub.try_recv().unwrap();
    sub.try_recv().unwrap();
    assert_eq!(count.n_wakes(), 2);
    bus.emit(5, ["b"]).unwrap();
    // The room that is left is for the first of them.
    assert!(emits[1].as_mut().poll(&mut cx).is_pending());
    assert!(emits[0].as_mut().poll(&mut cx).is_ready());
    assert_eq!(sub.try_recv().unwrap().value(), 5);
    assert_eq!(count.n_wakes(), 3);
    assert!(emits[1].as_mut().poll(&mut cx).is_ready());
    let values: Vec<_> = (0..2).map(|_| sub.try_recv().unwrap().value()).collect();
    assert_eq!(values, [3, 4]);
}

#[test]
fn g21_dropping_an_asynchronous_emit_emits_nothing_and_leaves_no_waiter() {
    let bus = RangeWatchBus::new();
    let mut sub = subscribe(&bus, "a".."m", 1);
    block_on(bus.emit_async(1, ["b"])).unwrap();
    let (waker, count) = counting();
    let n_held = Arc::strong_count(&count);
    for _ in 0..100 {
        let mut emit = emitting(&bus, 2, &["b"]);
        assert!(
            emit.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    assert_eq!(Arc::strong_count(&count), n_held, "no waker is left behind");
    assert_eq!(sub.try_recv().unwrap().value(), 1);
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(count.n_wakes(), 0);
    assert_eq!(bus.last_seq().unwrap().get(), 1);

    // Nor does one that moves from one subscriber to another, or that is refused in the end.
    let mut other = subscribe(&bus, "a".."b", 1);
    block_on(bus.emit_async(3, ["a", "b"])).unwrap();
    let mut emit = emitting(&bus, 4, &["a", "b"]);
    for sub in [&mut sub, &mut other] {
        assert!(
            emit.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        assert_eq!(Arc::strong_count(&count), n_held + 1);
        sub.try_recv().unwrap();
        bus.emit(
            9,
            [if sub.selectors().matches(b"b") {
                "b"
            } else {
                "a"
            }],
        )
        .unwrap();
    }
    bus.close();
    let refused = emit.as_mut().poll(&mut Context::from_waker(&waker));
    assert_eq!(refused, Poll::Ready(Err(EmitError::Closed)));
    assert_eq!(Arc::strong_count(&count), n_held);
}

#[test]
fn g21_an_emitter_is_released_by_every_end_of_its_waiting() {
    type Release = fn(RangeWatchBus, EventSubscription) -> Option<EventSubscription>;
    let releases: [(&str, Release); 8] = [
        ("drop", |_, sub| {
            drop(sub);
            None
        }),
        ("cancel", |_, sub| {
            sub.cancel();
            None
        }),
        ("close", |bus, sub| {
            bus.close();
            Some(sub)
        }),
        ("close at once", |bus, sub| {
            bus.close_now();
            Some(sub)
        }),
        ("receive", |_, mut sub| {
            sub.try_recv().unwrap();
            Some(sub)
        }),
        ("edit", |_, mut sub| {
            sub.set_selectors("x".."z").unwrap();
            Some(sub)
        }),
        ("start after", |_, mut sub| {
            sub.start_after(1).unwrap();
            Some(sub)
        }),
        // A plain emit parks it, and a parked one is not waited for.
        ("park", |bus, sub| {
            bus.emit(2, ["b"]).unwrap();
            Some(sub)
        }),
    ];
    for (name, release) in releases {
        let history = History::events(100);
        let bus = RangeWatchBus::builder().history(history).build().unwrap();
        let sub = subscribe(&bus, "a".."m", 1);
        block_on(bus.emit_async(1, ["b"])).unwrap();
        let (waker, count) = counting();
        let mut cx = Context::from_waker(&waker);
        let mut emit = emitting(&bus, 3, &["b"]);
        assert!(emit.as_mut().poll(&mut cx).is_pending(), "{name}");
        let sub = release(bus.clone(), sub);
        assert_eq!(count.n_wakes(), 1, "{name} wakes the emitter");
        let expected = if name.starts_with("close") {
            Err(EmitError::Closed)
        } else {
            Ok(3)
        };
        match emit.as_mut().poll(&mut cx) {
            Poll::Ready(emitted) => assert_eq!(emitted.map(|it| it.value()), expected, "{name}"),
            Poll::Pending => panic!("{name} does not release the emitter"),
        }
        drop(sub);
    }
}

#[test]
fn g21_emitters_do_not_wait_for_parked_subscriptions_nor_for_what_never_fits() {
    let history = History::events(100);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    for value in 1..=3 {
        bus.emit(value, ["b"]).unwrap();
    }
    let builder = bus.subscribe("a".."m").overflow(Overflow::Backpressure);
    let mut behind = builder.since(1).events(1).unwrap();
    block_on(bus.emit_async(4, ["b"])).unwrap();
    let values: Vec<_> = (0..4).map(|_| behind.try_recv().unwrap().value()).collect();
    assert_eq!(values, [1, 2, 3, 4]);

    let bus = RangeWatchBus::new();
    let builder = bus.subscribe("a".."m").overflow(Overflow::Backpressure);
    let mut small = builder.queue_bytes(20).events(9).unwrap();
    block_on(bus.emit_async(1, ["b".repeat(30)])).unwrap();
    assert!(matches!(small.try_recv(), Err(TryRecvError::Coalesced(gap)) if gap.count() == 1));
    // The bytes count, too.
    block_on(bus.emit_async(2, ["b"])).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(bus.emit_async(3, ["b"])).poll(&mut cx).is_pending());
}

#[test]
fn g21_a_full_subscriber_is_not_waited_for_with_what_is_not_for_it() {
    let bus = RangeWatchBus::new();
    let mut sub = subscribe(&bus, "a".."m", 1);
    sub.start_after(10).unwrap();
    block_on(bus.emit_async(11, ["b"])).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        emitting(&bus, 12, &["b"])
            .as_mut()
            .poll(&mut cx)
            .is_pending()
    );
    for (value, keys) in [(10, ["b"]), (12, ["z"])] {
        match emitting(&bus, value, &keys).as_mut().poll(&mut cx) {
            Poll::Ready(Ok(emitted)) => assert_eq!(emitted.matched(), 0),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sub.try_recv().unwrap().value(), 11);
}

#[test]
fn g21_the_value_is_checked_again_after_the_wait() {
    let history = History::events(100);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let mut sub = subscribe(&bus, "a".."m", 1);
    block_on(bus.emit_async(1, ["b"])).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut emit = emitting(&bus, 2, &["b"]);
    assert!(emit.as_mut().poll(&mut cx).is_pending());
    bus.emit(5, ["z"]).unwrap();
    sub.try_recv().unwrap();
    let refused = EmitError::NotIncreasing { value: 2, head: 5 };
    assert_eq!(emit.as_mut().poll(&mut cx), Poll::Ready(Err(refused)));
    assert_eq!(
        block_on(bus.emit_async(u64::MAX, ["z"])),
        Err(EmitError::LastValue)
    );
}

#[test]
fn g21_a_slow_consumer_slows_its_emitters_and_loses_nothing() {
    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let mut sub = subscribe(&bus, "a".."m", 2);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for value in 0..300 {
                        block_on(bus.emit_async(value, ["b"])).unwrap();
                    }
                });
            }
            for expected in 1..=900 {
                assert_eq!(block_on(sub.recv()).unwrap().seq().get(), expected);
            }
        });
        assert_eq!((sub.stats().delivered(), sub.lag()), (900, 0));
    });
}
