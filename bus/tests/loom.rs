//! Models of every hand-written wait: loom runs each in all interleavings of its threads up to a
//! number of preemptions.
//!
//! A wake-up that is lost is a deadlock, which ends the model. Run with `RUSTFLAGS="--cfg loom"
//! cargo test --package rangewatch-bus --release --test loom`, with a target folder of its own;
//! without the flag there is nothing here. `LOOM_MAX_PREEMPTIONS` sets another bound.
#![cfg(loom)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};

use loom::future::block_on;
use loom::thread;
use rangewatch_bus::{
    ControlError, EmitError, EventSubscription, History, Item, Overflow, RangeWatchBus, RecvError,
    Selector, SubscribeError, TryRecvError, WakeSubscription, WatchSet,
};

/// Preemptions that a model of two threads explores, unless the environment says otherwise.
const TWO_THREADS: usize = 5;
/// The same of a model of three threads, which branches more.
const THREE_THREADS: usize = 3;
/// Steps of one run; those that read a history in chunks have many.
const MAX_BRANCHES: usize = 20_000;

fn model(max_preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(max_preemptions);
    builder.max_branches = MAX_BRANCHES;
    builder.check(run);
}

fn with_history() -> RangeWatchBus {
    let history = History::events(1_000);
    RangeWatchBus::builder().history(history).build().unwrap()
}

fn all(bus: &RangeWatchBus) -> rangewatch_bus::SubscribeBuilder<'_> {
    bus.subscribe(Selector::all())
}

/// A subscription with room for one event, for which `emit_async` waits.
fn narrow(bus: &RangeWatchBus) -> EventSubscription {
    all(bus).overflow(Overflow::Backpressure).events(1).unwrap()
}

type Thread<T = ()> = thread::JoinHandle<T>;

/// Runs on a thread with another handle of the bus, so that the bus does not close before.
fn spawn<T: 'static>(
    bus: &RangeWatchBus,
    run: impl FnOnce(&RangeWatchBus) -> T + 'static,
) -> Thread<T> {
    let bus = bus.clone();
    thread::spawn(move || run(&bus))
}

fn emitter(bus: &RangeWatchBus, values: impl IntoIterator<Item = u64> + 'static) -> Thread {
    spawn(bus, |bus| {
        for value in values {
            bus.emit(value, ["k"]).unwrap();
        }
    })
}

/// Emits `value` as soon as there is room.
fn patient_emitter(bus: &RangeWatchBus, value: u64) -> Thread {
    spawn(bus, move |bus| {
        block_on(bus.emit_async(value, ["k"])).unwrap();
    })
}

fn recv_value(sub: &mut EventSubscription) -> u64 {
    block_on(sub.recv()).unwrap().value()
}

/// Receives spans until they cover `n_emits`; returns the first and the last value. All emits of
/// the bus match, with the number of the emit as its value.
fn recv_spans(sub: &mut WakeSubscription, n_emits: u64) -> (u64, u64) {
    let mut recv = || {
        let span = block_on(sub.recv()).unwrap();
        let seqs = (span.first_seq().get(), span.last_seq().get());
        assert_eq!(seqs, (span.first(), span.last()));
        span
    };
    let span = recv();
    let (first, mut last, mut n) = (span.first(), span.last(), span.count());
    while n < n_emits {
        let span = recv();
        assert_eq!(span.first(), last + 1, "a gap or a repeat");
        last = span.last();
        n += span.count();
    }
    assert_eq!(n, n_emits);
    (first, last)
}

/// The waker of a task that is not polled any more.
struct NoTask;

impl Wake for NoTask {
    fn wake(self: Arc<Self>) {}
}

fn poll_once_without_task<F: Future>(future: F) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(NoTask));
    pin!(future).poll(&mut Context::from_waker(&waker))
}

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
            assert_eq!(end, RecvError::Compacted { floor });
        }
        assert!(sub.stats().is_conserved(), "{:?}", sub.stats());
        let resumed = all(&bus).since(floor - 1).wake();
        assert_eq!(resumed.err(), Some(SubscribeError::Compacted { floor }));
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
                assert_eq!(error, SubscribeError::Compacted { floor });
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
fn g21_a_dropped_future_that_was_notified_passes_its_place_on() {
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
    model(TWO_THREADS, || {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(Selector::key("a")).events(8).unwrap();
        let emitter = spawn(&bus, |bus| {
            ["a", "b", "a", "b"].map(|key| (bus.emit(1, [key]).unwrap().seq(), key))
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
fn g12_a_receiver_that_is_dropped_beside_an_emit_passes_its_notification_on() {
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
