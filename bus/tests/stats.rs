//! Statistics add up, in every state and at every end.

use rangewatch_bus::{
    BusStats, EventSubscription, History, Overflow, RangeWatchBus, Selector, Stats,
};

fn with_history(n_events: usize) -> RangeWatchBus {
    let history = History::events(n_events);
    RangeWatchBus::builder().history(history).build().unwrap()
}

fn emit(bus: &RangeWatchBus, values: impl IntoIterator<Item = u64>) {
    for value in values {
        bus.emit(value, ["k"]).unwrap();
    }
}

/// Matched, delivered, coalesced, dropped, discarded and pending.
fn counts(stats: &Stats) -> [u64; 6] {
    assert!(stats.is_conserved(), "{stats:?}");
    [
        stats.matched(),
        stats.delivered(),
        stats.coalesced(),
        stats.dropped(),
        stats.discarded(),
        stats.pending(),
    ]
}

/// Every gauge, but not the counters.
fn gauges(stats: &BusStats) -> [u64; 3] {
    let [n_subscriptions, n_parked] = [stats.n_subscriptions(), stats.n_parked()];
    [
        n_subscriptions as u64,
        n_parked as u64,
        stats.deliveries().pending(),
    ]
}

#[test]
fn g35_every_matched_emit_is_accounted_for_by_policy() {
    let after = |overflow, n_received: usize| {
        let bus = with_history(100);
        let mut sub = bus.subscribe(..).overflow(overflow).events(2).unwrap();
        emit(&bus, 1..=6);
        for _ in 0..n_received {
            let _ = sub.try_recv();
        }
        assert_eq!(counts(&sub.stats()), counts(bus.stats().deliveries()));
        counts(&sub.stats())
    };
    assert_eq!(after(Overflow::Lagged, 0), [6, 0, 0, 0, 0, 6]);
    assert_eq!(after(Overflow::Lagged, 1), [6, 0, 0, 4, 0, 2]);
    assert_eq!(after(Overflow::Lagged, 3), [6, 2, 0, 4, 0, 0]);
    assert_eq!(after(Overflow::Coalesce, 2), [6, 2, 0, 0, 0, 4]);
    assert_eq!(after(Overflow::Coalesce, 3), [6, 3, 3, 0, 0, 0]);
    // It matches nothing after its end.
    assert_eq!(after(Overflow::Disconnect, 1), [3, 1, 0, 1, 0, 1]);
    assert_eq!(after(Overflow::Park, 1), [6, 1, 0, 0, 0, 5]);
    assert_eq!(after(Overflow::Park, 4), [6, 4, 0, 0, 0, 2]);
    assert_eq!(after(Overflow::Park, 6), [6, 6, 0, 0, 0, 0]);
}

#[test]
fn g35_what_is_read_from_before_the_subscription_counts_as_matched_when_it_is_read() {
    let bus = with_history(100);
    emit(&bus, 1..=4);
    let mut sub = bus.subscribe(..).since(1).events(2).unwrap();
    emit(&bus, 5..=6);
    assert_eq!(counts(&sub.stats()), [2, 0, 0, 0, 0, 2]);
    sub.try_recv().unwrap();
    // The first for the consumer and two for the queue.
    assert_eq!(counts(&sub.stats()), [5, 1, 0, 0, 0, 4]);
    while sub.try_recv().is_ok() {}
    assert_eq!(counts(&sub.stats()), [6, 6, 0, 0, 0, 0]);
    let mut wake = bus.subscribe(..).since(3).wake().unwrap();
    assert_eq!(counts(&wake.stats()), [4, 0, 0, 0, 0, 4]);
    wake.try_recv().unwrap();
    assert_eq!(counts(&wake.stats()), [4, 1, 3, 0, 0, 0]);
}

#[test]
fn g35_what_is_given_up_is_discarded() {
    let bus = with_history(3);
    let held = || bus.subscribe(..).events(2).unwrap();
    let (dropped, mut overtaken) = (held(), held());
    emit(&bus, 1..=8);
    drop(dropped);
    assert_eq!(counts(bus.stats().deliveries()), [16, 0, 0, 0, 8, 8]);
    while overtaken.try_recv().is_ok() {}
    assert_eq!(counts(&overtaken.stats()), [8, 2, 0, 6, 0, 0]);
    let closed = held();
    emit(&bus, 9..=12);
    bus.close_now();
    assert_eq!(counts(&closed.stats()), [4, 0, 0, 0, 4, 0]);
    drop((overtaken, closed));
    assert_eq!(counts(bus.stats().deliveries()), [20, 2, 0, 6, 12, 0]);
    assert_eq!(
        (bus.stats().n_emits(), gauges(&bus.stats())),
        (12, [0, 0, 0])
    );
}

#[test]
fn g35_the_sums_of_a_bus_cover_more_subscriptions_than_are_counted_at_once() {
    let bus = RangeWatchBus::new();
    let mut subs: Vec<_> = (0..1_000)
        .map(|_| bus.subscribe(..).wake().unwrap())
        .collect();
    emit(&bus, 1..=3);
    for sub in subs.iter_mut().step_by(2) {
        sub.try_recv().unwrap();
    }
    subs.truncate(900);
    let expected = [3_000, 500, 1_000, 0, 150, 1_350];
    assert_eq!(counts(bus.stats().deliveries()), expected);
    assert_eq!(gauges(&bus.stats()), [900, 0, 1_350]);
}

#[test]
fn g36_lag_is_zero_only_for_a_live_subscription_with_an_empty_queue() {
    let bus = with_history(100);
    let mut sub = bus.subscribe(Selector::key("k")).events(2).unwrap();
    let mut wake = bus.subscribe(Selector::key("k")).wake().unwrap();
    assert_eq!((sub.lag(), wake.lag()), (0, 0));
    emit(&bus, 1..=2);
    assert_eq!((sub.lag(), wake.lag()), (2, 2));
    emit(&bus, 3..=5);
    bus.emit(6, ["elsewhere"]).unwrap();
    // Two in the queue, and four in the history that it has yet to look at.
    assert_eq!((sub.lag(), wake.lag()), (6, 5));
    let lags: Vec<_> = (0..5)
        .map(|_| {
            sub.try_recv().unwrap();
            sub.lag()
        })
        .collect();
    assert_eq!(lags, [5, 4, 2, 1, 0]);
    wake.try_recv().unwrap();
    assert_eq!((sub.lag(), wake.lag(), bus.stats().n_parked()), (0, 0, 0));

    // Reading the history although nothing matches there.
    let mut behind = bus
        .subscribe(Selector::key("x"))
        .since(1)
        .events(2)
        .unwrap();
    assert_eq!((behind.lag(), bus.stats().n_parked()), (6, 1));
    assert!(behind.try_recv().is_err());
    assert_eq!((behind.lag(), bus.stats().n_parked()), (0, 0));
    // Parked, with nothing of it left in the history.
    let parked = bus.subscribe(Selector::key("k")).events(1).unwrap();
    emit(&bus, 7..=8);
    bus.compact(9).unwrap();
    assert_eq!(parked.lag(), 2);
}

#[test]
fn g36_the_greatest_lag_of_a_bus_is_that_of_the_subscription_furthest_behind() {
    let bus = with_history(100);
    assert_eq!(bus.stats().greatest_lag(), 0);
    // More subscriptions than are counted at once, the slow one in any part of the table.
    let mut subs: Vec<_> = (0..1_000)
        .map(|_| bus.subscribe(..).wake().unwrap())
        .collect();
    let mut events = bus.subscribe(..).events(2).unwrap();
    for place in [0, 500, 999] {
        emit(&bus, [bus.head().unwrap_or(0) + 1]);
        for (i, sub) in subs.iter_mut().enumerate() {
            if i != place {
                sub.try_recv().unwrap();
            }
        }
        let last = bus.head().unwrap();
        emit(&bus, last + 1..=last + 3);
        for sub in subs.iter_mut().filter(|sub| sub.lag() == 3) {
            sub.try_recv().unwrap();
        }
        while events.try_recv().is_ok() {}
        assert_eq!((subs[place].lag(), bus.stats().greatest_lag()), (4, 4));
        subs[place].try_recv().unwrap();
        assert_eq!(bus.stats().greatest_lag(), 0);
    }
    // Parked: what is in the queue, and what is left in the history.
    drop(subs);
    let last = bus.head().unwrap();
    emit(&bus, last + 1..=last + 7);
    assert_eq!((events.lag(), bus.stats().greatest_lag()), (7, 7));
    assert_eq!(bus.stats().n_parked(), 1);
    drop(events);
    assert_eq!(bus.stats().greatest_lag(), 0);
}

/// A subscription in a state, by name.
type InState = (&'static str, fn(&RangeWatchBus) -> EventSubscription);

#[test]
fn g23_cycles_of_subscribe_and_drop_leave_every_gauge_at_zero_in_every_state() {
    let states: [InState; 5] = [
        ("reserved", |bus| bus.reserve().events(1).unwrap()),
        ("open", |bus| {
            let mut sub = bus.reserve().events(1).unwrap();
            sub.open(..).unwrap();
            sub
        }),
        ("live", |bus| {
            let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
            builder.events(100).unwrap()
        }),
        ("parked", |bus| bus.subscribe(..).events(1).unwrap()),
        ("behind", |bus| {
            let floor = bus.floor().unwrap();
            bus.subscribe(..).since(floor).events(1).unwrap()
        }),
    ];
    for (name, subscribe) in states {
        let bus = with_history(4);
        emit(&bus, 1..=4);
        for value in 0..20_000 {
            let sub = subscribe(&bus);
            let wake = bus.subscribe(..).wake().unwrap();
            if value % 100 == 0 {
                for _ in 0..2 {
                    bus.emit_next(["k"]).unwrap();
                }
                let n_parked = usize::from(!matches!(name, "reserved" | "live"));
                assert_eq!(bus.stats().n_parked(), n_parked, "{name}");
            }
            drop((sub, wake));
        }
        assert_eq!(gauges(&bus.stats()), [0, 0, 0], "{name}");
        assert_eq!(bus.emit_next(["k"]).unwrap().matched(), 0, "{name}");
        // No emitter waits for what is gone.
        let value = bus.head().unwrap() + 1;
        futures::executor::block_on(bus.emit_async(value, ["k"])).unwrap();
        assert!(bus.stats().deliveries().is_conserved());
    }
}

#[test]
fn g22_the_numbers_of_one_bus_are_not_those_of_another() {
    let (bus, other) = (with_history(10), with_history(10));
    let _sub = bus.subscribe(..).events(1).unwrap();
    emit(&bus, 1..=5);
    bus.compact(3).unwrap();
    bus.close();
    assert_eq!(other.stats(), BusStats::default());
    assert_eq!(
        (other.head(), other.floor(), other.is_closed()),
        (None, Some(0), false)
    );
    assert_eq!(other.emit_next(["k"]).unwrap().seq().get(), 1);
}
