//! Handles of a bus: emitters and weak handles, what keeps it open, and the reason of its close.

use futures::executor::block_on;
use rangewatch_bus::{EmitError, Emitter, History, RangeWatchBus, TryRecvError, WeakRangeWatchBus};

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
fn a_handle_shows_the_name_of_its_bus() {
    let bus = RangeWatchBus::builder().name("orders").build().unwrap();
    let weak: WeakRangeWatchBus = bus.downgrade();
    assert!(format!("{bus:?}").contains("orders"));
    assert!(format!("{:?}", bus.emitter()).contains("orders"));
    assert_eq!(weak.upgrade().unwrap().name(), Some("orders"));
    assert_eq!(RangeWatchBus::new().name(), None);
}
