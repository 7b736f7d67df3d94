//! Overflow policies.

use futures::executor::block_on;
use rangewatch_bus::{
    EventSubscription, History, Item, Overflow, RangeWatchBus, RecvError, TryRecvError,
};

const POLICIES: [Overflow; 5] = [
    Overflow::Lagged,
    Overflow::Coalesce,
    Overflow::Disconnect,
    Overflow::Park,
    Overflow::Backpressure,
];

fn with_history(n_events: usize) -> RangeWatchBus {
    let history = History::events(n_events);
    RangeWatchBus::builder().history(history).build().unwrap()
}

fn emit(bus: &RangeWatchBus, values: impl IntoIterator<Item = u64>) {
    for value in values {
        bus.emit(value, ["k"]).unwrap();
    }
}

fn values(sub: &mut EventSubscription) -> Vec<u64> {
    std::iter::from_fn(|| sub.try_recv().ok())
        .map(|event| event.value())
        .collect()
}

/// The values that a gap covers, by first, last and count.
fn gap(sub: &mut EventSubscription) -> (u64, u64, u64) {
    match sub.try_recv_item() {
        Ok(Item::Gap(gap)) if !gap.is_conservative() => (gap.first(), gap.last(), gap.count()),
        other => panic!("no gap: {other:?}"),
    }
}

#[test]
fn the_default_is_park_with_history_and_lagged_without() {
    let (with, without) = (with_history(10), RangeWatchBus::new());
    let mut parked = with.subscribe(..).events(1).unwrap();
    let mut lagged = without.subscribe(..).events(1).unwrap();
    emit(&with, 1..=3);
    emit(&without, 1..=3);
    assert_eq!(values(&mut parked), [1, 2, 3]);
    assert_eq!(lagged.try_recv(), Err(TryRecvError::Lagged(2)));
}

#[test]
fn g17_a_queue_never_exceeds_its_capacity_or_its_bytes_with_any_policy() {
    for bus in [with_history(100), RangeWatchBus::new()] {
        for overflow in POLICIES {
            let subscribe = |capacity, bytes| {
                let builder = bus.subscribe(..).overflow(overflow).queue_bytes(bytes);
                builder.events(capacity)
            };
            let Ok(by_capacity) = subscribe(2, usize::MAX) else {
                assert_eq!((overflow, bus.head()), (Overflow::Park, None));
                continue;
            };
            // A key of one byte counts for 17.
            let by_bytes = subscribe(100, 40).unwrap();
            let exact = subscribe(100, 34).unwrap();
            let nothing_fits = subscribe(usize::MAX, 1).unwrap();
            for _ in 0..6 {
                let value = bus.last_seq().map_or(1, |seq| seq.get() + 1);
                emit(&bus, [value]);
                assert!(
                    by_capacity.len() <= 2 && by_bytes.n_bytes() <= 40,
                    "{overflow:?}"
                );
                assert_eq!(nothing_fits.len(), 0);
            }
            assert_eq!(
                (by_capacity.len(), by_capacity.n_bytes()),
                (2, 34),
                "{overflow:?}"
            );
            assert_eq!(
                (by_bytes.len(), by_bytes.n_bytes()),
                (2, 34),
                "{overflow:?}"
            );
            assert_eq!((exact.len(), exact.n_bytes()), (2, 34), "{overflow:?}");
        }
    }
}

#[test]
fn g18_an_event_that_never_fits_is_reported_as_missed_with_those_that_it_drops() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).queue_bytes(40).events(10).unwrap();
    emit(&bus, 1..=2);
    bus.emit(3, ["k".repeat(100)]).unwrap();
    assert_eq!(sub.try_recv(), Err(TryRecvError::Lagged(3)));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    emit(&bus, [4]);
    assert_eq!(values(&mut sub), [4]);
}

#[test]
fn g18_what_was_missed_can_be_had_from_the_history_by_the_position_at_the_report() {
    let bus = with_history(100);
    let lagged = || bus.subscribe(..).overflow(Overflow::Lagged);
    let mut sub = lagged().events(2).unwrap();
    emit(&bus, [1]);
    assert_eq!(values(&mut sub), [1]);
    emit(&bus, 2..=7);
    assert_eq!(sub.try_recv(), Err(TryRecvError::Lagged(4)));
    let next = sub.position().map_or(0, |position| position + 1);
    let mut sub = lagged().since(next).events(2).unwrap();
    assert_eq!(values(&mut sub), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn g03_coalesce_merges_the_newest_into_a_gap_that_a_freed_place_closes() {
    let bus = RangeWatchBus::new();
    let mut sub = bus
        .subscribe(.."m")
        .overflow(Overflow::Coalesce)
        .events(2)
        .unwrap();
    emit(&bus, 1..=5);
    bus.emit(6, ["z"]).unwrap();
    emit(&bus, [7]);
    // A place is free: the gap takes it, and what comes now is merged into another.
    assert_eq!(sub.try_recv().unwrap().value(), 1);
    assert_eq!(sub.len(), 2);
    emit(&bus, 8..=9);
    assert_eq!(sub.try_recv().unwrap().value(), 2);
    assert_eq!(gap(&mut sub), (3, 7, 4));
    // Now there is room behind the gap.
    emit(&bus, [10]);
    assert_eq!(gap(&mut sub), (8, 9, 2));
    assert_eq!(values(&mut sub), [10]);
    let stats = sub.stats();
    assert_eq!(
        (stats.matched(), stats.delivered(), stats.coalesced()),
        (9, 5, 4)
    );
}

#[test]
fn g03_coalesce_with_one_place_alternates_events_and_gaps() {
    let bus = RangeWatchBus::new();
    let mut sub = bus
        .subscribe(..)
        .overflow(Overflow::Coalesce)
        .events(1)
        .unwrap();
    emit(&bus, 1..=3);
    assert_eq!(block_on(sub.recv()).unwrap().value(), 1);
    emit(&bus, 4..=5);
    match block_on(sub.recv()) {
        Err(RecvError::Coalesced(gap)) => assert_eq!((gap.first(), gap.last()), (2, 3)),
        other => panic!("{other:?}"),
    }
    match sub.try_recv() {
        Err(TryRecvError::Coalesced(gap)) => assert_eq!((gap.first(), gap.last()), (4, 5)),
        other => panic!("{other:?}"),
    }
    emit(&bus, [6]);
    assert_eq!(values(&mut sub), [6]);
}

#[test]
fn g03_coalesce_merges_an_event_that_never_fits_although_the_queue_is_empty() {
    let bus = RangeWatchBus::new();
    let mut sub = bus
        .subscribe(..)
        .overflow(Overflow::Coalesce)
        .queue_bytes(20)
        .events(9)
        .unwrap();
    bus.emit(1, ["k".repeat(100)]).unwrap();
    assert_eq!((sub.len(), sub.lag()), (0, 1));
    // In order: behind the gap there is no place before it was received.
    emit(&bus, [2]);
    assert_eq!(gap(&mut sub), (1, 2, 2));
    emit(&bus, [3]);
    assert_eq!(values(&mut sub), [3]);
}

#[test]
fn g18_a_start_after_a_value_reports_what_was_missed_above_it_and_nothing_else() {
    fn subscribe(bus: &RangeWatchBus) -> EventSubscription {
        let builder = bus.subscribe(..).overflow(Overflow::Lagged);
        builder.hold().events(1).unwrap()
    }
    for bus in [RangeWatchBus::new(), with_history(100)] {
        let mut sub = subscribe(&bus);
        emit(&bus, 1..=4);
        sub.start_after(2).unwrap();
        assert_eq!(sub.lag(), 2);
        assert_eq!(sub.try_recv(), Err(TryRecvError::Lagged(1)));
        assert_eq!(values(&mut sub), [4]);
        let stats = sub.stats();
        assert_eq!((stats.dropped(), stats.discarded()), (1, 2));
        assert!(stats.is_conserved(), "{stats:?}");
    }
    // Values that have gaps between them, and values that fall.
    let bus = RangeWatchBus::new();
    let mut sub = subscribe(&bus);
    emit(&bus, [10, 20, 15, 30, 5, 40]);
    sub.start_after(15).unwrap();
    assert_eq!(sub.try_recv(), Err(TryRecvError::Lagged(2)));
    assert_eq!(values(&mut sub), [40]);
}

#[test]
fn g03_a_start_within_a_gap_keeps_what_lies_above_and_marks_it_as_conservative() {
    // The gap stands at the end of the queue, or has been closed by a receive.
    for is_closed in [false, true] {
        let bus = RangeWatchBus::new();
        let builder = bus.subscribe(..).overflow(Overflow::Coalesce);
        let mut sub = builder.events(2).unwrap();
        emit(&bus, 1..=6);
        if is_closed {
            assert_eq!(sub.try_recv().unwrap().value(), 1);
        }
        sub.start_after(4).unwrap();
        let Ok(Item::Gap(gap)) = sub.try_recv_item() else {
            panic!("the gap is gone");
        };
        assert!(gap.is_conservative());
        assert_eq!((gap.first(), gap.last(), gap.count()), (5, 6, 4));
        assert_eq!(sub.try_recv_item(), Err(TryRecvError::Empty));
        assert!(sub.stats().is_conserved());
    }
}

#[test]
fn g19_disconnect_gives_what_is_buffered_then_where_to_resume_which_loses_nothing() {
    let bus = with_history(100);
    let subscribe = |since| {
        let builder = bus.subscribe(..).overflow(Overflow::Disconnect);
        builder.since(since).events(2).unwrap()
    };
    let mut sub = subscribe(1);
    emit(&bus, 1..=7);
    assert_eq!(bus.emit(8, ["k"]).unwrap().matched(), 0, "it has ended");
    assert_eq!(values(&mut sub), [1, 2]);
    for _ in 0..2 {
        let end = RecvError::Disconnected { resume: 3 };
        assert_eq!(block_on(sub.recv()), Err(end));
    }
    assert_eq!(
        sub.try_recv(),
        Err(TryRecvError::Disconnected { resume: 3 })
    );
    assert_eq!((sub.position(), sub.stats().dropped()), (Some(2), 1));
    // While it reads from the history it does not overflow.
    let mut sub = subscribe(3);
    assert_eq!(values(&mut sub), [3, 4, 5, 6, 7, 8]);
    bus.close();
    assert_eq!(sub.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn g19_a_start_after_a_value_resumes_behind_it() {
    let bus = with_history(100);
    let mut sub = bus
        .subscribe(..)
        .overflow(Overflow::Disconnect)
        .hold()
        .events(1)
        .unwrap();
    emit(&bus, 1..=5);
    sub.start_after(4).unwrap();
    assert_eq!(
        sub.try_recv(),
        Err(TryRecvError::Disconnected { resume: 5 })
    );
}

#[test]
fn g19_a_disconnected_subscription_stays_so_after_the_close() {
    let bus = RangeWatchBus::new();
    let builder = bus.subscribe(..).overflow(Overflow::Disconnect);
    let mut sub = builder.events(1).unwrap();
    emit(&bus, 1..=2);
    bus.close();
    assert_eq!(values(&mut sub), [1]);
    assert_eq!(
        sub.try_recv(),
        Err(TryRecvError::Disconnected { resume: 2 })
    );
}

#[test]
fn g20_every_cycle_of_parking_delivers_and_a_faster_consumer_becomes_live() {
    let bus = with_history(1_000);
    for capacity in [1, 3] {
        let mut sub = bus.subscribe(..).events(capacity).unwrap();
        let first = bus.head().unwrap_or(0) + 1;
        let mut expected = first;
        for _ in 0..20 {
            // Three emits for each receive: it parks again and again.
            emit(
                &bus,
                bus.head().unwrap_or(0) + 1..=bus.head().unwrap_or(0) + 3,
            );
            assert_eq!(sub.try_recv().unwrap().value(), expected);
            expected += 1;
        }
        assert_eq!(bus.stats().n_parked(), 1);
        // Now two receives for each emit.
        while sub.lag() > 0 {
            emit(&bus, [bus.head().unwrap() + 1]);
            for _ in 0..2 {
                if let Ok(event) = sub.try_recv() {
                    assert_eq!(event.value(), expected);
                    expected += 1;
                }
            }
        }
        assert_eq!(bus.stats().n_parked(), 0);
        let emitted = bus.emit_next(["k"]).unwrap();
        assert_eq!((emitted.matched(), emitted.parked()), (1, 0));
        assert_eq!(values(&mut sub), [expected]);
    }
}

#[test]
fn g20_an_event_that_never_fits_is_delivered_from_the_history() {
    let bus = with_history(100);
    let mut sub = bus.subscribe(..).queue_bytes(20).events(10).unwrap();
    for value in 1..=3 {
        bus.emit(value, ["k".repeat(50)]).unwrap();
    }
    emit(&bus, 4..=5);
    assert_eq!(values(&mut sub), [1, 2, 3, 4, 5]);
    assert_eq!((sub.lag(), bus.stats().n_parked()), (0, 0));
}

#[test]
fn g03_with_history_backpressure_is_park_for_a_plain_emit_and_coalesce_without() {
    let bus = with_history(100);
    let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
    let mut sub = builder.events(1).unwrap();
    emit(&bus, 1..=4);
    assert_eq!(values(&mut sub), [1, 2, 3, 4]);

    let bus = RangeWatchBus::new();
    let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
    let mut sub = builder.events(1).unwrap();
    emit(&bus, 1..=4);
    assert_eq!(sub.try_recv().unwrap().value(), 1);
    assert_eq!(gap(&mut sub), (2, 4, 3));
}

#[test]
fn g27_a_closed_bus_still_gives_what_a_parked_subscription_has_in_the_history() {
    let bus = with_history(100);
    let mut sub = bus.subscribe(..).events(2).unwrap();
    emit(&bus, 1..=10);
    bus.close();
    for value in 1..=10 {
        assert_eq!(block_on(sub.recv()).unwrap().value(), value);
    }
    assert_eq!(block_on(sub.recv()), Err(RecvError::Closed));
}
