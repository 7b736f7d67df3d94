//! Waiting consumers are woken, and nothing that is held or taken is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rangewatch_bus::timer::{ManualTimer, Timer};
use rangewatch_bus::{
    EventSubscription, History, Item, Overflow, RangeWatchBus, Selector, Span, WakeSubscription,
};

/// A waker that counts its wakes, and may panic.
struct Count {
    n_wakes: AtomicUsize,
    panics: bool,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.n_wakes.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics, "a waker that panics");
    }
}

impl Count {
    fn new(panics: bool) -> (Arc<Self>, Waker) {
        let count = Arc::new(Self {
            n_wakes: AtomicUsize::new(0),
            panics,
        });
        (Arc::clone(&count), Waker::from(count))
    }

    fn n_wakes(&self) -> usize {
        self.n_wakes.load(Ordering::Relaxed)
    }
}

fn with_history() -> RangeWatchBus {
    RangeWatchBus::builder()
        .history(History::events(10_000))
        .build()
        .unwrap()
}

fn is_pending(sub: &mut EventSubscription, waker: &Waker) -> bool {
    sub.poll_recv(&mut Context::from_waker(waker)).is_pending()
}

#[test]
fn g12_a_start_wakes_a_waiting_consumer_whatever_is_held() {
    let starts: [fn(&mut EventSubscription); 2] = [
        |sub| sub.start().unwrap(),
        |sub| sub.start_after(1).unwrap(),
    ];
    for start in starts {
        let bus = with_history();
        bus.emit(1, ["k"]).unwrap();
        bus.emit(2, ["k"]).unwrap();
        let past = bus.subscribe(..).since(1).hold().events(8).unwrap();
        let live = bus.subscribe(..).hold().events(1).unwrap();
        for value in 3..6 {
            bus.emit(value, ["k"]).unwrap();
        }
        for mut sub in [past, live] {
            let (count, waker) = Count::new(false);
            assert!(is_pending(&mut sub, &waker));
            start(&mut sub);
            assert_eq!(count.n_wakes(), 1);
            assert!(!is_pending(&mut sub, &waker));
        }
    }
}

#[test]
fn g12_a_start_wakes_a_consumer_that_waits_for_a_span() {
    let bus = RangeWatchBus::new();
    let mut sub: WakeSubscription = bus.subscribe(..).hold().wake().unwrap();
    bus.emit(1, ["k"]).unwrap();
    let (count, waker) = Count::new(false);
    let mut cx = Context::from_waker(&waker);
    assert!(sub.poll_recv(&mut cx).is_pending());
    sub.start().unwrap();
    assert_eq!(count.n_wakes(), 1);
    let first = |span: Span| span.first();
    assert_eq!(sub.poll_recv(&mut cx).map_ok(first), Poll::Ready(Ok(1)));
}

#[test]
fn g09_a_requested_mark_wakes_a_waiting_consumer() {
    let bus = with_history();
    bus.emit(7, ["elsewhere"]).unwrap();
    let mut sub = bus.subscribe("a".."b").events(1).unwrap();
    let (count, waker) = Count::new(false);
    let mut cx = Context::from_waker(&waker);
    assert!(sub.poll_recv_item(&mut cx).is_pending());
    assert_eq!(sub.request_progress(), Ok(Some(7)));
    assert_eq!(count.n_wakes(), 1);
    assert_eq!(
        sub.poll_recv_item(&mut cx),
        Poll::Ready(Ok(Item::Progress(7)))
    );
}

#[test]
fn g28_an_edit_leaves_the_keys_of_events_that_came_from_the_history() {
    let bus = with_history();
    for value in 1..=3 {
        bus.emit(value, ["a", "b"]).unwrap();
    }
    let builder = bus.subscribe(Selector::key("a")).since(1);
    let mut sub = builder.events(8).unwrap();
    for (value, then) in [(1, "b"), (2, "z"), (3, "b")] {
        let event = sub.try_recv().unwrap();
        assert_eq!(event.value(), value);
        assert!(event.keys().eq([b"a"]), "{event:?}");
        sub.set_selectors(Selector::key(then)).unwrap();
    }
}

#[test]
fn g12_several_wakers_that_panic_in_one_emit_lose_no_wake_up() {
    let bus = RangeWatchBus::new();
    let wakers = [true, true, false, true, false].map(Count::new);
    let subs = wakers.each_ref().map(|(_, waker)| {
        let mut sub = bus.subscribe(..).events(1).unwrap();
        assert!(is_pending(&mut sub, waker));
        sub
    });
    let emitted = catch_unwind(AssertUnwindSafe(|| bus.emit(1, ["k"])));
    assert!(emitted.is_err(), "the first panic passes through");
    for ((count, _), mut sub) in wakers.iter().zip(subs) {
        assert_eq!(count.n_wakes(), 1);
        assert_eq!(sub.try_recv().unwrap().value(), 1);
    }
}

#[test]
fn g12_a_long_replay_without_matches_yields_and_is_polled_again() {
    let history = History::events(20_000);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    for _ in 0..10_000 {
        bus.emit_next(["other"]).unwrap();
    }
    let last = bus.emit_next(["k"]).unwrap().value();
    let builder = bus.subscribe(Selector::key("k")).since(0);
    let mut sub = builder.events(1).unwrap();
    let (count, waker) = Count::new(false);
    let mut n_pending = 0;
    let event = loop {
        match sub.poll_recv(&mut Context::from_waker(&waker)) {
            Poll::Ready(event) => break event.unwrap(),
            Poll::Pending => n_pending += 1,
        }
        assert_eq!(count.n_wakes(), n_pending, "it is not polled again");
    };
    assert_eq!(event.value(), last);
    assert!((1..10).contains(&n_pending), "{n_pending}");
}

#[test]
fn g12_a_panic_of_the_waker_of_one_sleep_wakes_the_others() {
    const SECOND: Duration = Duration::from_secs(1);
    let timer = ManualTimer::new();
    let wakers = [true, false].map(Count::new);
    let _sleeps = wakers.each_ref().map(|(_, waker)| {
        let mut sleep = timer.sleep(SECOND);
        let mut cx = Context::from_waker(waker);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
        sleep
    });
    let advanced = catch_unwind(AssertUnwindSafe(|| timer.advance(SECOND)));
    assert!(advanced.is_err(), "the panic passes through");
    assert!(wakers.iter().all(|(count, _)| count.n_wakes() == 1));
}

#[test]
fn g03_a_panic_of_the_waker_of_an_emitter_loses_no_event() {
    let bus = RangeWatchBus::new();
    let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
    let mut sub = builder.events(1).unwrap();
    bus.emit(1, ["k"]).unwrap();
    let (count, waker) = Count::new(true);
    let mut emit = Box::pin(bus.emit_async(2, ["k"]));
    assert!(
        emit.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_eq!(sub.try_recv().unwrap().value(), 1);
    assert_eq!(count.n_wakes(), 1);
}

#[test]
fn g13_a_span_over_a_long_history_is_exact_also_beside_emitters() {
    let bus = with_history();
    for value in 1..=5_000 {
        bus.emit(value, [if value % 2 == 0 { "even" } else { "odd" }])
            .unwrap();
    }
    let span = std::thread::scope(|scope| {
        let emitter = scope.spawn(|| {
            for _ in 0..2_000 {
                bus.emit_next(["even"]).unwrap();
            }
        });
        let builder = bus.subscribe(Selector::key("even")).since(1_001);
        let mut sub = builder.wake().unwrap();
        emitter.join().unwrap();
        assert!(sub.stats().is_conserved());
        sub.try_recv().unwrap()
    });
    assert_eq!((span.first(), span.last()), (1_002, 7_000));
    assert_eq!(span.count(), 2_000 + 2_000);
    assert!(!span.is_conservative());
}
