//! Delivery: content, order, and how often.

use futures::executor::block_on;
use rangewatch_bus::{RangeWatchBus, Selector, Selectors, Seq, TryRecvError};

#[test]
fn g01_emits_arrive_in_the_order_of_their_seq_whatever_their_values() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(100).unwrap();
    let values = [5, 5, 3, u64::MAX, 0];
    let seqs: Vec<_> = values
        .iter()
        .map(|&value| bus.emit(value, ["k"]).unwrap().seq())
        .collect();
    assert!(seqs.iter().map(|seq| seq.get()).eq(1..=5));
    for (seq, value) in seqs.into_iter().zip(values) {
        let event = sub.try_recv().unwrap();
        assert_eq!((event.seq(), event.value()), (seq, value));
    }
}

#[test]
fn g02_no_emit_arrives_twice() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(["a".."c", "b".."d"]).events(100).unwrap();
    let mut wake = bus.subscribe(["a".."c", "b".."d"]).wake().unwrap();
    for value in 1..=3 {
        bus.emit(value, ["b", "a"]).unwrap();
        assert_eq!(sub.try_recv().unwrap().value(), value);
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(wake.try_recv().unwrap().count(), 1);
        assert!(wake.try_recv().is_err());
    }
}

#[test]
fn g03_every_matching_emit_lies_in_a_span_also_without_receives_for_long() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe("a".."m").wake().unwrap();
    let mut n_covered = 0;
    for value in 0..1000 {
        bus.emit(value, [if value % 3 == 0 { "x" } else { "b" }])
            .unwrap();
        if value % 97 == 0 {
            n_covered += sub.try_recv().map_or(0, |span| span.count());
        }
    }
    n_covered += sub.try_recv().map_or(0, |span| span.count());
    assert_eq!(
        n_covered,
        (0..1000).filter(|value| value % 3 != 0).count() as u64
    );
}

#[test]
fn g04_one_emit_is_one_event_with_all_its_matching_keys_in_their_order() {
    let bus = RangeWatchBus::new();
    let mut sub = bus
        .subscribe([Selector::prefix("b"), Selector::key("a")])
        .events(10)
        .unwrap();
    bus.emit(1, ["b2", "x", "a", "b1", "", "b2"]).unwrap();
    let event = sub.try_recv().unwrap();
    assert!(event.keys().eq([&b"b2"[..], b"a", b"b1", b"b2"]));
    assert_eq!(event.keys().size_hint(), (0, Some(6)));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn g04_events_of_one_emit_show_each_subscription_its_own_keys() {
    let bus = RangeWatchBus::new();
    let mut low = bus.subscribe(.."m").events(1).unwrap();
    let mut high = bus.subscribe("m"..).events(1).unwrap();
    bus.emit(1, ["a", "z", "b", "y"]).unwrap();
    let (low, high) = (low.try_recv().unwrap(), high.try_recv().unwrap());
    assert!(low.keys().eq([b"a", b"b"]));
    assert!(high.keys().eq([b"z", b"y"]));
    assert_eq!(
        format!("{low:?}"),
        r#"Event { seq: Seq(1), value: 1, keys: ["a", "b"] }"#
    );
    assert_ne!(low, high);
    assert_eq!(low, low.clone());
}

#[test]
fn g05_what_begins_after_subscribe_is_seen_and_what_came_before_is_not() {
    let bus = RangeWatchBus::new();
    bus.emit(1, ["k"]).unwrap();
    let mut events = bus.subscribe(..).events(10).unwrap();
    let mut wake = bus.subscribe(..).wake().unwrap();
    bus.emit(2, ["k"]).unwrap();
    assert_eq!(events.try_recv().unwrap().value(), 2);
    assert_eq!(wake.try_recv().unwrap().first(), 2);
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn g11_one_delivery_per_emit_however_many_keys_and_selectors_match() {
    let bus = RangeWatchBus::new();
    let selectors: Selectors = (0..50).map(|i| Selector::key(format!("{i:02}"))).collect();
    let mut events = bus.subscribe(&selectors).events(10).unwrap();
    let mut wake = bus.subscribe(&selectors).wake().unwrap();
    let emitted = bus.emit(1, (0..50).map(|i| format!("{i:02}"))).unwrap();
    assert_eq!(emitted.matched(), 2);
    assert_eq!(events.len(), 1);
    assert_eq!(events.try_recv().unwrap().keys().count(), 50);
    assert_eq!(wake.try_recv().unwrap().count(), 1);
}

#[test]
fn every_accepted_emit_takes_a_seq_also_without_keys_and_without_subscriptions() {
    let bus = RangeWatchBus::new();
    assert_eq!(bus.last_seq(), None);
    assert_eq!(bus.emit(1, ["k"]).unwrap().seq().get(), 1);
    let mut sub = bus.subscribe(..).events(1).unwrap();
    let nothing = bus.emit(2, [""; 0]).unwrap();
    assert_eq!((nothing.seq().get(), nothing.matched()), (2, 0));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(bus.last_seq(), Seq::new(2));
    bus.close();
    assert!(bus.emit(3, ["k"]).is_err());
    assert_eq!(bus.last_seq(), Seq::new(2));
}

#[test]
fn a_subscription_without_selectors_receives_nothing_until_the_close() {
    let bus = RangeWatchBus::new();
    let mut events = bus.subscribe(Selectors::new()).events(1).unwrap();
    let mut wake = bus.subscribe(Selectors::new()).wake().unwrap();
    assert_eq!(bus.n_subscriptions(), 2);
    assert_eq!(bus.emit(1, ["", "k", "\u{10ffff}"]).unwrap().matched(), 0);
    assert!(events.try_recv().is_err() && wake.try_recv().is_err());
    bus.close();
    assert!(block_on(events.recv()).is_err() && block_on(wake.recv()).is_err());
}
