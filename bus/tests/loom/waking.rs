//! Consumers that wait, beside an emit, a start, a close and the drop of a subscription.

use std::task::Poll;

use loom::future::block_on;
use loom::thread;
use rangewatch_bus::{RangeWatchBus, RecvError, TryRecvError};

use super::{
    THREE_THREADS, TWO_THREADS, all, emitter, model, poll_once_without_task, recv_spans,
    recv_value, spawn,
};

#[test]
fn g12_a_waiting_consumer_of_spans_is_woken_by_each_emit() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = all(&bus).wake().unwrap();
        let emitter = emitter(&bus, 1..=3);
        assert_eq!(recv_spans(&mut sub, 3), (1, 3));
        emitter.join().unwrap();
        assert!(sub.try_recv().is_err());
    });
}

#[test]
fn g12_a_waiting_consumer_of_events_is_woken_by_each_emit() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = all(&bus).events(4).unwrap();
        let emitter = emitter(&bus, 1..=3);
        assert_eq!([(); 3].map(|()| recv_value(&mut sub)), [1, 2, 3]);
        emitter.join().unwrap();
        assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn g18_a_receive_of_several_events_misses_none_without_a_report() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = all(&bus).events(2).unwrap();
        let emitter = emitter(&bus, 1..=4);
        let (mut received, mut position) = (Vec::new(), 0);
        while position < 4 {
            match block_on(sub.recv_many(&mut received, 2)) {
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => position += missed,
                Err(error) => panic!("{error}"),
            }
            for event in received.drain(..) {
                assert_eq!(event.value(), position + 1, "a gap or a repeat");
                position += 1;
            }
        }
        emitter.join().unwrap();
    });
}

#[test]
fn g12_two_emitters_wake_one_consumer() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = all(&bus).events(4).unwrap();
        let emitters = [emitter(&bus, [1]), emitter(&bus, [2])];
        let mut received = [recv_value(&mut sub), recv_value(&mut sub)];
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
        for emitter in emitters {
            emitter.join().unwrap();
        }
    });
}

#[test]
fn g12_the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut events = all(&bus).events(4).unwrap();
        let mut spans = all(&bus).wake().unwrap();
        let emitter = emitter(&bus, [1]);
        // Another task polled before; the emit must not take its waker.
        let value = match poll_once_without_task(events.recv()) {
            Poll::Ready(event) => event.unwrap().value(),
            Poll::Pending => recv_value(&mut events),
        };
        assert_eq!(value, 1);
        let span = match poll_once_without_task(spans.recv()) {
            Poll::Ready(span) => span.unwrap(),
            Poll::Pending => block_on(spans.recv()).unwrap(),
        };
        assert_eq!(span.count(), 1);
        emitter.join().unwrap();
    });
}

#[test]
fn g12_a_consumer_that_starts_misses_nothing_that_was_held() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = all(&bus).hold().wake().unwrap();
        let emitter = emitter(&bus, 1..=2);
        sub.start().unwrap();
        assert_eq!(recv_spans(&mut sub, 2), (1, 2));
        emitter.join().unwrap();
    });
}

#[test]
fn g23_a_drop_beside_an_emit_leaves_nothing() {
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut events = all(&bus).events(1).unwrap();
        let spans = all(&bus).wake().unwrap();
        assert!(poll_once_without_task(events.recv()).is_pending());
        let emitter = emitter(&bus, 1..=2);
        drop(events);
        drop(spans);
        assert_eq!(bus.n_subscriptions(), 0);
        emitter.join().unwrap();
        assert_eq!(bus.emit(3, ["k"]).unwrap().matched(), 0);
        let stats = bus.stats();
        assert!(stats.deliveries().is_conserved(), "{stats:?}");
    });
}

#[test]
fn g27_a_close_wakes_a_waiting_consumer() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut events = all(&bus).events(1).unwrap();
        let mut spans = all(&bus).wake().unwrap();
        let consumer = thread::spawn(move || assert!(block_on(spans.recv()).is_err()));
        let closer = thread::spawn(move || bus.close());
        assert_eq!(block_on(events.recv()), Err(RecvError::Closed));
        consumer.join().unwrap();
        closer.join().unwrap();
    });
}

#[test]
fn g27_what_was_accepted_before_a_close_is_received_before_it() {
    model(THREE_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = all(&bus).events(4).unwrap();
        let emitter = spawn(&bus, |bus| bus.emit(1, ["k"]).is_ok());
        let closer = thread::spawn(move || bus.close());
        let mut n_received = 0;
        while block_on(sub.recv()).is_ok() {
            n_received += 1;
        }
        closer.join().unwrap();
        assert_eq!(n_received, usize::from(emitter.join().unwrap()));
    });
}
