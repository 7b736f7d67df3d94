//! A bus with history: values that rise, beginning in the past and in the future, and the floor.

mod deadline;

use std::thread;

use futures::executor::block_on;
use rangewatch_bus::{
    CompactError, EmitError, EventSubscription, History, Overflow, RangeWatchBus, RecvError,
    SubscribeBuilder, SubscribeError, TryRecvError, TryWakeError,
};

fn bus_of(history: History) -> RangeWatchBus {
    RangeWatchBus::builder().history(history).build().unwrap()
}

/// A bus that keeps `n_events` and has emitted the key "k" with the values up to `last`.
fn emitted(n_events: usize, last: u64) -> RangeWatchBus {
    let bus = bus_of(History::events(n_events));
    for value in 1..=last {
        bus.emit(value, ["k"]).unwrap();
    }
    bus
}

fn since(bus: &RangeWatchBus, value: u64) -> Result<EventSubscription, SubscribeError> {
    bus.subscribe(..).since(value).events(3)
}

/// The values of what can be received now.
fn values(sub: &mut EventSubscription) -> Vec<u64> {
    std::iter::from_fn(|| sub.try_recv().ok())
        .map(|event| event.value())
        .collect()
}

#[test]
fn g01_with_history_values_rise_strictly_and_the_error_names_the_head() {
    let bus = emitted(10, 5);
    for value in [0, 4, 5] {
        assert_eq!(
            bus.emit(value, ["k"]),
            Err(EmitError::NotIncreasing { value, head: 5 })
        );
    }
    let error = bus.emit(u64::MAX, ["k"]).unwrap_err();
    assert_eq!(error, EmitError::LastValue);
    assert_eq!(
        bus.last_seq().unwrap().get(),
        5,
        "a refused emit takes no place"
    );
    assert_eq!(bus.emit(u64::MAX - 1, ["k"]).unwrap().value(), u64::MAX - 1);
    assert_eq!(bus.emit_next(["k"]), Err(EmitError::LastValue));
    assert_eq!(bus.floor(), Some(0), "nothing has left the history");
}

#[test]
fn g01_concurrent_emitters_get_values_that_rise_with_their_seq() {
    deadline::ends(|| {
        let bus = bus_of(History::events(10));
        let mut emitted: Vec<_> = thread::scope(|scope| {
            let emitters: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| -> Vec<_> {
                        (0..500).map(|_| bus.emit_next(["k"]).unwrap()).collect()
                    })
                })
                .collect();
            let emitted = emitters.into_iter().flat_map(|it| it.join().unwrap());
            emitted.collect()
        });
        emitted.sort_by_key(|emitted| emitted.seq());
        assert!(emitted.iter().map(|it| it.value()).eq(1..=1500));
    });
}

#[test]
fn g02_the_seam_between_history_and_live_has_no_gap_and_no_repeat() {
    deadline::ends(|| {
        const N_EMITS: u64 = 5_000;
        let bus = bus_of(History::events(100_000));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Each begins at another point of what is being emitted.
                    for begin in [0, 1, 500, 2_500] {
                        let mut sub = since(&bus, begin).unwrap();
                        for value in begin.max(1)..begin + 600 {
                            assert_eq!(block_on(sub.recv()).unwrap().value(), value);
                        }
                    }
                });
            }
            for _ in 0..N_EMITS {
                bus.emit_next(["k"]).unwrap();
            }
        });
    });
}

#[test]
fn g05_a_long_history_is_read_in_pieces_and_each_matches_once() {
    let bus = bus_of(History::events(10_000));
    for value in 1..=3_000_u64 {
        // Runs that match are longer, and runs that do not are longer, than what is read at once.
        let key = if value / 700 % 2 == 0 { "a" } else { "z" };
        bus.emit(value, [key]).unwrap();
    }
    let expected: Vec<_> = (1..=3_000).filter(|value| value / 700 % 2 == 0).collect();
    for capacity in [1, 3, 10_000] {
        let mut sub = bus.subscribe(.."m").since(0).events(capacity).unwrap();
        assert_eq!(values(&mut sub), expected);
        assert_eq!((sub.lag(), bus.stats().n_parked()), (0, 0));
        // Polled, too, although nothing matches for long.
        let mut sub = bus.subscribe(.."m").since(0).events(capacity).unwrap();
        for value in &expected {
            assert_eq!(block_on(sub.recv()).unwrap().value(), *value);
        }
    }
    let mut wake = bus.subscribe(.."m").since(0).wake().unwrap();
    let span = wake.try_recv().unwrap();
    let last = *expected.last().unwrap();
    assert_eq!((span.first(), span.last()), (1, last));
    assert_eq!(
        (span.count(), span.is_conservative()),
        (expected.len() as u64, false)
    );
}

#[test]
fn g05_emits_of_very_many_keys_are_read_from_the_history() {
    let bus = bus_of(History::events(100));
    for value in 1..=40_u64 {
        bus.emit(value, (0..600).map(|i| format!("{i}"))).unwrap();
    }
    let mut sub = bus.subscribe(..).since(1).events(2).unwrap();
    assert_eq!(values(&mut sub), (1..=40).collect::<Vec<_>>());
    assert_eq!(bus.stats().n_parked(), 0);
    let mut wake = bus.subscribe("599"..).since(1).wake().unwrap();
    assert_eq!(wake.try_recv().unwrap().count(), 40);
}

#[test]
fn g06_a_start_in_the_future_delivers_nothing_below_it() {
    let bus = emitted(10, 5);
    let mut events = bus.subscribe(..).since(8).events(3).unwrap();
    let mut wake = bus.subscribe(..).since(8).wake().unwrap();
    assert_eq!(events.request_progress().unwrap(), None);
    for value in [6, 7] {
        assert_eq!(bus.emit(value, ["k"]).unwrap().matched(), 0);
    }
    assert_eq!(events.request_progress().unwrap(), None);
    assert_eq!(events.try_recv_item(), Err(TryRecvError::Empty));
    assert_eq!((events.position(), wake.position()), (Some(7), Some(7)));
    assert_eq!(bus.emit(8, ["k"]).unwrap().matched(), 2);
    assert_eq!(events.request_progress().unwrap(), Some(8));
    assert_eq!(events.try_recv().unwrap().value(), 8);
    assert_eq!(wake.try_recv().unwrap().first(), 8);

    // As far in the future as it goes.
    let mut never = since(&bus, u64::MAX).unwrap();
    bus.emit(u64::MAX - 1, ["k"]).unwrap();
    assert_eq!(never.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn g08_a_start_after_a_value_begins_with_the_next_one() {
    let bus = emitted(3, 10);
    for (after, expected) in [(7, vec![8, 9, 10]), (9, vec![10]), (10, vec![])] {
        let mut sub = bus.subscribe(..).since_after(after).events(3).unwrap();
        assert_eq!(sub.position(), Some(after));
        assert_eq!(values(&mut sub), expected);
        let mut wake = bus.subscribe(..).since_after(after).wake().unwrap();
        let first = wake.try_recv().ok().map(|span| span.first());
        assert_eq!(first, expected.first().copied());
    }
    let refused = bus.subscribe(..).since_after(6).events(3).unwrap_err();
    assert_eq!(refused, SubscribeError::Compacted { floor: 8, epoch: 0 });
}

#[test]
fn the_last_call_of_since_and_since_after_counts_and_none_is_no_call() {
    let bus = emitted(10, 5);
    let received = |builder: SubscribeBuilder<'_>| values(&mut builder.events(10).unwrap());
    let all = || bus.subscribe(..);
    assert_eq!(received(all().since(2).since_after(3)), [4, 5]);
    assert_eq!(received(all().since_after(3).since(2)), [2, 3, 4, 5]);
    assert_eq!(received(all().since(Some(5))), [5]);
    assert_eq!(received(all().since_after(Some(4))), [5]);
    for live in [
        all().since(None),
        all().since(2).since_after(None),
        all().since_after(2).since(None),
    ] {
        assert_eq!(received(live), []);
    }
    assert!(bus.reserve().since(7).since_after(None).wake().is_ok());
}

#[test]
fn g06_after_the_greatest_value_nothing_follows() {
    for bus in [emitted(10, 5), RangeWatchBus::new()] {
        let has_history = bus.floor().is_some();
        let last = u64::MAX - u64::from(has_history);
        for n_emitted in 0..2 {
            let mut wake = bus.subscribe(..).since_after(u64::MAX).wake().unwrap();
            assert_eq!(wake.position(), Some(u64::MAX));
            let mut events = bus.subscribe(..).since_after(u64::MAX).events(3);
            if n_emitted == 0 || !has_history {
                // Those that began earlier are dropped, so that it matches nothing.
                assert_eq!(bus.emit(last, ["k"]).unwrap().matched(), 0);
            }
            assert_eq!(wake.try_recv(), Err(TryWakeError::Empty));
            match &mut events {
                Ok(events) => {
                    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
                    assert_eq!(events.request_progress(), Ok(None));
                    assert_eq!((events.lag(), events.position()), (0, Some(u64::MAX)));
                }
                Err(error) => {
                    assert_eq!((&*error, has_history), (&SubscribeError::NoHistory, false))
                }
            }
        }
        let mut wake = bus.subscribe(..).since_after(u64::MAX).wake().unwrap();
        bus.close();
        assert_eq!(wake.try_recv(), Err(TryWakeError::Closed));
    }
}

#[test]
fn g07_a_start_below_the_floor_is_refused_with_the_floor() {
    let bus = emitted(3, 10);
    assert_eq!(bus.floor(), Some(8));
    for value in [0, 7] {
        let refused = SubscribeError::Compacted { floor: 8, epoch: 0 };
        assert_eq!(since(&bus, value).unwrap_err(), refused);
        assert_eq!(bus.subscribe(..).since(value).wake().unwrap_err(), refused);
    }
    assert_eq!(bus.n_subscriptions(), 0);
}

#[test]
fn g07_a_parked_subscription_below_the_floor_ends_with_compacted() {
    let bus = bus_of(History::events(3));
    let mut sub = bus.subscribe(..).events(2).unwrap();
    for value in 1..=10 {
        bus.emit(value, ["k"]).unwrap();
    }
    assert_eq!(values(&mut sub), [1, 2]);
    for _ in 0..2 {
        assert_eq!(
            block_on(sub.recv()),
            Err(RecvError::Compacted { floor: 8, epoch: 0 })
        );
    }
    assert_eq!(sub.request_progress().unwrap(), None);
    assert_eq!(bus.emit(11, ["k"]).unwrap().matched(), 0, "it has ended");
    let stats = sub.stats();
    assert_eq!(
        (stats.matched(), stats.delivered(), stats.dropped()),
        (10, 2, 8)
    );
    assert_eq!(bus.stats().n_parked(), 0);
}

#[test]
fn g07_what_does_not_match_may_leave_the_history_before_a_parked_subscription() {
    let bus = bus_of(History::events(100));
    let mut sub = bus.subscribe(.."m").events(1).unwrap();
    for value in 1..=9 {
        bus.emit(value, [if value % 3 == 0 { "a" } else { "z" }])
            .unwrap();
    }
    assert_eq!(sub.try_recv().unwrap().value(), 3);
    // Read with 6 for the consumer and no place for 9.
    bus.emit(10, ["a"]).unwrap();
    assert_eq!(sub.try_recv().unwrap().value(), 6);
    bus.compact(9).unwrap();
    assert_eq!(values(&mut sub), [9, 10]);
}

#[test]
fn g07_a_start_after_a_snapshot_needs_nothing_of_before_it() {
    let bus = bus_of(History::events(3));
    let mut sub = bus.subscribe(..).hold().events(2).unwrap();
    for value in 1..=10 {
        bus.emit(value, ["k"]).unwrap();
    }
    // The queue holds 1 and 2, and the history has lost 3 to 7: the snapshot has them all.
    sub.start_after(8).unwrap();
    assert_eq!(values(&mut sub), [9, 10]);
    let stats = sub.stats();
    assert_eq!(
        (stats.matched(), stats.delivered(), stats.discarded()),
        (10, 2, 8)
    );
    assert!(stats.is_conserved());

    let mut sub = bus.subscribe(..).hold().events(2).unwrap();
    for value in 11..=20 {
        bus.emit(value, ["k"]).unwrap();
    }
    sub.start_after(16).unwrap();
    assert_eq!(
        sub.try_recv(),
        Err(TryRecvError::Compacted {
            floor: 18,
            epoch: 0
        })
    );
}

#[test]
fn g08_a_start_at_the_floor_delivers_its_value() {
    let bus = emitted(3, 10);
    assert_eq!(values(&mut since(&bus, 8).unwrap()), [8, 9, 10]);
    assert_eq!(bus.compact(10), Ok(10));
    assert_eq!(values(&mut since(&bus, 10).unwrap()), [10]);
    assert_eq!(bus.compact(11), Ok(11));
    assert_eq!(values(&mut since(&bus, 11).unwrap()), [0; 0]);
    assert!(since(&bus, 10).is_err());
}

#[test]
fn g08_compact_takes_values_up_to_one_above_the_head() {
    let bus = emitted(10, 5);
    assert_eq!(bus.compact(0), Ok(0));
    assert_eq!(bus.compact(3), Ok(3));
    assert_eq!(bus.compact(2), Ok(3), "the floor never falls");
    assert_eq!(bus.stats().n_history_events(), 3);
    for value in [7, u64::MAX] {
        let error = bus.compact(value).unwrap_err();
        assert_eq!(
            error,
            CompactError::AboveHead {
                value,
                head: Some(5)
            }
        );
    }
    assert_eq!(bus.compact(6), Ok(6));
    assert_eq!(
        (bus.stats().n_history_events(), bus.stats().history_bytes()),
        (0, 0)
    );

    let empty = bus_of(History::events(10));
    assert_eq!(empty.compact(0), Ok(0));
    let error = empty.compact(1).unwrap_err();
    assert_eq!(
        error,
        CompactError::AboveHead {
            value: 1,
            head: None
        }
    );
    assert!(
        error.to_string().contains("nothing was emitted yet"),
        "{error}"
    );
}

#[test]
fn g09_an_advance_raises_the_head_without_an_emit() {
    let bus = emitted(10, 5);
    assert_eq!(
        bus.advance(5),
        Err(EmitError::NotIncreasing { value: 5, head: 5 })
    );
    bus.advance(9).unwrap();
    assert_eq!((bus.head(), bus.floor()), (Some(9), Some(0)));
    assert_eq!(bus.advance(u64::MAX), Err(EmitError::LastValue));
    assert_eq!(bus.last_seq().unwrap().get(), 5);
    assert_eq!(bus.emit_next(["k"]).unwrap().value(), 10);
    assert_eq!(values(&mut since(&bus, 5).unwrap()), [5, 10]);
    // An advance beyond what a history of nothing knows.
    let empty = bus_of(History::events(1));
    empty.advance(7).unwrap();
    assert_eq!(empty.compact(8), Ok(8));
}

#[test]
fn g07_a_restored_head_serves_what_lies_above_it() {
    let bus = RangeWatchBus::builder()
        .history(History::events(10))
        .head(41)
        .build()
        .unwrap();
    assert_eq!(
        (bus.head(), bus.floor(), bus.last_seq()),
        (Some(41), Some(42), None)
    );
    assert!(matches!(
        since(&bus, 41),
        Err(SubscribeError::Compacted {
            floor: 42,
            epoch: 0
        })
    ));
    let mut sub = since(&bus, 42).unwrap();
    let mut live = bus.subscribe(..).events(3).unwrap();
    assert_eq!((sub.position(), live.position()), (Some(41), Some(41)));
    assert_eq!(live.request_progress().unwrap(), Some(41));
    assert_eq!(bus.emit_next(["k"]).unwrap().value(), 42);
    assert_eq!((values(&mut sub), values(&mut live)), (vec![42], vec![42]));
}

#[test]
fn g17_the_history_never_exceeds_its_bounds() {
    // A key of one byte counts for 17.
    let bus = bus_of(History::events(5).bytes(3 * 17));
    for value in 1..=20 {
        bus.emit(value, ["k"]).unwrap();
        let stats = bus.stats();
        assert_eq!(stats.n_history_events(), (value as usize).min(3));
        assert_eq!(stats.history_bytes(), 17 * stats.n_history_events());
    }
    // One that is larger than the others leaves room for itself alone.
    bus.emit(21, ["k".repeat(18)]).unwrap();
    assert_eq!((bus.floor(), bus.stats().n_history_events()), (Some(20), 2));
    assert!(bus.stats().history_bytes() <= 51);
}

#[test]
fn g17_an_emit_that_is_larger_than_the_history_is_delivered_and_raises_the_floor() {
    let bus = bus_of(History::events(5).bytes(40));
    let mut sub = bus.subscribe(..).events(3).unwrap();
    bus.emit(1, ["k"]).unwrap();
    bus.emit(2, ["k".repeat(100)]).unwrap();
    assert_eq!((bus.floor(), bus.stats().n_history_events()), (Some(3), 0));
    assert_eq!(values(&mut sub), [1, 2]);
    bus.emit(3, ["k"]).unwrap();
    assert_eq!(values(&mut since(&bus, 3).unwrap()), [3]);
}

#[test]
fn g13_without_history_a_wake_subscription_begins_with_a_conservative_span() {
    let bus = RangeWatchBus::new();
    for value in 1..=5 {
        bus.emit(value, ["z"]).unwrap();
    }
    let mut sub = bus.subscribe(.."m").since(3).wake().unwrap();
    assert_eq!((sub.lag(), sub.position()), (1, Some(2)));
    bus.emit(6, ["a"]).unwrap();
    let span = sub.try_recv().unwrap();
    assert_eq!((span.first(), span.last(), span.count()), (3, 6, 1));
    assert!(span.is_conservative());
    bus.emit(7, ["a"]).unwrap();
    assert!(!sub.try_recv().unwrap().is_conservative());
    // From what was not emitted yet, there is nothing to look for.
    assert!(
        bus.subscribe(..)
            .since(8)
            .wake()
            .unwrap()
            .try_recv()
            .is_err()
    );
    assert_eq!(bus.subscribe(..).since(7).wake().unwrap().lag(), 1);
    assert_eq!(
        bus.subscribe(..).since(3).events(1).unwrap_err(),
        SubscribeError::NoHistory
    );
    assert!(matches!(
        bus.subscribe(..).overflow(Overflow::Park).events(1),
        Err(SubscribeError::NoHistory)
    ));
}

#[test]
fn a_receive_without_waiting_reads_a_bounded_part_of_the_history() {
    const N_EMITS: u64 = 20_000;
    const MAX_READ: u64 = 16 * 256;
    let bus = bus_of(History::events(usize::MAX));
    for _ in 0..N_EMITS {
        bus.emit_next(["other"]).unwrap();
    }
    bus.emit_next(["k"]).unwrap();
    let mut sub = bus.subscribe("k".."l").since(1).events(256).unwrap();
    let mut lag = sub.lag();
    let mut n_calls = 0;
    let event = loop {
        n_calls += 1;
        match sub.try_recv() {
            Err(TryRecvError::CatchingUp) => {
                let n_read = lag - sub.lag();
                assert!(
                    (1..=MAX_READ).contains(&n_read),
                    "{n_read} emits in one call"
                );
                lag = sub.lag();
            }
            received => break received.unwrap(),
        }
    };
    assert_eq!(event.value(), N_EMITS + 1);
    assert_eq!(n_calls, (N_EMITS + 1).div_ceil(MAX_READ));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
}
