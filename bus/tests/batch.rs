//! Several emits that take effect at once, or not at all.

mod count;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use rangewatch_bus::{EmitError, History, RangeWatchBus, TryRecvError};

use crate::count::counting;

fn with_history() -> RangeWatchBus {
    let history = History::events(100);
    RangeWatchBus::builder().history(history).build().unwrap()
}

#[test]
fn g04_pieces_of_one_value_are_one_emit() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(.."m").events(10).unwrap();
    let mut batch = bus.batch(1 << 10);
    batch.stage(1, ["a", "z"]).unwrap();
    batch.stage(1, ["b"]).unwrap();
    batch.stage(2, [""; 0]).unwrap();
    batch.stage(1, ["c"]).unwrap();
    assert_eq!((batch.n_emits(), bus.last_seq()), (3, None));
    let many = batch.commit().unwrap();
    assert_eq!((many.n_emits(), many.matched(), many.parked()), (3, 2, 0));
    assert_eq!(many.first_seq().map(u64::from), Some(1));
    assert_eq!(many.last_seq().map(u64::from), Some(3));
    assert!(sub.try_recv().unwrap().keys().eq([b"a", b"b"]));
    assert!(sub.try_recv().unwrap().keys().eq([b"c"]));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn g02_a_batch_that_is_committed_twice_emits_once() {
    for bus in [RangeWatchBus::new(), with_history()] {
        let mut sub = bus.subscribe(..).events(10).unwrap();
        let mut batch = bus.batch(1 << 10);
        batch.stage(1, ["a"]).unwrap();
        assert_eq!(batch.commit().unwrap().n_emits(), 1);
        assert_eq!((batch.n_emits(), batch.n_bytes()), (0, 0));
        let again = batch.commit().unwrap();
        assert_eq!((again.n_emits(), again.first_seq()), (0, None));
        // It may be used again, also for the value of before where values may repeat.
        batch.stage(2, ["b"]).unwrap();
        assert_eq!(batch.commit().unwrap().n_emits(), 1);
        assert!(sub.try_recv().unwrap().keys().eq([b"a"]));
        assert!(sub.try_recv().unwrap().keys().eq([b"b"]));
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(bus.last_seq().map(u64::from), Some(2));
    }
}

#[test]
fn g04_a_value_that_is_refused_refuses_all() {
    let bus = with_history();
    bus.emit(5, ["k"]).unwrap();
    let mut sub = bus.subscribe(..).events(10).unwrap();
    let refused = |values: &[u64]| {
        let mut batch = bus.batch(1 << 10);
        for value in values {
            batch.stage(*value, ["k"]).unwrap();
        }
        let emits = values.iter().map(|value| (*value, ["k"]));
        let error = bus.emit_many(emits).unwrap_err();
        assert_eq!(batch.commit(), Err(error));
        error
    };
    let not_increasing = |value, head| EmitError::NotIncreasing { value, head };
    assert_eq!(refused(&[5, 6]), not_increasing(5, 5));
    assert_eq!(refused(&[6, 8, 7]), not_increasing(7, 8));
    assert_eq!(refused(&[6, u64::MAX]), EmitError::LastValue);
    assert_eq!((bus.head(), bus.last_seq().unwrap().get()), (Some(5), 1));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(
        bus.emit_many([(6, ["k"]), (9, ["k"])]).unwrap().matched(),
        2
    );
    bus.close();
    assert_eq!(refused(&[10]), EmitError::Closed);
    assert_eq!(refused(&[]), EmitError::Closed);
}

#[test]
fn nothing_is_emitted_by_nothing_and_by_a_batch_that_is_dropped() {
    let bus = with_history();
    let many = bus.emit_many([(0, [""; 0]); 0]).unwrap();
    assert_eq!(
        (many.first_seq(), many.last_seq(), many.n_emits()),
        (None, None, 0)
    );
    assert_eq!(bus.batch(0).commit(), Ok(many));
    let mut batch = bus.batch(1 << 10);
    batch.stage(1, ["k"]).unwrap();
    drop(batch);
    assert_eq!((bus.last_seq(), bus.head()), (None, None));
}

#[test]
fn g26_a_full_batch_keeps_what_it_has_and_says_its_bound() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(10).unwrap();
    // An emit and a key of one byte count for 17.
    let mut batch = bus.batch(34);
    batch.stage(1, ["a"]).unwrap();
    assert_eq!(batch.n_bytes(), 17);
    let full: Result<(), usize> = Err(34);
    assert_eq!(
        batch.stage(1, ["b", "c"]).map_err(|error| error.max_bytes),
        full
    );
    assert_eq!(
        batch.stage(2, ["dd"]).map_err(|error| error.max_bytes),
        full
    );
    assert_eq!((batch.n_bytes(), batch.n_emits()), (17, 1));
    batch.stage(2, ["d"]).unwrap();
    assert_eq!(
        batch.stage(3, [""; 0]).map_err(|error| error.max_bytes),
        full
    );
    assert_eq!((batch.n_bytes(), batch.n_emits()), (34, 2));
    let error = batch.stage(2, ["e"]).unwrap_err();
    assert!(error.to_string().contains("at most 34 bytes"), "{error}");
    assert_eq!(batch.commit().unwrap().n_emits(), 2);
    assert!(sub.try_recv().unwrap().keys().eq([b"a"]));
    assert!(sub.try_recv().unwrap().keys().eq([b"d"]));
    assert!(bus.batch(0).stage(1, [""; 0]).is_err());
}

#[test]
fn g26_a_panic_of_the_keys_stages_none_of_them() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(10).unwrap();
    let mut batch = bus.batch(1 << 10);
    batch.stage(1, ["a"]).unwrap();
    for value in [1, 2] {
        let keys = ["b", "c"].into_iter().inspect(|key| assert_ne!(*key, "c"));
        let staging = AssertUnwindSafe(|| batch.stage(value, keys));
        assert!(catch_unwind(staging).is_err());
    }
    assert_eq!((batch.n_emits(), batch.n_bytes()), (1, 17));
    assert_eq!(batch.commit().unwrap().n_emits(), 1);
    assert!(sub.try_recv().unwrap().keys().eq([b"a"]));
}

#[test]
fn g15_what_the_emits_of_a_batch_match_is_bounded() {
    let bus = with_history();
    let mut subs: Vec<_> = (0..10)
        .map(|_| bus.subscribe("b".."d").wake().unwrap())
        .collect();
    let mut batch = bus.batch(1 << 10).max_matched(20);
    for (value, key) in [(1, "b"), (2, "e"), (3, "c"), (4, "bb")] {
        batch.stage(value, [key, key]).unwrap();
    }
    let refused = Err(EmitError::TooManyMatched { max_matched: 20 });
    assert_eq!(batch.commit(), refused);
    assert_eq!((bus.head(), batch.n_emits(), batch.n_keys()), (None, 4, 8));
    assert!(subs.iter_mut().all(|sub| sub.try_recv().is_err()));
    // The bound is on what matches, not on emits times subscriptions, which are 24.
    drop(subs.split_off(6));
    assert_eq!(batch.commit().unwrap().matched(), 18);
    // A single emit is not bounded.
    let mut one = bus.batch(1 << 10).max_matched(5);
    one.stage(5, ["b"]).unwrap();
    assert_eq!(one.commit().unwrap().matched(), 6);
}

#[test]
fn g15_a_batch_wakes_each_waiting_consumer_once() {
    let bus = with_history();
    let mut events = bus.subscribe(..).events(1).unwrap();
    let mut wake = bus.subscribe(..).wake().unwrap();
    let (waker, count) = counting();
    let mut cx = Context::from_waker(&waker);
    assert!(events.poll_recv(&mut cx).is_pending() && wake.poll_recv(&mut cx).is_pending());
    let many = bus.emit_many((1..=5).map(|value| (value, ["k"]))).unwrap();
    assert_eq!((many.matched(), many.parked(), many.woken()), (10, 4, 2));
    assert_eq!(count.n_wakes(), 2);
    assert!(matches!(wake.poll_recv(&mut cx), Poll::Ready(Ok(span)) if span.count() == 5));
}
