//! A restore beside an emitter, a consumer, an open or a reader of a mirror.

use futures::stream;
use loom::future::block_on;
use loom::thread;
use rangewatch_bus::{EmitError, RangeWatchBus, RecvError, SubscribeError, TryRecvError};

use super::{TWO_THREADS, all, emitter, model, narrow, spawn, with_history};

const COMPACTED: RecvError = RecvError::Compacted { floor: 1, epoch: 1 };

/// Loses all values, on a thread.
fn restorer(bus: &RangeWatchBus) -> super::Thread {
    spawn(bus, |bus| {
        bus.restore(1, Some(0)).unwrap();
    })
}

#[test]
fn g07_a_receive_beside_a_restore_and_an_emitter_is_of_one_epoch() {
    model(TWO_THREADS, || {
        let bus = with_history();
        let mut sub = all(&bus).events(1).unwrap();
        let restorer = spawn(&bus, |bus| {
            bus.emit(7, ["k"]).unwrap();
            bus.restore(1, Some(0)).unwrap();
            bus.emit(1, ["k"]).unwrap();
        });
        assert_eq!(block_on(sub.recv()).unwrap().value(), 7);
        assert_eq!(block_on(sub.recv()), Err(COMPACTED));
        restorer.join().unwrap();
    });
}

/// More than are read under the lock, so that a catch-up begins outside of it.
const N_OLD: u64 = 33;

#[test]
fn g07_a_catch_up_beside_a_restore_ends_and_reads_nothing_of_the_new_epoch() {
    model(TWO_THREADS, || {
        let bus = with_history();
        for value in 1..=N_OLD {
            bus.emit(value, ["k"]).unwrap();
        }
        let mut sub = all(&bus).since(1).events(8).unwrap();
        let restorer = spawn(&bus, |bus| {
            bus.restore(1, Some(0)).unwrap();
            bus.emit(N_OLD, ["k"]).unwrap();
        });
        let mut last = 0;
        let end = loop {
            match block_on(sub.recv()) {
                Ok(event) => {
                    assert_eq!(event.value(), last + 1, "a silent gap");
                    assert_eq!(event.seq().get(), event.value(), "of another epoch");
                    last = event.value();
                }
                Err(end) => break end,
            }
        };
        assert_eq!(end, COMPACTED);
        restorer.join().unwrap();
        assert!(sub.stats().is_conserved(), "{:?}", sub.stats());
        assert_eq!((sub.lag(), bus.stats().n_parked()), (0, 0));
    });
}

#[test]
fn g07_a_span_whose_history_is_restored_while_it_is_read_covers_the_new_epoch() {
    model(TWO_THREADS, || {
        let bus = with_history();
        for value in 1..=N_OLD {
            bus.emit(value, ["k"]).unwrap();
        }
        let restorer = spawn(&bus, |bus| {
            bus.restore(1, Some(2)).unwrap();
            bus.emit(3, ["k"]).unwrap();
        });
        let sub = all(&bus).since(1).wake();
        restorer.join().unwrap();
        match sub {
            Ok(mut sub) => {
                let span = sub.try_recv().unwrap();
                assert!(span.is_conservative() && span.first() == 0 && span.last() == 3);
                assert!(sub.try_recv().is_err() && sub.stats().is_conserved());
            }
            Err(error) => {
                let compacted = SubscribeError::Compacted { floor: 3, epoch: 1 };
                assert_eq!((error, bus.n_subscriptions()), (compacted, 0));
            }
        }
    });
}

#[test]
fn g07_what_is_opened_beside_a_restore_is_of_one_epoch() {
    model(TWO_THREADS, || {
        let bus = with_history();
        bus.emit(7, ["k"]).unwrap();
        let mut events = bus.reserve().events(4).unwrap();
        let mut wake = bus.reserve().wake().unwrap();
        let restorer = restorer(&bus);
        events.open(..).unwrap();
        wake.open(..).unwrap();
        restorer.join().unwrap();
        events.start().unwrap();
        wake.start().unwrap();
        bus.emit(1, ["k"]).unwrap();
        match events.epoch() {
            Some(0) => assert_eq!(events.try_recv(), Err(COMPACTED.into())),
            Some(1) => assert_eq!(events.try_recv().unwrap().value(), 1),
            other => panic!("{other:?}"),
        }
        let span = wake.try_recv().unwrap();
        assert_eq!(span.first(), u64::from(!span.is_conservative()));
        assert_eq!((span.last(), wake.position()), (1, Some(1)));
    });
}

#[test]
fn g21_an_emitter_that_waits_beside_a_restore_is_released() {
    model(TWO_THREADS, || {
        let bus = with_history();
        let mut sub = narrow(&bus);
        bus.emit(1, ["k"]).unwrap();
        let waiting = spawn(&bus, |bus| block_on(bus.emit_async(2, ["k"])));
        bus.restore(1, Some(2)).unwrap();
        let falls = EmitError::NotIncreasing { value: 2, head: 2 };
        assert_eq!(waiting.join().unwrap(), Err(falls));
        assert_eq!(sub.try_recv().unwrap().value(), 1);
        let end = TryRecvError::Compacted { floor: 3, epoch: 1 };
        assert_eq!(sub.try_recv(), Err(end));
    });
}

#[test]
fn g41_a_reader_of_a_mirror_waits_across_a_restore() {
    model(3, || {
        let bus = with_history();
        let scan = |_| async { Ok((0, stream::empty::<Result<(&str, u64, ()), ()>>())) };
        let watched = bus.subscribe("watched".."watchee");
        let (mirror, mut driver) = watched.mirror(4, scan, |_, ()| Some(())).unwrap();
        let driving = thread::spawn(move || assert_eq!(block_on(driver.run()), Ok(())));
        bus.restore(1, Some(0)).unwrap();
        let emitting = emitter(&bus, [1]);
        assert_eq!(block_on(mirror.wait_until(1)), Ok(()));
        emitting.join().unwrap();
        assert_eq!(mirror.value(), Some(1));
        bus.close();
        driving.join().unwrap();
    });
}
