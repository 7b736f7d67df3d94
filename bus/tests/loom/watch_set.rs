//! Watch sets: receivers, deliveries, inserts and removes beside emitters.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use loom::future::block_on;
use loom::thread;
use rangewatch_bus::{RangeWatchBus, WatchSet};

use super::{THREE_THREADS, TWO_THREADS, all, emitter, model, poll_once_without_task};

/// A set with a subscription to everything under each key.
fn watch_set(bus: &RangeWatchBus, keys: impl IntoIterator<Item = u8>) -> Arc<WatchSet<u8>> {
    let watches = WatchSet::new();
    for key in keys {
        watches.insert(key, all(bus).wake().unwrap());
    }
    Arc::new(watches)
}

#[test]
fn g12_a_waiting_receiver_of_a_watch_set_is_woken_by_each_emit() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [7]);
        let emitter = emitter(&bus, 1..=3);
        let mut n_received = 0;
        while n_received < 3 {
            let (key, span) = block_on(watches.recv());
            let span = span.unwrap();
            assert_eq!(
                (key, span.first()),
                (7, n_received + 1),
                "a gap or a repeat"
            );
            n_received += span.count();
        }
        emitter.join().unwrap();
        assert_eq!((n_received, watches.n_ready()), (3, 0));
    });
}

#[test]
fn g12_an_insert_beside_an_emit_wakes_a_waiting_receiver() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, []);
        let sub = all(&bus).wake().unwrap();
        let emitter = emitter(&bus, [1]);
        let inserter = thread::spawn({
            let watches = Arc::clone(&watches);
            move || assert!(watches.insert(7, sub).is_none())
        });
        let (key, span) = block_on(watches.recv());
        assert_eq!((key, span.unwrap().count()), (7, 1));
        emitter.join().unwrap();
        inserter.join().unwrap();
        assert!(watches.try_recv().is_none());
    });
}

#[test]
fn g12_two_receivers_of_a_watch_set_receive_the_two_keys_of_one_emit() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [1, 2]);
        let receivers = [(); 2].map(|()| {
            let watches = Arc::clone(&watches);
            thread::spawn(move || {
                let (key, span) = block_on(watches.recv());
                assert_eq!(span.unwrap().count(), 1);
                key
            })
        });
        bus.emit(1, ["k"]).unwrap();
        let mut keys = receivers.map(|receiver| receiver.join().unwrap());
        keys.sort_unstable();
        assert_eq!(keys, [1, 2]);
        assert_eq!(watches.n_ready(), 0);
    });
}

#[test]
fn g23_a_remove_beside_an_emit_leaves_nothing_in_the_watch_set() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [7]);
        let emitter = emitter(&bus, 1..=2);
        let removed = watches.remove(&7).unwrap();
        assert_eq!(watches.n_ready(), 0);
        emitter.join().unwrap();
        assert_eq!((watches.len(), watches.n_ready()), (0, 0));
        assert_eq!(removed.lag(), 2);
    });
}

#[test]
fn g23_dropping_a_watch_set_beside_an_emit_ends_its_subscriptions() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [1, 2]);
        let emitter = emitter(&bus, 1..=2);
        drop(watches);
        emitter.join().unwrap();
        assert_eq!(bus.n_subscriptions(), 0);
    });
}

#[test]
fn g12_a_receiver_dropped_beside_an_emit_notifies_another() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [1, 2]);
        // It takes one of the two keys at most.
        let quitter = thread::spawn({
            let watches = Arc::clone(&watches);
            move || usize::from(poll_once_without_task(watches.recv()).is_ready())
        });
        let emitter = emitter(&bus, [1]);
        block_on(watches.recv()).1.unwrap();
        emitter.join().unwrap();
        let n_taken = 1 + quitter.join().unwrap();
        assert_eq!(watches.n_ready(), 2 - n_taken);
    });
}

#[test]
fn g12_a_claim_that_is_dropped_beside_an_emit_is_announced_again() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [7]);
        let quitter = thread::spawn({
            let watches = Arc::clone(&watches);
            move || drop(poll_once_without_task(watches.ready()))
        });
        let emitter = emitter(&bus, [1]);
        let delivery = block_on(watches.ready()).take().unwrap();
        assert_eq!(delivery.span().unwrap().last(), 1);
        emitter.join().unwrap();
        quitter.join().unwrap();
    });
}

#[test]
fn g31_deliveries_of_one_key_never_overlap_and_lose_nothing() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [7]);
        let running = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let n_received = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let workers = [(); 2].map(|()| {
            let watches = Arc::clone(&watches);
            let (running, n_received) = (Arc::clone(&running), Arc::clone(&n_received));
            thread::spawn(move || {
                // Twice, so that the second emit finds a worker.
                for _ in 0..2 {
                    if let Some(delivery) = watches.take() {
                        assert!(!running.swap(true, Ordering::SeqCst), "an overlap");
                        n_received.fetch_add(delivery.span().unwrap().count(), Ordering::SeqCst);
                        thread::yield_now();
                        running.store(false, Ordering::SeqCst);
                    }
                }
            })
        });
        bus.emit(1, ["k"]).unwrap();
        bus.emit(2, ["k"]).unwrap();
        for worker in workers {
            worker.join().unwrap();
        }
        let rest = watches
            .take()
            .map_or(0, |rest| rest.span().unwrap().count());
        assert_eq!(n_received.load(Ordering::SeqCst) + rest, 2);
    });
}

#[test]
fn g12_an_emit_beside_the_end_of_a_delivery_wakes_the_receiver() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [7]);
        bus.emit(1, ["k"]).unwrap();
        let delivery = watches.take().unwrap();
        let emitter = emitter(&bus, [2]);
        drop(delivery);
        let delivery = block_on(watches.ready()).take().unwrap();
        assert_eq!(delivery.span().unwrap().last(), 2);
        emitter.join().unwrap();
    });
}

#[test]
fn g12_a_start_through_a_watch_set_beside_an_emit_wakes_the_receiver() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, []);
        watches.insert(7, all(&bus).hold().wake().unwrap());
        let emitter = emitter(&bus, [1]);
        let starter = thread::spawn({
            let watches = Arc::clone(&watches);
            move || watches.with(&7, |sub| sub.start()).unwrap().unwrap()
        });
        assert_eq!(block_on(watches.recv()).1.unwrap().last(), 1);
        emitter.join().unwrap();
        starter.join().unwrap();
    });
}

#[test]
fn g23_a_remove_beside_a_with_drops_the_subscription() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [7]);
        let user = thread::spawn({
            let watches = Arc::clone(&watches);
            move || assert!(watches.with(&7, |sub| sub.lag()).is_none_or(|lag| lag == 0))
        });
        drop(watches.remove(&7));
        user.join().unwrap();
        assert_eq!((watches.len(), bus.n_subscriptions()), (0, 0));
    });
}

#[test]
fn g27_a_close_beside_a_receiver_ends_each_key_of_a_watch_set_once() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let watches = watch_set(&bus, [1, 2]);
        let closer = thread::spawn(move || {
            bus.emit(1, ["k"]).unwrap();
            bus.close();
        });
        let (mut n_emits, mut ends) = (0, Vec::new());
        while ends.len() < 2 {
            match block_on(watches.recv()) {
                (_, Ok(span)) => n_emits += span.count(),
                (key, Err(_)) => ends.push(key),
            }
        }
        closer.join().unwrap();
        ends.sort_unstable();
        assert_eq!((n_emits, ends), (2, vec![1, 2]));
        assert!(watches.try_recv().is_none());
    });
}
