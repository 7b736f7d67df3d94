//! The ends of subscriptions and buses, and errors of misuse.

mod deadline;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use futures::StreamExt;
use futures::executor::block_on;
use rangewatch_bus::{
    Closed, EmitError, History, Overflow, RangeWatchBus, RecvError, Selector, Selectors,
    SubscribeError, TryRecvError, TryWakeError,
};

struct Nothing;

impl Wake for Nothing {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn g23_a_cancelled_subscription_gets_no_delivery_and_drops_its_waker() {
    let bus = RangeWatchBus::new();
    let mut wake = bus.subscribe(..).wake().unwrap();
    let mut events = bus.subscribe(..).events(1).unwrap();
    let nothing = Arc::new(Nothing);
    let waker = Waker::from(Arc::clone(&nothing));
    let mut cx = Context::from_waker(&waker);
    assert!(wake.poll_recv(&mut cx).is_pending() && events.poll_recv(&mut cx).is_pending());
    assert_eq!((bus.n_subscriptions(), Arc::strong_count(&nothing)), (2, 4));

    wake.cancel();
    assert_eq!((bus.n_subscriptions(), Arc::strong_count(&nothing)), (1, 3));
    assert_eq!(bus.emit(1, ["k"]).unwrap().matched(), 1);
    events.cancel();
    assert_eq!((bus.n_subscriptions(), Arc::strong_count(&nothing)), (0, 2));
    assert_eq!(bus.emit(2, ["k"]).unwrap().matched(), 0);
}

#[test]
fn g23_a_place_that_is_taken_again_brings_nothing_of_the_subscription_before() {
    let bus = RangeWatchBus::new();
    let first = bus.subscribe("a".."m").wake().unwrap();
    bus.emit(1, ["b"]).unwrap();
    drop(first);
    let mut second = bus.subscribe("m".."z").wake().unwrap();
    assert_eq!(bus.emit(2, ["b"]).unwrap().matched(), 0);
    assert_eq!(second.try_recv(), Err(TryWakeError::Empty));
    assert_eq!(bus.emit(3, ["n"]).unwrap().matched(), 1);
    assert_eq!(second.try_recv().unwrap().count(), 1);
}

#[test]
fn g23_subscriptions_may_be_dropped_after_the_close_and_after_the_bus() {
    let bus = RangeWatchBus::new();
    let before = bus.subscribe(..).wake().unwrap();
    let after = bus.subscribe(..).wake().unwrap();
    bus.close();
    drop(before);
    assert_eq!(bus.n_subscriptions(), 1);
    drop(bus);
    assert_eq!(after.selectors().as_slice(), [Selector::all()]);
    drop(after);
}

#[test]
fn g26_misuse_is_an_error_value_that_says_what_to_do() {
    let bus = RangeWatchBus::new();
    let error = bus.subscribe("m".."a").wake().unwrap_err();
    assert_eq!(
        error,
        SubscribeError::EmptyRange {
            from: (*b"m").into(),
            to: (*b"a").into()
        }
    );
    assert!(
        error
            .to_string()
            .contains("the range [m, a) holds no key: give an end above the start"),
        "{error}"
    );
    assert!(matches!(
        bus.subscribe("a".."a").events(1),
        Err(SubscribeError::EmptyRange { .. })
    ));
    let among_others = [Selector::all(), Selector::range("b", "b")];
    assert!(matches!(
        bus.subscribe(among_others).wake(),
        Err(SubscribeError::EmptyRange { .. })
    ));
    assert!(matches!(
        bus.subscribe(.."").wake(),
        Err(SubscribeError::EmptyRange { .. })
    ));

    let error = bus.subscribe(..).events(0).unwrap_err();
    assert_eq!(error, SubscribeError::ZeroCapacity);
    assert!(error.to_string().contains("more than 0"), "{error}");
    assert_eq!(bus.n_subscriptions(), 0);

    bus.close();
    bus.close();
    assert_eq!(
        bus.subscribe(..).wake().unwrap_err(),
        SubscribeError::Closed
    );
    assert_eq!(
        bus.subscribe(..).events(1).unwrap_err(),
        SubscribeError::Closed
    );
    assert_eq!(bus.emit(1, ["k"]).unwrap_err(), EmitError::Closed);
    assert_eq!(bus.n_subscriptions(), 0);
}

#[test]
fn g27_closing_drains_what_is_buffered_then_ends() {
    let bus = RangeWatchBus::new();
    let mut wake = bus.subscribe(..).wake().unwrap();
    let mut events = bus.subscribe(..).events(2).unwrap();
    (1..=3).for_each(|value| {
        bus.emit(value, ["k"]).unwrap();
    });
    assert!(!bus.is_closed());
    bus.close();
    assert!(bus.is_closed());
    assert_eq!(bus.emit(4, ["k"]), Err(EmitError::Closed));

    assert_eq!(block_on(wake.recv()).unwrap().count(), 3);
    assert_eq!(block_on(wake.recv()), Err(Closed));
    assert_eq!(wake.try_recv(), Err(TryWakeError::Closed));

    assert_eq!(block_on(events.recv()), Err(RecvError::Lagged(1)));
    assert_eq!(block_on(events.recv()).unwrap().value(), 2);
    assert_eq!(events.try_recv().unwrap().value(), 3);
    assert_eq!(events.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(block_on(events.recv()), Err(RecvError::Closed));
    assert_eq!(
        block_on(events.recv()),
        Err(RecvError::Closed),
        "and so on every receive"
    );
}

#[test]
fn g27_closing_ends_the_streams() {
    let bus = RangeWatchBus::new();
    let wake = bus.subscribe(..).wake().unwrap();
    let events = bus.subscribe(..).events(2).unwrap();
    (1..=3).for_each(|value| {
        bus.emit(value, ["k"]).unwrap();
    });
    bus.close();
    assert_eq!(
        block_on(wake.map(|span| span.count()).collect::<Vec<_>>()),
        [3]
    );
    let items: Vec<_> = block_on(events.map(|item| item.map(|event| event.value())).collect());
    assert_eq!(items, [Err(RecvError::Lagged(1)), Ok(2), Ok(3)]);
}

#[test]
fn g27_closing_wakes_waiting_consumers_also_without_selectors() {
    deadline::ends(|| {
        for close in [|bus: RangeWatchBus| bus.close(), drop] {
            let bus = RangeWatchBus::new();
            let mut wake = bus.subscribe(Selectors::new()).wake().unwrap();
            let mut events = bus.subscribe(..).events(1).unwrap();
            std::thread::scope(|scope| {
                let wake = scope.spawn(|| block_on(wake.recv()));
                let events = scope.spawn(|| block_on(events.recv()));
                close(bus);
                assert_eq!(wake.join().unwrap(), Err(Closed));
                assert_eq!(events.join().unwrap(), Err(RecvError::Closed));
            });
        }
    });
}

#[test]
fn g27_the_bus_closes_with_its_last_handle_and_not_before() {
    deadline::ends(|| {
        let bus = RangeWatchBus::default();
        let clone = bus.clone();
        let mut sub = bus.subscribe(..).wake().unwrap();
        drop(bus);
        clone.emit(1, ["k"]).unwrap();
        let waker = Waker::from(Arc::new(Nothing));
        let mut cx = Context::from_waker(&waker);
        assert!(pin!(sub.recv()).poll(&mut cx).is_ready());
        assert!(pin!(sub.recv()).poll(&mut cx).is_pending());
        drop(clone);
        assert_eq!(block_on(sub.recv()), Err(Closed));
    });
}

#[test]
fn g25_what_is_emitted_between_open_and_start_arrives_after_start() {
    let bus = RangeWatchBus::new();
    let mut wake = bus.reserve().wake().unwrap();
    let mut events = bus.reserve().events(10).unwrap();
    let emit = |value| {
        bus.emit(value, ["k"]).unwrap();
    };
    emit(1400);
    let first = wake.open("a".."z").unwrap();
    assert_eq!(events.open("a".."z"), Ok(first));
    let waker = Waker::from(Arc::new(Nothing));
    let mut cx = Context::from_waker(&waker);
    [1500, 1600, 1700, 1800].into_iter().for_each(emit);
    assert!(wake.poll_recv(&mut cx).is_pending() && events.poll_recv(&mut cx).is_pending());
    assert_eq!(wake.try_recv(), Err(TryWakeError::NotStarted));
    wake.start().unwrap();
    events.start().unwrap();
    wake.start().unwrap();
    let span = wake.try_recv().unwrap();
    assert_eq!((span.first(), span.last(), span.count()), (1500, 1800, 4));
    assert_eq!(span.first_seq(), first);
    let values: Vec<_> = (0..4).map(|_| events.try_recv().unwrap().value()).collect();
    assert_eq!(values, [1500, 1600, 1700, 1800]);
}

#[test]
fn g25_an_emit_does_not_wake_a_consumer_that_is_held() {
    let bus = RangeWatchBus::new();
    let mut held = bus.subscribe(..).hold().wake().unwrap();
    let mut paused = bus.subscribe(..).events(1).unwrap();
    let waker = Waker::from(Arc::new(Nothing));
    let mut cx = Context::from_waker(&waker);
    assert!(held.poll_recv(&mut cx).is_pending());
    assert!(paused.poll_recv(&mut cx).is_pending());
    paused.pause().unwrap();
    let emitted = bus.emit(1, ["k"]).unwrap();
    assert_eq!((emitted.matched(), emitted.woken()), (2, 0));
    paused.start().unwrap();
    assert_eq!(paused.try_recv().unwrap().value(), 1);
    assert!(paused.poll_recv(&mut cx).is_pending());
    assert_eq!(bus.emit(2, ["k"]).unwrap().woken(), 1);
}

#[test]
fn g27_the_close_ends_a_hold_and_a_pause() {
    for at_once in [false, true] {
        let bus = RangeWatchBus::new();
        let mut held = bus.subscribe(..).hold().wake().unwrap();
        let mut paused = bus.subscribe(..).events(4).unwrap();
        let mut reserved = bus.reserve().wake().unwrap();
        paused.pause().unwrap();
        bus.emit(1, ["k"]).unwrap();
        let close = if at_once {
            RangeWatchBus::close_now
        } else {
            RangeWatchBus::close
        };
        close(&bus);
        if !at_once {
            assert_eq!(block_on(held.recv()).unwrap().count(), 1);
            assert_eq!(block_on(paused.recv()).unwrap().value(), 1);
        }
        assert_eq!(block_on(held.recv()), Err(Closed));
        assert_eq!(block_on(paused.recv()), Err(RecvError::Closed));
        assert_eq!(block_on(reserved.recv()), Err(Closed));
    }
}

#[test]
fn g27_closing_at_once_wakes_and_discards_also_what_is_in_the_history() {
    deadline::ends(|| {
        let history = History::events(100);
        let bus = RangeWatchBus::builder().history(history).build().unwrap();
        let mut parked = bus.subscribe(..).events(1).unwrap();
        let mut waiting = bus.subscribe("x"..).events(1).unwrap();
        for value in 1..=5 {
            bus.emit(value, ["k"]).unwrap();
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| block_on(waiting.recv()));
            bus.close_now();
            assert_eq!(waiting.join().unwrap(), Err(RecvError::Closed));
        });
        assert_eq!((parked.lag(), bus.stats().n_parked()), (0, 0));
        assert_eq!(parked.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(parked.stats().discarded(), 5);
        bus.close();
        assert_eq!(parked.try_recv(), Err(TryRecvError::Closed));
    });
}

#[test]
fn g27_a_stream_ends_after_the_error_that_is_its_end() {
    let bus = RangeWatchBus::new();
    let builder = bus.subscribe(..).overflow(Overflow::Disconnect);
    let mut events = builder.events(1).unwrap();
    for value in 1..=3 {
        bus.emit(value, ["k"]).unwrap();
    }
    let mut next = || block_on(events.next()).map(|item| item.map(|event| event.value()));
    assert_eq!(next(), Some(Ok(1)));
    assert_eq!(next(), Some(Err(RecvError::Disconnected { resume: 2 })));
    assert_eq!((next(), next()), (None, None));
}

#[test]
fn g23_a_subscription_that_is_dropped_in_any_state_drops_its_waker() {
    let history = History::events(100);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let nothing = Arc::new(Nothing);
    let waker = Waker::from(Arc::clone(&nothing));
    let mut cx = Context::from_waker(&waker);
    let n_before = Arc::strong_count(&nothing);
    let mut reserved = bus.reserve().events(1).unwrap();
    let mut held = bus.subscribe(..).hold().events(1).unwrap();
    let mut live = bus.subscribe(..).events(1).unwrap();
    for sub in [&mut reserved, &mut held, &mut live] {
        assert!(sub.poll_recv(&mut cx).is_pending());
    }
    // Parks the one that is held.
    bus.emit(1, ["k"]).unwrap();
    bus.emit(2, ["k"]).unwrap();
    assert_eq!(bus.stats().n_parked(), 2);
    drop((reserved, held, live));
    assert_eq!(Arc::strong_count(&nothing), n_before);
    assert_eq!((bus.n_subscriptions(), bus.stats().n_parked()), (0, 0));
    assert_eq!(bus.emit(3, ["k"]).unwrap().matched(), 0);
}

#[test]
fn g27_closing_at_once_may_meet_a_receive_that_reads_the_history() {
    deadline::ends(|| {
        let keys: Vec<_> = (0..20).map(|i| format!("{i}")).collect();
        for round in 0..15 {
            let history = History::events(1_000);
            let bus = RangeWatchBus::builder().history(history).build().unwrap();
            let mut sub = bus.subscribe(Selector::key("19")).events(1).unwrap();
            for value in 1..=500 {
                bus.emit(value, &keys).unwrap();
            }
            std::thread::scope(|scope| {
                let consumer = scope.spawn(|| {
                    let mut n_received = 0;
                    while block_on(sub.recv()).is_ok() {
                        n_received += 1;
                    }
                    n_received
                });
                while bus.stats().deliveries().delivered() < 20 * round {
                    std::thread::yield_now();
                }
                bus.close_now();
                let n_received = consumer.join().unwrap();
                let stats = bus.stats();
                let (matched, delivered) =
                    (stats.deliveries().matched(), stats.deliveries().delivered());
                assert!(stats.deliveries().is_conserved(), "{stats:?}");
                assert_eq!((matched, delivered), (500, n_received));
                assert_eq!(stats.deliveries().discarded(), 500 - n_received);
            });
        }
    });
}
