//! Selectors that change while a subscription lives: each edit takes effect at one position.

mod deadline;

use futures::executor::block_on;
use rangewatch_bus::{
    ControlError, History, Overflow, RangeWatchBus, RecvError, Selector, Selectors, TryRecvError,
};
use rangewatch_checker::Checker;

#[test]
fn g28_an_edit_takes_effect_at_the_position_that_it_returns() {
    let bus = RangeWatchBus::new();
    let mut events = bus.subscribe("a".."c").events(10).unwrap();
    let mut wake = bus.subscribe("a".."c").wake().unwrap();
    bus.emit(1, ["a", "x"]).unwrap();
    let at = events.add_selectors(Selector::key("x")).unwrap();
    assert_eq!(wake.add_selectors(Selector::key("x")), Ok(at));
    assert_eq!(bus.emit(2, ["a", "x"]).unwrap().seq(), at);
    let at = events.remove_selectors("a".."b").unwrap();
    assert_eq!(wake.remove_selectors("a".."b"), Ok(at));
    assert_eq!(bus.emit(3, ["a"]).unwrap().matched(), 0);
    events
        .set_selectors([Selector::key("p"), Selector::key("q")])
        .unwrap();
    assert_eq!(
        bus.emit(4, ["x", "b"]).unwrap().matched(),
        1,
        "only the other one"
    );
    bus.emit(5, ["q", "a", "p"]).unwrap();

    // Each event shows the keys of its time, however late it is received.
    assert!(events.try_recv().unwrap().keys().eq([b"a"]));
    assert!(events.try_recv().unwrap().keys().eq([b"a", b"x"]));
    assert!(events.try_recv().unwrap().keys().eq([b"q", b"p"]));
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
    let span = wake.try_recv().unwrap();
    assert_eq!((span.first(), span.last(), span.count()), (1, 4, 3));
    let expected = [Selector::range("b", "c"), Selector::key("x")];
    assert_eq!(wake.selectors().as_slice().len(), expected.len());
    assert!(wake.selectors().matches(b"bz") && !wake.selectors().matches(b"a"));
}

#[test]
fn g28_what_a_parked_subscription_reads_matches_as_it_did_at_its_time() {
    let history = History::events(1_000);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let mut sub = bus.subscribe(Selector::key("a")).events(1).unwrap();
    let mut expected = Vec::new();
    for (value, key) in (1..=400).zip(["a", "b", "c", "d"].into_iter().cycle()) {
        if value % 50 == 0 {
            let next = ["a", "b", "c", "d"][value as usize / 50 % 4];
            sub.set_selectors(Selector::key(next)).unwrap();
        }
        let watched = sub.selectors();
        bus.emit(value, [key, "z"]).unwrap();
        if watched.matches(key.as_bytes()) {
            expected.push((value, key));
        }
    }
    for (value, key) in expected {
        let event = sub.try_recv().unwrap();
        assert_eq!(event.value(), value);
        assert!(event.keys().eq([key.as_bytes()]));
    }
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    assert!(sub.stats().is_conserved());
}

#[test]
fn g28_an_edit_behind_the_history_holds_also_if_a_start_brings_the_subscription_back() {
    let history = History::events(5);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let emit = |values: std::ops::RangeInclusive<u64>| {
        for value in values {
            bus.emit(value, ["k"]).unwrap();
        }
    };
    emit(1..=1);
    let mut sub = bus.subscribe("x"..).since(1).events(1).unwrap();
    emit(2..=9);
    // The history begins at 5, so that it would end, did it not leave out what is lost.
    sub.set_selectors(..).unwrap();
    sub.start_after(6).unwrap();
    emit(10..=10);
    assert_eq!(sub.try_recv().unwrap().value(), 10);
}

#[test]
fn g28_edits_between_concurrent_emits_take_effect_at_one_position_each() {
    deadline::ends(|| {
        let (bus, checker) = (RangeWatchBus::new(), Checker::new());
        let (mut sub, log) = checker
            .subscribe(&bus, Selector::key("a"), |builder| builder.events(100_000))
            .unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for value in 0..2_000 {
                        checker.emit(&bus, value, ["a", "b", "c"]).unwrap();
                    }
                });
            }
            for i in 0..200 {
                let key = Selector::key(["a", "b", "c"][i % 3]);
                let seq = if i % 2 == 0 {
                    let seq = sub.add_selectors(&key).unwrap();
                    log.selectors_added(seq, key);
                    seq
                } else {
                    let seq = sub.remove_selectors(&key).unwrap();
                    log.selectors_removed(seq, key);
                    seq
                };
                // So that edits lie apart, as long as there are emits.
                while bus.last_seq() < Some(seq) && seq.get() < 4_000 {
                    std::thread::yield_now();
                }
            }
        });
        bus.close();
        while let Ok(event) = block_on(sub.recv()) {
            log.record(&event);
        }
        log.record(RecvError::Closed);
        log.at_rest(bus.last_seq(), sub.stats());
        checker.verify().unwrap_or_else(|broken| panic!("{broken}"));
    });
}

#[test]
fn g28_an_edit_that_changes_nothing_and_one_that_leaves_nothing_are_edits() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe("a".."c").wake().unwrap();
    assert_eq!(sub.add_selectors("a".."b").unwrap().get(), 1);
    assert_eq!(sub.remove_selectors("x"..).unwrap().get(), 1);
    assert_eq!(sub.add_selectors(Selectors::new()).unwrap().get(), 1);
    assert_eq!(bus.emit(1, ["b"]).unwrap().matched(), 1);
    assert_eq!(sub.remove_selectors(..).unwrap().get(), 2);
    assert!(sub.selectors().is_empty());
    assert_eq!(bus.emit(2, ["b"]).unwrap().matched(), 0);
    sub.add_selectors(..).unwrap();
    assert_eq!(bus.emit(3, ["b"]).unwrap().matched(), 1);
}

#[test]
fn g26_an_edit_that_is_refused_changes_nothing() {
    let bus = RangeWatchBus::new();
    let builder = bus.subscribe("a".."c").overflow(Overflow::Disconnect);
    let mut sub = builder.events(1).unwrap();
    let empty = sub.set_selectors("b".."a").unwrap_err();
    assert!(matches!(empty, ControlError::EmptyRange { .. }), "{empty}");
    assert!(empty.to_string().contains("holds no key"), "{empty}");
    assert_eq!(sub.selectors().len(), 1);
    assert_eq!(sub.open(..), Err(ControlError::AlreadyOpen));

    bus.emit(1, ["b"]).unwrap();
    bus.emit(2, ["b"]).unwrap();
    let ended = sub.add_selectors("x"..).unwrap_err();
    assert_eq!(ended, ControlError::Ended);
    assert!(ended.to_string().contains("make another one"), "{ended}");
    assert_eq!(bus.emit(3, ["x"]).unwrap().matched(), 0);

    let mut other = bus.subscribe("a".."c").wake().unwrap();
    bus.close();
    let closed = other.add_selectors("x"..).unwrap_err();
    assert_eq!(closed, ControlError::Closed);
    assert!(closed.to_string().contains("closed"), "{closed}");
    assert_eq!(other.selectors().len(), 1);
}
