//! Edits of the selectors of a subscription beside an emitter or a close.

use loom::future::block_on;
use loom::thread;
use rangewatch_bus::{ControlError, RangeWatchBus, RecvError, Selector, Seq, TryRecvError};

use super::{TWO_THREADS, all, model, spawn, with_history};

#[test]
fn g28_an_edit_beside_an_emitter_takes_effect_at_the_position_that_it_returns() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(Selector::key("a")).events(8).unwrap();
        let emitter = spawn(&bus, |bus| {
            [1, 2, 3].map(|value| bus.emit(value, ["a", "b"]).unwrap().seq())
        });
        let from = sub.set_selectors(Selector::key("b")).unwrap();
        let seqs = emitter.join().unwrap();
        for seq in seqs {
            let event = sub.try_recv().unwrap();
            assert_eq!(event.seq(), seq);
            let key: &[u8] = if seq < from { b"a" } else { b"b" };
            assert!(event.keys().eq([key]), "{event:?} of an edit at {from:?}");
        }
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn g28_the_position_of_an_edit_tells_what_is_matched() {
    let emits: [fn(&RangeWatchBus, &str) -> Seq; 2] = [
        |bus, key| bus.emit(1, [key]).unwrap().seq(),
        |bus, key| block_on(bus.emit_async(1, [key])).unwrap().seq(),
    ];
    emits.into_iter().for_each(check_the_position_of_an_edit);
}

fn check_the_position_of_an_edit(emit: fn(&RangeWatchBus, &str) -> Seq) {
    model(TWO_THREADS, move || {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(Selector::key("a")).events(8).unwrap();
        let emitter = spawn(&bus, move |bus| {
            ["a", "b", "a", "b"].map(|key| (emit(bus, key), key))
        });
        let from = sub.set_selectors(Selector::key("b")).unwrap();
        let wanted = emitter.join().unwrap().into_iter();
        for (seq, key) in wanted.filter(|(seq, key)| (*seq < from) == (*key == "a")) {
            let event = sub.try_recv().unwrap();
            assert_eq!(event.seq(), seq, "an edit at {from:?}");
            assert!(event.keys().eq([key.as_bytes()]));
        }
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn g28_an_edit_while_parked_is_seen_at_its_position_when_the_history_is_read() {
    model(TWO_THREADS, || {
        let bus = with_history();
        let mut sub = bus.subscribe(Selector::key("a")).events(1).unwrap();
        let emitter = spawn(&bus, |bus| {
            [1, 2, 3].map(|value| bus.emit(value, ["a", "b"]).unwrap().seq())
        });
        let from = sub.set_selectors(Selector::key("b")).unwrap();
        for value in 1..=3 {
            let event = block_on(sub.recv()).unwrap();
            assert_eq!(event.value(), value);
            let key: &[u8] = if event.seq() < from { b"a" } else { b"b" };
            assert!(event.keys().eq([key]), "{event:?} of an edit at {from:?}");
        }
        emitter.join().unwrap();
        assert_eq!(sub.lag(), 0);
    });
}

#[test]
fn g26_an_edit_beside_a_close_takes_effect_or_fails_with_closed() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = all(&bus).events(1).unwrap();
        let closer = thread::spawn(move || bus.close());
        let edited = sub.set_selectors("a".."b");
        assert!(
            matches!(edited, Ok(_) | Err(ControlError::Closed)),
            "{edited:?}"
        );
        assert_eq!(block_on(sub.recv()), Err(RecvError::Closed));
        closer.join().unwrap();
    });
}
