//! Handles of a bus: emitters and weak handles, what keeps it open, the reason of its close, and
//! the bound of its subscriptions.

use std::thread;

use futures::StreamExt;
use futures::executor::block_on;
use rangewatch_bus::{
    Closed, EmitError, Emitter, History, Overflow, RangeWatchBus, SubscribeError, TryRecvError,
    TryWakeError, WakeSubscription, WatchSet, WeakRangeWatchBus,
};

fn bus() -> RangeWatchBus {
    let history = History::events(100);
    RangeWatchBus::builder().history(history).build().unwrap()
}

#[test]
fn g27_a_weak_handle_does_not_keep_the_bus_open() {
    let bus = bus();
    let mut sub = bus.subscribe(..).events(1).unwrap();
    let weak = bus.downgrade();
    let other = weak.clone();
    let upgraded = weak.upgrade().unwrap();
    drop(bus);
    upgraded.emit(1, ["k"]).unwrap();
    assert_eq!(sub.try_recv().unwrap().value(), 1);
    assert_eq!(other.upgrade().unwrap().head(), Some(1));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    drop(upgraded);
    assert_eq!(sub.try_recv(), Err(TryRecvError::Closed));
    assert!(weak.upgrade().is_none() && other.upgrade().is_none());
}

#[test]
fn a_weak_handle_of_a_closed_bus_returns_it_as_long_as_it_has_handles() {
    let bus = bus();
    let weak = bus.downgrade();
    bus.close();
    assert!(weak.upgrade().unwrap().is_closed());
    let emitter = bus.emitter();
    drop(bus);
    assert!(weak.upgrade().is_some());
    drop(emitter);
    assert!(weak.upgrade().is_none());
}

#[test]
fn g27_emitters_and_their_batches_keep_the_bus_open() {
    let bus = bus();
    let mut sub = bus.subscribe(..).events(1).unwrap();
    let emitter = bus.emitter();
    let clone = emitter.clone();
    drop((bus, emitter));
    clone.emit(1, ["k"]).unwrap();
    assert_eq!(sub.try_recv().unwrap().value(), 1);
    let mut batch = clone.batch(1_000);
    drop(clone);
    batch.stage(2, ["k"]).unwrap();
    batch.commit().unwrap();
    assert_eq!(sub.try_recv().unwrap().value(), 2);
    drop(batch);
    assert_eq!(sub.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn g04_an_emitter_emits_as_the_bus_does() {
    let bus = bus();
    let mut sub = bus.subscribe(..).events(100).unwrap();
    let emitter: Emitter = bus.emitter();
    emitter.emit(1, ["a", "b"]).unwrap();
    emitter.emit_slices(2, &[b"c"]).unwrap();
    assert_eq!(emitter.emit_next(["d"]).unwrap().value(), 3);
    block_on(emitter.emit_async(4, ["e"])).unwrap();
    block_on(emitter.emit_next_async(["f"])).unwrap();
    let many = emitter.emit_many([(6, ["g"]), (7, ["h"])]).unwrap();
    assert_eq!((many.n_emits(), emitter.head()), (2, Some(7)));
    let mut received = Vec::new();
    assert_eq!(block_on(sub.recv_many(&mut received, 100)), Ok(7));
    let keys: Vec<_> = received.iter().flat_map(|event| event.keys()).collect();
    assert_eq!(keys.concat(), b"abcdefgh");
    assert!(!emitter.is_closed());
    bus.close();
    assert!(emitter.is_closed());
    assert_eq!(emitter.emit(8, ["k"]), Err(EmitError::Closed));
}

#[test]
fn g40_an_emitter_emits_payloads_as_the_bus_does() {
    let builder = RangeWatchBus::builder().payloads::<u32>();
    let bus = builder.history(History::events(100)).build().unwrap();
    let mut sub = bus.subscribe(..).events(100).unwrap();
    let emitter = bus.emitter();
    emitter.emit_with(1, [("k", 10)]).unwrap();
    emitter.emit_next_with([("k", 20)]).unwrap();
    block_on(emitter.emit_with_async(3, [("k", 30)])).unwrap();
    block_on(emitter.emit_next_with_async([("k", 40)])).unwrap();
    emitter.emit_many_with([(5, [("k", 50)])]).unwrap();
    let mut batch = emitter.batch(1_000);
    batch.stage_with(6, [("k", 60)]).unwrap();
    batch.commit().unwrap();
    for value in 1..=6 {
        let event = sub.try_recv().unwrap();
        let payloads: Vec<_> = event.entries().map(|(_, payload)| *payload).collect();
        assert_eq!((event.value(), payloads), (value, vec![10 * value as u32]));
    }
}

#[test]
fn g27_consumers_of_both_kinds_read_why_the_bus_was_closed() {
    for at_once in [false, true] {
        let bus = bus();
        let mut events = bus.subscribe(..).events(1).unwrap();
        let mut wake = bus.subscribe(..).wake().unwrap();
        bus.emit(1, ["k"]).unwrap();
        assert_eq!((bus.close_reason(), events.close_reason()), (None, None));
        assert_eq!(wake.close_reason(), None);
        if at_once {
            bus.close_now_with("leader lost");
        } else {
            bus.close_with(String::from("leader lost"));
        }
        // As soon as it is closed, also with something left to receive.
        assert_eq!(events.close_reason().as_deref(), Some("leader lost"));
        assert_eq!(wake.close_reason().as_deref(), Some("leader lost"));
        if !at_once {
            assert_eq!(events.try_recv().unwrap().value(), 1);
            assert_eq!(wake.try_recv().unwrap().last(), 1);
        }
        assert_eq!(events.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(wake.try_recv(), Err(TryWakeError::Closed));
        drop(bus);
        assert_eq!(events.close_reason().as_deref(), Some("leader lost"));
    }
}

#[test]
fn g27_the_reason_is_that_of_the_call_that_closed_the_bus() {
    let with_reason = bus();
    let mut sub = with_reason.subscribe(..).events(1).unwrap();
    with_reason.emit(1, ["k"]).unwrap();
    with_reason.close_with("shutting down");
    with_reason.close_with("leader lost");
    with_reason.close_now_with("out of time");
    let reason = with_reason.close_reason();
    assert_eq!(reason.as_deref(), Some("shutting down"));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Closed));
    assert!(format!("{with_reason:?}").contains("shutting down"));

    let without = bus();
    without.close();
    without.close_with("too late");
    assert_eq!(without.close_reason(), None);

    let dropped = bus();
    let sub = dropped.subscribe(..).wake().unwrap();
    drop(dropped);
    assert_eq!(sub.close_reason(), None);
}

#[test]
fn g27_a_member_of_a_watch_set_and_an_owned_stream_have_the_reason() {
    let bus = bus();
    let watches = WatchSet::new();
    watches.insert(7, bus.subscribe(..).wake().unwrap());
    let mut items = bus.subscribe(..).events(1).unwrap().into_items();
    bus.close_with("shutting down");
    assert_eq!(watches.try_recv(), Some((7, Err(Closed))));
    let reason = watches.with(&7, |watch| watch.close_reason());
    assert_eq!(reason.flatten().as_deref(), Some("shutting down"));
    assert_eq!(block_on(items.next()), None);
    assert_eq!(items.get_ref().close_reason(), bus.close_reason());
}

#[test]
fn subscriptions_are_bounded_in_every_state() {
    let builder = RangeWatchBus::builder().max_subscriptions(5);
    let bus = builder.history(History::events(100)).build().unwrap();
    let reserved = bus.reserve().wake().unwrap();
    let held = bus.subscribe(..).hold().events(1).unwrap();
    let wake = bus.subscribe(..).wake().unwrap();
    let disconnect = bus.subscribe(..).overflow(Overflow::Disconnect);
    let mut ended = disconnect.events(1).unwrap();
    let parked = bus.subscribe(..).events(1).unwrap();
    for value in 1..=50 {
        bus.emit(value, ["k"]).unwrap();
    }
    assert!(ended.try_recv().is_ok() && ended.try_recv().is_err());
    let subs: [Box<dyn Send>; 5] = [
        Box::new(reserved),
        Box::new(held),
        Box::new(wake),
        Box::new(ended),
        Box::new(parked),
    ];
    let refused = SubscribeError::TooManySubscriptions { max: 5 };
    let mut later = Vec::new();
    for sub in subs {
        for since in [None, Some(1)] {
            let builder = || bus.subscribe(..).since(since);
            assert_eq!(builder().wake().unwrap_err(), refused);
            assert_eq!(builder().events(1).unwrap_err(), refused);
        }
        assert_eq!(bus.reserve().wake().unwrap_err(), refused);
        assert_eq!(bus.reserve().events(1).unwrap_err(), refused);
        assert_eq!(bus.n_subscriptions(), 5);
        drop(sub);
        // It reads the history in pieces, and has its place from the first one on.
        later.push(bus.subscribe(..).since(1).wake().unwrap());
    }
    bus.close();
    assert_eq!(bus.reserve().wake().unwrap_err(), SubscribeError::Closed);
}

#[test]
fn concurrent_subscribers_do_not_exceed_the_bound() {
    let builder = RangeWatchBus::builder().max_subscriptions(5);
    let bus = builder.build().unwrap();
    let subscribe = || -> Vec<WakeSubscription> {
        let builders = (0..3).map(|_| bus.subscribe(..));
        builders.filter_map(|builder| builder.wake().ok()).collect()
    };
    for _ in 0..50 {
        let subs: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(subscribe)).collect();
            let subs = threads.into_iter().map(|thread| thread.join().unwrap());
            subs.flatten().collect()
        });
        assert_eq!((subs.len(), bus.n_subscriptions()), (5, 5));
    }
}

#[test]
fn a_handle_shows_the_name_of_its_bus() {
    let bus = RangeWatchBus::builder().name("orders").build().unwrap();
    let weak: WeakRangeWatchBus = bus.downgrade();
    assert!(format!("{bus:?}").contains("orders"));
    assert!(format!("{:?}", bus.emitter()).contains("orders"));
    assert_eq!(weak.upgrade().unwrap().name(), Some("orders"));
    assert_eq!(RangeWatchBus::new().name(), None);
}
