//! Emitters that wait for room: what wakes them, in which order, and that none blocks another.

use std::sync::Arc;
use std::task::{Context, Waker};

use loom::future::block_on;
use loom::thread;
use rangewatch_bus::{
    EmitError, EventSubscription, Overflow, RangeWatchBus, Selector, TryRecvError,
};

use super::{
    NoTask, THREE_THREADS, TWO_THREADS, all, model, narrow, patient_emitter,
    poll_once_without_task, recv_value, spawn, with_history,
};

#[test]
fn g21_an_emitter_that_waits_for_room_is_woken_by_a_receive() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = narrow(&bus);
        bus.emit(1, ["k"]).unwrap();
        let emitter = patient_emitter(&bus, 2);
        assert_eq!(recv_value(&mut sub), 1);
        assert_eq!(recv_value(&mut sub), 2);
        emitter.join().unwrap();
    });
}

#[test]
fn g21_emitters_that_wait_for_room_are_woken_by_a_receive_of_several_events() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let builder = all(&bus).overflow(Overflow::Backpressure);
        let mut sub = builder.events(2).unwrap();
        bus.emit(1, ["k"]).unwrap();
        bus.emit(2, ["k"]).unwrap();
        let emitters = [patient_emitter(&bus, 3), patient_emitter(&bus, 4)];
        let mut received = Vec::new();
        while received.len() < 4 {
            block_on(sub.recv_many(&mut received, 4)).unwrap();
        }
        let mut values: Vec<_> = received.iter().map(|event| event.value()).collect();
        assert_eq!(values[..2], [1, 2]);
        values.sort_unstable();
        assert_eq!(values, [1, 2, 3, 4]);
        for emitter in emitters {
            emitter.join().unwrap();
        }
    });
}

#[test]
fn g21_an_emitter_that_waits_for_room_is_woken_by_the_end_of_the_subscription() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let sub = narrow(&bus);
        bus.emit(1, ["k"]).unwrap();
        let emitter = patient_emitter(&bus, 2);
        drop(sub);
        emitter.join().unwrap();
    });
}

#[test]
fn g21_an_emitter_that_waits_for_room_is_woken_by_a_close() {
    for close in [RangeWatchBus::close, RangeWatchBus::close_now] {
        model(TWO_THREADS, move || {
            let bus = RangeWatchBus::new();
            let _sub = narrow(&bus);
            bus.emit(1, ["k"]).unwrap();
            let emitter = spawn(&bus, |bus| {
                assert_eq!(block_on(bus.emit_async(2, ["k"])), Err(EmitError::Closed))
            });
            close(&bus);
            emitter.join().unwrap();
        });
    }
}

#[test]
fn g21_an_emitter_that_waits_for_room_is_woken_by_an_edit() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = narrow(&bus);
        bus.emit(1, ["k"]).unwrap();
        let emitter = patient_emitter(&bus, 2);
        sub.set_selectors("other".."others").unwrap();
        emitter.join().unwrap();
        assert_eq!(recv_value(&mut sub), 1);
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn g21_an_emitter_that_waits_for_room_is_woken_when_values_are_no_longer_wanted() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = all(&bus)
            .overflow(Overflow::Backpressure)
            .hold()
            .events(1)
            .unwrap();
        bus.emit(1, ["k"]).unwrap();
        let emitter = patient_emitter(&bus, 2);
        sub.start_after(1).unwrap();
        emitter.join().unwrap();
        assert_eq!(recv_value(&mut sub), 2);
    });
}

#[test]
fn g21_an_emitter_that_waits_for_room_is_woken_when_the_subscription_parks() {
    model(TWO_THREADS, || {
        let bus = with_history();
        let mut sub = narrow(&bus);
        bus.emit(1, ["k"]).unwrap();
        let emitter = patient_emitter(&bus, 3);
        bus.emit(2, ["k"]).unwrap();
        emitter.join().unwrap();
        assert_eq!([(); 3].map(|()| recv_value(&mut sub)), [1, 2, 3]);
    });
}

#[test]
fn g21_dropping_the_future_of_a_waiting_emitter_emits_nothing_and_blocks_no_other() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = narrow(&bus);
        bus.emit(1, ["k"]).unwrap();
        let quitter = spawn(&bus, |bus| {
            poll_once_without_task(bus.emit_async(2, ["k"])).is_pending()
        });
        let emitter = patient_emitter(&bus, 3);
        let mut received = vec![recv_value(&mut sub), recv_value(&mut sub)];
        let was_pending = quitter.join().unwrap();
        if !was_pending {
            received.push(recv_value(&mut sub));
        }
        emitter.join().unwrap();
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
        received.sort_unstable();
        assert_eq!(
            received,
            if was_pending {
                vec![1, 3]
            } else {
                vec![1, 2, 3]
            }
        );
    });
}

#[test]
fn g21_two_waiting_emitters_over_two_subscriptions_do_not_deadlock() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let (mut first, mut second) = (narrow(&bus), narrow(&bus));
        let emitters = [patient_emitter(&bus, 1), patient_emitter(&bus, 2)];
        // The second is drained after the first each time, so that an emitter waits for one and
        // then the other.
        let received = [(); 2].map(|()| (recv_value(&mut first), recv_value(&mut second)));
        for emitter in emitters {
            emitter.join().unwrap();
        }
        for (first, second) in received {
            assert_eq!(first, second, "one order for both");
        }
        assert_ne!(received[0], received[1]);
    });
}

#[test]
fn g21_a_waiting_emitter_commits_only_when_there_is_room_everywhere() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let (mut first, mut second) = (narrow(&bus), narrow(&bus));
        bus.emit(1, ["k"]).unwrap();
        let emitter = patient_emitter(&bus, 2);
        let consumer = thread::spawn(move || {
            assert_eq!([(); 2].map(|()| recv_value(&mut second)), [1, 2]);
        });
        assert_eq!([(); 2].map(|()| recv_value(&mut first)), [1, 2]);
        emitter.join().unwrap();
        consumer.join().unwrap();
    });
}

#[test]
fn g21_dropping_a_notified_future_notifies_the_next() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = narrow(&bus);
        bus.emit(1, ["k"]).unwrap();
        let mut first = Box::pin(bus.emit_async(2, ["k"]));
        let waker = Waker::from(Arc::new(NoTask));
        assert!(
            first
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        let second = patient_emitter(&bus, 3);
        let consumer = thread::spawn(move || {
            assert_eq!([(); 2].map(|()| recv_value(&mut sub)), [1, 3]);
        });
        // Before or after the receive that notifies it.
        drop(first);
        second.join().unwrap();
        consumer.join().unwrap();
    });
}

#[test]
fn g21_emitters_that_share_one_of_their_two_consumers_both_return() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let narrow = |key: &str| {
            let builder = bus.subscribe(Selector::key(key));
            builder.overflow(Overflow::Backpressure).events(1).unwrap()
        };
        let (mut a, mut b) = (narrow("a"), narrow("b"));
        bus.emit(1, ["a", "b"]).unwrap();
        let emitters = [["a", "b"], ["b", "c"]].map(|keys| {
            spawn(&bus, move |bus| {
                block_on(bus.emit_async(2, keys)).map(drop).unwrap()
            })
        });
        recv_value(&mut a);
        for _ in 0..3 {
            recv_value(&mut b);
        }
        recv_value(&mut a);
        emitters
            .into_iter()
            .for_each(|emitter| emitter.join().unwrap());
    });
}

#[test]
fn g21_an_edit_or_the_end_of_a_subscription_releases_an_emitter() {
    type Release = fn(&RangeWatchBus, EventSubscription) -> Option<EventSubscription>;
    let releases: [Release; 3] = [
        |_, mut sub| {
            sub.set_selectors(Selector::key("other")).unwrap();
            Some(sub)
        },
        |_, sub| {
            drop(sub);
            None
        },
        |bus, sub| {
            bus.close();
            Some(sub)
        },
    ];
    for release in releases {
        model(TWO_THREADS, move || {
            let bus = RangeWatchBus::new();
            let sub = narrow(&bus);
            bus.emit(1, ["k"]).unwrap();
            let emitter = spawn(&bus, |bus| block_on(bus.emit_async(2, ["k"])));
            let sub = release(&bus, sub);
            let emitted = emitter.join().unwrap();
            assert!(matches!(emitted, Ok(_) | Err(EmitError::Closed)));
            drop(sub);
        });
    }
}
