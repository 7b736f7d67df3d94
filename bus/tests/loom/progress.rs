//! Progress marks beside an emitter.

use loom::future::block_on;
use rangewatch_bus::{Item, Selector};

use super::{TWO_THREADS, emitter, model, with_history};

#[test]
fn g09_a_mark_comes_after_what_it_covers_beside_an_emitter() {
    // A queue that parks, and one that stays live.
    for capacity in [1, 8] {
        model(TWO_THREADS, move || {
            let bus = with_history();
            let mut sub = bus
                .subscribe(["k", "other"].map(Selector::key))
                .events(capacity)
                .unwrap();
            bus.emit(1, ["k"]).unwrap();
            let emitter = emitter(&bus, 2..=3);
            let least = sub.request_progress().unwrap().unwrap();
            let (mut last, mut mark) = (0, None);
            while last < 3 || mark.is_none() {
                match block_on(sub.recv_item()).unwrap() {
                    Item::Event(event) => {
                        assert_eq!(event.value(), last + 1, "a gap or a repeat");
                        assert!(mark.is_none_or(|mark| event.value() > mark));
                        last = event.value();
                    }
                    Item::Progress(value) => {
                        assert_eq!(value, last, "a mark before what it covers");
                        assert!(value >= least);
                        mark = Some(value);
                    }
                    other => panic!("{other:?}"),
                }
            }
            emitter.join().unwrap();
        });
    }
}

#[test]
fn g09_a_mark_of_a_subscription_that_never_matched_is_not_lost() {
    model(TWO_THREADS, || {
        let bus = with_history();
        bus.advance(7).unwrap();
        let mut sub = bus.subscribe("x".."y").events(1).unwrap();
        let emitter = emitter(&bus, 8..=9);
        let least = sub.request_progress().unwrap().unwrap();
        let Item::Progress(mark) = block_on(sub.recv_item()).unwrap() else {
            panic!("not a mark");
        };
        assert!((7..=9).contains(&least) && mark >= least);
        emitter.join().unwrap();
    });
}
