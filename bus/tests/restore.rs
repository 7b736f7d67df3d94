//! A restore: the history begins an epoch, and nothing is received across it silently.

mod count;
mod deadline;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use futures::FutureExt;
use futures::future::poll_immediate;
use rangewatch_bus::{
    ControlError, EmitError, EventSet, EventSubscription, History, Item, KeyRange, Overflow,
    RangeWatchBus, RecvError, RestoreError, Selectors, SubscribeBuilder, SubscribeError,
    TryRecvError, TryWakeError, WatchSet,
};

/// A bus that has emitted the key "k" with the values up to `last`.
fn emitted(last: u64) -> RangeWatchBus {
    let builder = RangeWatchBus::builder().history(History::events(100));
    let bus = builder.build().unwrap();
    emit(&bus, 1..=last);
    bus
}

fn emit(bus: &RangeWatchBus, values: impl IntoIterator<Item = u64>) {
    for value in values {
        bus.emit(value, ["k"]).unwrap();
    }
}

const fn compacted(floor: u64, epoch: u64) -> TryRecvError {
    TryRecvError::Compacted { floor, epoch }
}

/// The values of the events that are received, and the error after them.
fn drained(sub: &mut EventSubscription) -> (Vec<u64>, TryRecvError) {
    let mut values = Vec::new();
    loop {
        match sub.try_recv() {
            Ok(event) => values.push(event.value()),
            Err(error) => return (values, error),
        }
    }
}

/// How a subscription is made and held.
type Make = fn(SubscribeBuilder<'_>) -> EventSubscription;

#[test]
fn g07_a_restore_ends_every_open_subscription_after_what_it_holds() {
    let makes: [(Make, &[u64]); 8] = [
        (|new| new.events(9).unwrap(), &[4, 5, 6]),
        (|new| new.hold().events(9).unwrap(), &[4, 5, 6]),
        (|new| new.since(2).events(9).unwrap(), &[]),
        (|new| new.since(2).hold().events(9).unwrap(), &[]),
        // Parked by an overflow: the history had 6.
        (|new| new.events(2).unwrap(), &[4, 5]),
        (|new| new.since(9).events(9).unwrap(), &[]),
        (
            |new| {
                new.hold()
                    .overflow(Overflow::Backpressure)
                    .events(3)
                    .unwrap()
            },
            &[4, 5, 6],
        ),
        (
            |new| new.overflow(Overflow::Disconnect).events(1).unwrap(),
            &[4],
        ),
    ];
    for (epoch, head) in [
        (1, Some(3)),
        (1, Some(6)),
        (1, Some(9)),
        (0, Some(7)),
        (7, None),
    ] {
        for (case, (make, held)) in makes.into_iter().enumerate() {
            let bus = emitted(3);
            let mut sub = make(bus.subscribe(..));
            emit(&bus, 4..=6);
            bus.restore(epoch, head).unwrap();
            let floor = head.map_or(0, |head| head + 1);
            emit(&bus, floor + 10..=floor + 12);
            // Twice: the end stays.
            assert_eq!(
                drained(&mut sub),
                (held.to_vec(), compacted(floor, epoch)),
                "{case}"
            );
            assert_eq!(
                drained(&mut sub),
                (Vec::new(), compacted(floor, epoch)),
                "{case}"
            );
            assert_eq!(sub.add_selectors(..), Err(ControlError::Ended));
            assert_eq!((sub.lag(), sub.epoch()), (0, Some(0)));
            assert!(sub.stats().is_conserved(), "{case}: {:?}", sub.stats());
            assert_eq!(sub.stats().pending(), 0);
            assert_eq!(bus.stats().n_parked(), 0);
        }
    }
}

#[test]
fn g07_a_paused_subscription_and_one_without_selectors_end_too() {
    let bus = emitted(3);
    let mut paused = bus.subscribe(..).events(9).unwrap();
    let mut none = bus.subscribe(Selectors::new()).events(9).unwrap();
    emit(&bus, 4..=5);
    paused.pause().unwrap();
    bus.restore(1, Some(2)).unwrap();
    assert_eq!(drained(&mut paused), (vec![4, 5], compacted(3, 1)));
    assert_eq!(drained(&mut none), (vec![], compacted(3, 1)));
}

#[test]
fn g07_misses_of_before_a_restore_are_reported_before_the_end() {
    let bus = emitted(3);
    let subscribe = |overflow| bus.subscribe(..).overflow(overflow).events(1).unwrap();
    let (mut lagged, mut gap) = (subscribe(Overflow::Lagged), subscribe(Overflow::Coalesce));
    emit(&bus, 4..=6);
    bus.restore(1, Some(2)).unwrap();
    assert_eq!(lagged.try_recv(), Err(TryRecvError::Lagged(2)));
    assert_eq!(drained(&mut lagged), (vec![6], compacted(3, 1)));
    assert_eq!(gap.try_recv().unwrap().value(), 4);
    let Err(TryRecvError::Coalesced(span)) = gap.try_recv() else {
        panic!("a gap");
    };
    assert_eq!((span.first(), span.last(), span.count()), (5, 6, 2));
    assert_eq!(gap.try_recv(), Err(compacted(3, 1)));
}

#[test]
fn g07_the_end_is_that_of_the_latest_restore() {
    let bus = emitted(3);
    let mut sub = bus.subscribe(..).events(9).unwrap();
    let mut disconnected = bus
        .subscribe(..)
        .overflow(Overflow::Disconnect)
        .events(1)
        .unwrap();
    emit(&bus, 4..=5);
    bus.restore(1, Some(9)).unwrap();
    bus.restore(2, Some(1)).unwrap();
    // A subscription since 5 or 10 would miss what follows.
    assert_eq!(drained(&mut sub), (vec![4, 5], compacted(2, 2)));
    assert_eq!(drained(&mut disconnected), (vec![4], compacted(2, 2)));
}

#[test]
fn g07_a_reserved_subscription_stays_and_begins_after_the_new_head() {
    for head in [None, Some(2), Some(5)] {
        let bus = emitted(3);
        let mut events = bus.reserve().events(9).unwrap();
        let mut wake = bus.reserve().wake().unwrap();
        assert_eq!(events.request_progress(), Ok(Some(3)));
        bus.restore(1, head).unwrap();
        assert_eq!((events.position(), wake.position()), (head, head));
        events.open(..).unwrap();
        wake.open(..).unwrap();
        assert_eq!((events.position(), wake.position()), (head, head));
        events.start().unwrap();
        wake.start().unwrap();
        assert_eq!(
            wake.try_recv(),
            Err(TryWakeError::Empty),
            "it watched nothing"
        );
        // The mark that was requested before is of the new head.
        if let Some(head) = head {
            assert_eq!(events.try_recv_item(), Ok(Item::Progress(head)));
        }
        assert_eq!(events.try_recv_item(), Err(TryRecvError::Empty));
        assert_eq!(events.epoch(), Some(1));
        let next = head.map_or(0, |head| head + 1);
        emit(&bus, [next]);
        assert_eq!(events.try_recv().unwrap().value(), next);
        let span = wake.try_recv().unwrap();
        assert!(span.first() == next && !span.is_conservative());
    }
}

#[test]
fn g07_a_value_of_another_epoch_is_no_value_to_begin_with() {
    let bus = emitted(3);
    bus.restore(7, Some(1)).unwrap();
    emit(&bus, 2..=4);
    let refused = SubscribeError::Compacted { floor: 2, epoch: 7 };
    for epoch in [0, 6, 8] {
        let since = |value| bus.subscribe(..).since(value).epoch(epoch);
        for value in [0, 2, 4, 9] {
            assert_eq!(since(value).events(9).unwrap_err(), refused);
            assert_eq!(since(value).wake().unwrap_err(), refused);
        }
        // Set before the value, too.
        let before = bus.subscribe(..).epoch(epoch).since_after(3).events(9);
        assert_eq!(before.unwrap_err(), refused);
        // Without a value to begin with there is none to compare.
        assert!(bus.subscribe(..).epoch(epoch).events(9).is_ok());
        assert!(bus.reserve().epoch(epoch).wake().is_ok());
    }
    let same = bus.subscribe(..).since_after(3).epoch(7).events(9);
    assert_eq!(drained(&mut same.unwrap()), (vec![4], TryRecvError::Empty));
    let unknown = bus.subscribe(..).since_after(3).epoch(None).events(9);
    assert_eq!(
        drained(&mut unknown.unwrap()),
        (vec![4], TryRecvError::Empty)
    );
    let too_old = bus.subscribe(..).since(1).epoch(7).events(9);
    assert_eq!(too_old.unwrap_err(), refused);

    let plain = RangeWatchBus::new();
    assert_eq!(
        (
            plain.epoch(),
            plain.subscribe(..).events(1).unwrap().epoch()
        ),
        (None, None)
    );
    let without = || plain.subscribe(..).since(1).epoch(0);
    assert_eq!(without().events(9).unwrap_err(), SubscribeError::NoHistory);
    assert_eq!(without().wake().unwrap_err(), SubscribeError::NoHistory);
}

#[test]
fn g07_the_history_after_a_restore_is_that_of_a_new_bus() {
    for (epoch, head) in [(0, Some(2)), (1, None), (1, Some(5)), (u64::MAX, Some(70))] {
        let bus = emitted(5);
        bus.restore(epoch, head).unwrap();
        let floor = head.map_or(0, |head| head + 1);
        assert_eq!(
            (bus.epoch(), bus.head(), bus.floor()),
            (Some(epoch), head, Some(floor))
        );
        assert_eq!(
            (bus.stats().n_history_events(), bus.stats().history_bytes()),
            (0, 0)
        );
        if let Some(head) = head {
            let falls = EmitError::NotIncreasing { value: head, head };
            assert_eq!(bus.emit(head, ["k"]), Err(falls));
        }
        let mut sub = bus.subscribe(..).events(9).unwrap();
        assert_eq!((sub.position(), sub.epoch()), (head, Some(epoch)));
        assert_eq!(sub.request_progress(), Ok(head));
        if let Some(head) = head {
            assert_eq!(sub.try_recv_item(), Ok(Item::Progress(head)));
        }
        // The order goes on: it is that of the bus.
        assert_eq!(bus.emit(floor, ["k"]).unwrap().seq().get(), 6);
        assert_eq!(sub.try_recv().unwrap().value(), floor);
        let mut past = bus.subscribe(..).since(floor).events(9).unwrap();
        assert_eq!(past.try_recv().unwrap().value(), floor);
    }
}

#[test]
fn g07_an_event_set_ends() {
    let bus = emitted(3);
    let mut set = EventSet::new(&bus, 9, 1000).unwrap();
    set.insert("all", KeyRange::prefix("")).unwrap();
    emit(&bus, [4]);
    bus.restore(1, Some(2)).unwrap();
    emit(&bus, [3]);
    let mut matched = Vec::new();
    assert_eq!(set.epoch(), Some(0));
    assert_eq!(set.try_recv(&mut matched).unwrap().value(), 4);
    assert_eq!(set.try_recv(&mut matched), Err(compacted(3, 1)));
    assert_eq!(
        set.insert("k", KeyRange::key("k")),
        Err(ControlError::Ended)
    );
}

#[test]
fn g12_a_restore_wakes_the_receives_that_wait() {
    let bus = emitted(3);
    let mut started = bus.subscribe(..).events(9).unwrap();
    let mut held = bus.subscribe(..).hold().events(9).unwrap();
    let mut wake = bus.subscribe(..).wake().unwrap();
    let mut held_wake = bus.subscribe(..).hold().wake().unwrap();
    let (waker, count) = count::counting();
    let cx = &mut Context::from_waker(&waker);
    assert!(started.poll_recv(cx).is_pending() && held.poll_recv(cx).is_pending());
    assert!(wake.poll_recv(cx).is_pending() && held_wake.poll_recv(cx).is_pending());
    bus.restore(1, Some(2)).unwrap();
    assert_eq!(count.n_wakes(), 3);
    let end = Some(Err(RecvError::Compacted { floor: 3, epoch: 1 }));
    assert_eq!(started.recv().now_or_never(), end);
    assert_eq!(held.recv().now_or_never(), end);
    assert!(
        wake.recv()
            .now_or_never()
            .unwrap()
            .unwrap()
            .is_conservative()
    );
    assert!(held_wake.recv().now_or_never().is_none(), "it is held");
}

#[test]
fn g13_a_wake_subscription_receives_a_span_of_everything_after_a_restore() {
    for (head, last) in [(None, 0), (Some(2), 2), (Some(5), 5), (Some(9), 9)] {
        let bus = emitted(3);
        let mut idle = bus.subscribe(..).wake().unwrap();
        let mut pending = bus.subscribe(..).wake().unwrap();
        let mut future = bus.subscribe(..).since(50).wake().unwrap();
        emit(&bus, 4..=5);
        idle.try_recv().unwrap();
        bus.restore(1, head).unwrap();
        for (sub, count) in [(&mut idle, 0), (&mut pending, 2), (&mut future, 0)] {
            assert_eq!((sub.position(), sub.lag()), (None, count.max(1)));
            let span = sub.try_recv().unwrap();
            assert!(span.is_conservative());
            assert_eq!((span.first(), span.last(), span.count()), (0, last, count));
            // Without a head, 0 is yet to come.
            assert_eq!(sub.position(), head);
            assert_eq!(sub.try_recv(), Err(TryWakeError::Empty));
        }
        // What follows is exact again, also what `since` had excluded.
        emit(&bus, last + 1..=last + 3);
        for sub in [&mut idle, &mut pending, &mut future] {
            let span = sub.try_recv().unwrap();
            assert!(!span.is_conservative());
            assert_eq!(
                (span.first(), span.last(), span.count()),
                (last + 1, last + 3, 3)
            );
            assert!(sub.stats().is_conserved(), "{:?}", sub.stats());
        }
    }
}

#[test]
fn g13_emits_after_a_restore_extend_its_span() {
    let bus = emitted(3);
    let mut sub = bus.subscribe(..).wake().unwrap();
    emit(&bus, 4..=5);
    bus.restore(1, Some(1)).unwrap();
    emit(&bus, 2..=3);
    let span = sub.try_recv().unwrap();
    assert_eq!((span.first(), span.last(), span.count()), (0, 3, 4));
    assert_eq!((span.last_seq().get(), span.is_conservative()), (7, true));
    assert_eq!(
        (sub.position(), sub.stats().is_conserved()),
        (Some(3), true)
    );
    // Before anything was emitted, too.
    let bus = emitted(0);
    let mut sub = bus.subscribe(..).wake().unwrap();
    bus.restore(1, None).unwrap();
    emit(&bus, [0]);
    let span = sub.try_recv().unwrap();
    assert_eq!((span.first(), span.last(), span.count()), (0, 0, 1));
}

#[test]
fn g13_a_start_after_a_value_of_before_does_not_discard_the_span_of_a_restore() {
    let bus = emitted(3);
    let mut held = bus.subscribe(..).hold().wake().unwrap();
    emit(&bus, 4..=5);
    // The consumer has read its store at 5 by now.
    bus.restore(1, Some(2)).unwrap();
    emit(&bus, [3]);
    held.start_after(5).unwrap();
    let span = held.try_recv().unwrap();
    assert_eq!(
        (span.first(), span.last(), span.is_conservative()),
        (0, 3, true)
    );
    emit(&bus, [4]);
    assert_eq!(held.try_recv().unwrap().first(), 4);
    // Then it is as before.
    held.start_after(7).unwrap();
    emit(&bus, 6..=8);
    assert_eq!(held.try_recv().unwrap().first(), 8);
}

#[test]
fn g13_a_wake_subscription_without_selectors_has_nothing_to_rescan() {
    let bus = emitted(3);
    let mut never = bus.subscribe(Selectors::new()).wake().unwrap();
    let mut edited = bus.subscribe(..).wake().unwrap();
    emit(&bus, [4]);
    edited.set_selectors(Selectors::new()).unwrap();
    bus.restore(1, Some(2)).unwrap();
    assert_eq!(never.try_recv(), Err(TryWakeError::Empty));
    assert_eq!(never.position(), Some(2));
    assert!(
        edited.try_recv().unwrap().is_conservative(),
        "it had matched"
    );
}

#[test]
fn g13_a_watch_set_delivers_the_span_of_a_restore() {
    let bus = emitted(3);
    let watches = WatchSet::new();
    watches.insert("all", bus.subscribe(..).wake().unwrap());
    watches.insert("none", bus.subscribe(Selectors::new()).wake().unwrap());
    watches.insert("held", bus.subscribe(..).hold().wake().unwrap());
    let mut waits = Box::pin(watches.recv());
    assert!(waits.as_mut().now_or_never().is_none());
    bus.restore(1, Some(2)).unwrap();
    let (key, span) = waits.now_or_never().unwrap();
    assert!(key == "all" && span.unwrap().is_conservative());
    assert!(watches.recv().now_or_never().is_none());
}

#[test]
fn g21_a_restore_releases_the_emitters_that_wait_for_room() {
    let bus = emitted(3);
    let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
    let mut sub = builder.events(1).unwrap();
    emit(&bus, [4]);
    let (waker, count) = count::counting();
    let mut waits = Box::pin(bus.emit_async(5, ["k"]));
    let mut fails = Box::pin(bus.emit_async(6, ["k"]));
    for emit in [&mut waits, &mut fails] {
        assert!(
            emit.poll_unpin(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    bus.restore(1, Some(5)).unwrap();
    assert_eq!(count.n_wakes(), 2);
    let falls = EmitError::NotIncreasing { value: 5, head: 5 };
    assert_eq!(waits.now_or_never(), Some(Err(falls)));
    assert_eq!(fails.now_or_never().unwrap().unwrap().matched(), 0);
    assert_eq!(drained(&mut sub), (vec![4], compacted(6, 1)));
}

#[test]
fn g26_a_restore_that_is_refused_changes_nothing() {
    let bus = emitted(3);
    let mut sub = bus.subscribe(..).events(9).unwrap();
    for head in [u64::MAX - 1, u64::MAX] {
        assert_eq!(bus.restore(1, Some(head)), Err(RestoreError::LastHead));
    }
    let bounds = |bus: &RangeWatchBus| (bus.epoch(), bus.head(), bus.floor());
    assert_eq!(bounds(&bus), (Some(0), Some(3), Some(0)));
    emit(&bus, [4]);
    bus.close();
    assert_eq!(bus.restore(1, Some(9)), Err(RestoreError::Closed));
    assert_eq!(bounds(&bus), (Some(0), Some(4), Some(0)));
    assert_eq!(drained(&mut sub), (vec![4], TryRecvError::Closed));
    assert_eq!(
        RangeWatchBus::new().restore(1, None),
        Err(RestoreError::NoHistory)
    );
    let greatest = emitted(3);
    greatest.restore(1, Some(u64::MAX - 2)).unwrap();
    emit(&greatest, [u64::MAX - 1]);
}

#[test]
fn g35_what_matched_is_accounted_for_across_restores() {
    let bus = emitted(0);
    let mut subs = Vec::new();
    let mut wakes = Vec::new();
    for round in 0..6 {
        let from = bus.head().map_or(0, |head| head + 1);
        let policies = [
            Overflow::Park,
            Overflow::Lagged,
            Overflow::Coalesce,
            Overflow::Disconnect,
        ];
        subs.extend(policies.map(|it| bus.subscribe(..).overflow(it).events(2).unwrap()));
        subs.push(bus.subscribe(..).since(from).hold().events(2).unwrap());
        wakes.push(bus.subscribe(..).wake().unwrap());
        emit(&bus, from + 1..=from + 5);
        subs.iter_mut()
            .step_by(2)
            .for_each(|sub| _ = sub.try_recv());
        wakes
            .iter_mut()
            .step_by(3)
            .for_each(|sub| _ = sub.try_recv());
        bus.restore(round, Some(3 * round % 7)).unwrap();
        let stats = bus.stats();
        assert!(stats.deliveries().is_conserved(), "{stats:?}");
        for stats in subs
            .iter()
            .map(|sub| sub.stats())
            .chain(wakes.iter().map(|sub| sub.stats()))
        {
            assert!(stats.is_conserved(), "{stats:?}");
        }
    }
    subs.iter_mut()
        .for_each(|sub| while !sub.try_recv().is_err_and(is_end) {});
    wakes.iter_mut().for_each(|sub| _ = sub.try_recv());
    let deliveries = *bus.stats().deliveries();
    assert!(
        deliveries.is_conserved() && deliveries.pending() == 0,
        "{deliveries:?}"
    );
    drop((subs, wakes));
    assert_eq!(*bus.stats().deliveries(), deliveries);
}

fn is_end(error: TryRecvError) -> bool {
    error.recv_error().is_some_and(|error| error.is_end())
}

/// A payload that uses its bus when it is dropped, which would not return under the lock.
struct UsesBus(RangeWatchBus<Self>, Arc<AtomicUsize>);

impl Drop for UsesBus {
    fn drop(&mut self) {
        self.1
            .fetch_add(self.0.stats().n_history_events() + 1, Ordering::Relaxed);
    }
}

#[test]
fn g40_a_restore_drops_the_payloads_of_the_history_without_a_lock() {
    deadline::ends(|| {
        let builder = RangeWatchBus::builder().history(History::events(10));
        let bus = builder.payloads().build().unwrap();
        let n_dropped = Arc::new(AtomicUsize::new(0));
        let mut sub = bus.subscribe(..).events(1).unwrap();
        for value in 1..=3 {
            let payload = UsesBus(bus.clone(), Arc::clone(&n_dropped));
            bus.emit_with(value, [("k", payload)]).unwrap();
        }
        bus.restore(1, None).unwrap();
        assert_eq!(
            n_dropped.load(Ordering::Relaxed),
            2,
            "the first is in the queue"
        );
        let event = sub.try_recv().unwrap();
        assert_eq!(event.value(), 1);
        drop(event);
        assert_eq!(n_dropped.load(Ordering::Relaxed), 3);
        assert!(
            poll_immediate(sub.recv())
                .now_or_never()
                .flatten()
                .is_some()
        );
        bus.close();
    });
}
