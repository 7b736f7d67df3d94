//! Consumers that read the history beside an emitter, a compaction or a close.

use loom::future::block_on;
use rangewatch_bus::{RecvError, SubscribeError, TryRecvError};

use super::{TWO_THREADS, all, emitter, model, recv_spans, recv_value, spawn, with_history};

#[test]
fn g02_a_parked_subscription_catches_up_beside_an_emitter_and_is_live() {
    model(TWO_THREADS, || {
        let bus = with_history();
        let mut sub = all(&bus).events(1).unwrap();
        let emitter = emitter(&bus, 1..=4);
        for value in 1..=4 {
            assert_eq!(recv_value(&mut sub), value, "a gap or a repeat");
        }
        emitter.join().unwrap();
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(sub.lag(), 0);
        assert_eq!(bus.emit(5, ["k"]).unwrap().parked(), 0, "still parked");
        assert_eq!(recv_value(&mut sub), 5);
        assert!(sub.stats().is_conserved(), "{:?}", sub.stats());
    });
}

/// More than are read under the lock, so that a catch-up begins outside of it.
const N_OLD: u64 = 33;

#[test]
fn g02_the_seam_between_a_chunk_of_the_history_and_live_has_no_gap() {
    model(TWO_THREADS, || {
        let bus = with_history();
        for value in 1..=N_OLD {
            bus.emit(value, ["k"]).unwrap();
        }
        let mut sub = all(&bus).since(1).events(100).unwrap();
        let emitter = emitter(&bus, N_OLD + 1..=N_OLD + 2);
        for value in 1..=N_OLD + 2 {
            assert_eq!(recv_value(&mut sub), value, "a gap or a repeat");
        }
        emitter.join().unwrap();
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(bus.emit(100, ["k"]).unwrap().parked(), 0, "still parked");
        assert!(sub.stats().is_conserved(), "{:?}", sub.stats());
    });
}

#[test]
fn g02_a_span_that_begins_in_the_history_goes_on_without_a_gap() {
    model(TWO_THREADS, || {
        let bus = with_history();
        for value in 1..=N_OLD {
            bus.emit(value, ["k"]).unwrap();
        }
        let emitter = emitter(&bus, N_OLD + 1..=N_OLD + 2);
        let mut sub = all(&bus).since(1).wake().unwrap();
        assert_eq!(recv_spans(&mut sub, N_OLD + 2), (1, N_OLD + 2));
        emitter.join().unwrap();
        assert!(sub.try_recv().is_err());
    });
}

#[test]
fn g07_a_catch_up_beside_a_compaction_is_complete_or_ends_with_compacted() {
    model(TWO_THREADS, || {
        let bus = with_history();
        for value in 1..=N_OLD {
            bus.emit(value, ["k"]).unwrap();
        }
        let mut sub = all(&bus).since(1).events(8).unwrap();
        let compactor = spawn(&bus, |bus| bus.compact(N_OLD).unwrap());
        let mut last = 0;
        let end = loop {
            match block_on(sub.recv()) {
                Ok(event) => {
                    assert_eq!(event.value(), last + 1, "a silent gap");
                    last = event.value();
                    if last == N_OLD {
                        break None;
                    }
                }
                Err(end) => break Some(end),
            }
        };
        let floor = compactor.join().unwrap();
        if let Some(end) = end {
            assert_eq!(end, RecvError::Compacted { floor, epoch: 0 });
        }
        assert!(sub.stats().is_conserved(), "{:?}", sub.stats());
        let resumed = all(&bus).since(floor - 1).wake();
        assert_eq!(
            resumed.err(),
            Some(SubscribeError::Compacted { floor, epoch: 0 })
        );
    });
}

#[test]
fn g07_a_span_whose_history_is_compacted_while_it_is_read_is_refused_and_leaves_nothing() {
    model(TWO_THREADS, || {
        let bus = with_history();
        for value in 1..=N_OLD {
            bus.emit(value, ["k"]).unwrap();
        }
        let compactor = spawn(&bus, |bus| bus.compact(N_OLD).unwrap());
        let sub = all(&bus).since(1).wake();
        let floor = compactor.join().unwrap();
        match sub {
            Ok(mut sub) => assert_eq!(sub.try_recv().unwrap().count(), N_OLD),
            Err(error) => {
                assert_eq!(error, SubscribeError::Compacted { floor, epoch: 0 });
                assert_eq!(bus.n_subscriptions(), 0);
            }
        }
    });
}

#[test]
fn g27_close_now_beside_a_catch_up_ends_it() {
    model(TWO_THREADS, || {
        let bus = with_history();
        for value in 1..=N_OLD {
            bus.emit(value, ["k"]).unwrap();
        }
        let mut sub = all(&bus).since(1).events(8).unwrap();
        let closer = spawn(&bus, |bus| bus.close_now());
        let mut last = 0;
        while let Ok(event) = block_on(sub.recv()) {
            assert_eq!(event.value(), last + 1);
            last = event.value();
        }
        closer.join().unwrap();
        assert_eq!(bus.stats().n_parked(), 0);
    });
}
