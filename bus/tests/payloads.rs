//! Payloads: what an event carries for each of its keys.

mod deadline;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use futures::task::noop_waker_ref;
use rangewatch_bus::{
    EmitError, Event, EventSubscription, History, Overflow, RangeWatchBus, Selector, TryRecvError,
};

fn bus_of<P: Send + Sync + 'static>(history: History) -> RangeWatchBus<P> {
    let builder = RangeWatchBus::builder().history(history);
    builder.payloads().build().unwrap()
}

/// The keys and payloads of an event.
fn entries<P: Copy>(event: &Event<P>) -> Vec<(String, P)> {
    let text = |key| String::from_utf8_lossy(key).into_owned();
    let entries = event.entries();
    entries
        .map(|(key, payload)| (text(key), *payload))
        .collect()
}

fn received<P: Copy>(sub: &mut EventSubscription<P>) -> Vec<(u64, Vec<(String, P)>)> {
    let events = std::iter::from_fn(|| sub.try_recv().ok());
    events
        .map(|event| (event.value(), entries(&event)))
        .collect()
}

#[test]
fn g40_keys_keep_their_order_and_repeats_each_with_its_own_payload() {
    let bus = bus_of(History::events(16));
    let mut live = bus.subscribe("a".."m").events(8).unwrap();
    let emits = [("b", 1), ("x", 2), ("a", 3), ("b", 4)];
    bus.emit_with(1, emits).unwrap();
    bus.emit_next_with(emits).unwrap();
    bus.emit_many_with([(3, emits), (4, emits)]).unwrap();
    let mut batch = bus.batch(1 << 10);
    batch.stage_with(5, emits[..2].iter().copied()).unwrap();
    batch.stage_with(5, emits[2..].iter().copied()).unwrap();
    batch.commit().unwrap();
    futures::executor::block_on(async {
        bus.emit_with_async(6, emits).await.unwrap();
        bus.emit_next_with_async(emits).await.unwrap();
    });

    let shown = [("b", 1), ("a", 3), ("b", 4)].map(|(key, payload)| (key.to_owned(), payload));
    let expected: Vec<_> = (1..=7).map(|value| (value, shown.to_vec())).collect();
    assert_eq!(received(&mut live), expected);
    let mut replayed = bus.subscribe("a".."m").since(1).events(8).unwrap();
    assert_eq!(received(&mut replayed), expected);
    // More than one key, so that they are collected, and none.
    let many: Vec<_> = (0..100).map(|i| (format!("k{i:02}"), i)).collect();
    bus.emit_with(8, many.clone()).unwrap();
    bus.emit_with(9, Vec::<(&str, i32)>::new()).unwrap();
    assert_eq!(received(&mut live), [(8, many)]);
}

/// The store that only knows the present made an event of a deletion that had not happened yet.
#[test]
fn g40_an_event_of_the_past_carries_what_was_emitted_not_what_is_now() {
    // The second subscription parks: its queue holds one event, and the history the others.
    for capacity in [8, 1] {
        let bus = bus_of(History::events(16));
        let mut live = bus.subscribe(..).overflow(Overflow::Park).events(capacity);
        let live = live.as_mut().unwrap();
        for (value, change) in [(1, Some("one")), (2, Some("two")), (3, Some("three"))] {
            bus.emit_with(value, [(value.to_string(), change)]).unwrap();
        }
        bus.emit_with(4, [("2", None)]).unwrap();
        let past = bus.subscribe(..).since(1).events(capacity);
        for sub in [live, &mut past.unwrap()] {
            let expected = [
                (1, "1", Some("one")),
                (2, "2", Some("two")),
                (3, "3", Some("three")),
                (4, "2", None),
            ];
            for (value, key, change) in expected {
                let event = sub.try_recv().unwrap();
                assert_eq!(event.value(), value);
                assert_eq!(entries(&event), [(key.to_owned(), change)]);
            }
        }
    }
}

/// A table beside the bus that was cleared up to the floor lost what a queue still held.
#[test]
fn g40_a_queue_and_an_event_keep_payloads_below_the_floor() {
    // The second is parked: its queue has some of the events, and a replay the next of them.
    for (capacity, n_events) in [(64, 4), (8, 200)] {
        let bus = bus_of(History::events(n_events));
        let mut sub = bus.subscribe(..).overflow(Overflow::Park).events(capacity);
        let sub = sub.as_mut().unwrap();
        for value in 1..=64 {
            bus.emit_with(value, [("k", Arc::new(value))]).unwrap();
        }
        let is_parked = capacity < 64;
        let n_received = if is_parked { capacity + 1 } else { 0 };
        let mut events: Vec<_> = (0..n_received).map(|_| sub.try_recv().unwrap()).collect();
        let n_held = sub.len();
        assert!(n_held > 0);
        bus.compact(65).unwrap();
        events.extend(std::iter::from_fn(|| sub.try_recv().ok()));
        assert_eq!(events.len(), n_received + n_held);
        for event in &events {
            assert!(event.entries().eq([(&b"k"[..], &Arc::new(event.value()))]));
        }
        let end = sub.try_recv().unwrap_err();
        let floor = 65;
        let expected = if is_parked {
            TryRecvError::Compacted { floor, epoch: 0 }
        } else {
            TryRecvError::Empty
        };
        assert_eq!(end, expected);
        let held = Arc::downgrade(events[0].entries().next().unwrap().1);
        assert!(held.upgrade().is_some());
        drop(events);
        assert!(held.upgrade().is_none());
    }
}

#[test]
fn g40_an_event_keeps_the_payloads_of_all_keys_of_its_emit_alive() {
    let bus = bus_of(History::events(1));
    let mut sub = bus.subscribe("a"..="a").events(1).unwrap();
    let other = Arc::new(2);
    let emits = [("a", Arc::new(1)), ("b", Arc::clone(&other))];
    bus.emit_with(1, emits).unwrap();
    let event = sub.try_recv().unwrap();
    bus.emit_with(2, [("c", Arc::new(3))]).unwrap();
    assert_eq!(Arc::strong_count(&other), 2);
    drop(event);
    assert_eq!(Arc::strong_count(&other), 1);
}

#[test]
fn g40_bounds_in_bytes_count_what_payloads_weigh() {
    let weighed = || {
        let builder = RangeWatchBus::builder().payloads::<String>();
        builder.payload_bytes(|payload| payload.len())
    };
    // An emit of one key of one byte takes 17 bytes and its payload.
    let payload = || "p".repeat(83);

    let bus = weighed().history(History::events(100).bytes(1_000));
    let bus = bus.build().unwrap();
    for value in 1..=20 {
        bus.emit_with(value, [("k", payload())]).unwrap();
    }
    assert_eq!(bus.stats().history_bytes(), 1_000);
    assert_eq!(bus.floor(), Some(11));

    let sub = bus.subscribe(..).overflow(Overflow::Lagged);
    let mut sub = sub.queue_bytes(250).events(100).unwrap();
    for value in 21..=25 {
        bus.emit_with(value, [("k", payload())]).unwrap();
    }
    assert_eq!((sub.len(), sub.n_bytes()), (2, 200));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Lagged(3)));
    assert_eq!(sub.try_recv().unwrap().value(), 24);

    let mut batch = bus.batch(250);
    batch.stage_with(30, [("k", payload())]).unwrap();
    batch.stage_with(31, [("k", payload())]).unwrap();
    assert_eq!(batch.n_bytes(), 200);
    let full = batch.stage_with(32, [("k", payload())]).unwrap_err();
    assert_eq!((full.max_bytes, batch.n_emits()), (250, 2));
    assert_eq!(batch.commit().unwrap().n_emits(), 2);

    // Weights that exceed all numbers are the greatest one.
    let heavy = RangeWatchBus::builder().payloads::<u8>();
    let heavy = heavy
        .payload_bytes(|_| usize::MAX)
        .history(History::events(9));
    let heavy = heavy.build().unwrap();
    let sub = heavy.subscribe(..).overflow(Overflow::Lagged);
    let mut sub = sub.queue_bytes(1_000).events(8).unwrap();
    for value in 1..=2 {
        let emits = [("a", 1), ("b", 2)];
        heavy.emit_with(value, emits).unwrap();
    }
    assert_eq!(sub.try_recv(), Err(TryRecvError::Lagged(2)));
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));

    // What takes no memory weighs nothing.
    let weightless = RangeWatchBus::builder().payloads::<()>();
    let light = weightless.payload_bytes(|()| usize::MAX);
    let light = light.history(History::events(9)).build().unwrap();
    let mut sub = light.subscribe(..).queue_bytes(17).events(8).unwrap();
    light.emit_with(1, [("k", ())]).unwrap();
    assert_eq!(light.stats().history_bytes(), 17);
    assert_eq!(sub.try_recv().unwrap().value(), 1);
}

/// A payload that uses the bus while it is dropped, and counts. If the bus dropped it under a lock,
/// it would wait for itself.
struct UsesBus {
    bus: Arc<Mutex<Option<RangeWatchBus<Self>>>>,
    n_dropped: Arc<AtomicUsize>,
}

impl Drop for UsesBus {
    fn drop(&mut self) {
        self.n_dropped.fetch_add(1, Ordering::Relaxed);
        let bus = self.bus.lock().unwrap().clone();
        if let Some(bus) = bus {
            let _ = (bus.stats(), bus.head(), bus.n_subscriptions());
            let _ = bus.subscribe(..).events(1).map(EventSubscription::cancel);
            let _ = bus.compact(0);
        }
    }
}

/// A bus of such payloads, and what makes them.
struct Fixture {
    bus: RangeWatchBus<UsesBus>,
    used: Arc<Mutex<Option<RangeWatchBus<UsesBus>>>>,
    n_dropped: Arc<AtomicUsize>,
}

impl Fixture {
    fn new(history: Option<History>) -> Self {
        let builder = RangeWatchBus::builder().payloads();
        let bus: RangeWatchBus<UsesBus> = match history {
            Some(history) => builder.history(history).build().unwrap(),
            None => builder.build().unwrap(),
        };
        Self {
            used: Arc::new(Mutex::new(Some(bus.clone()))),
            bus,
            n_dropped: Arc::default(),
        }
    }

    fn payload(&self) -> UsesBus {
        UsesBus {
            bus: Arc::clone(&self.used),
            n_dropped: Arc::clone(&self.n_dropped),
        }
    }

    fn emit(&self, value: u64) -> Result<(), EmitError> {
        let emits = [("a", self.payload()), ("b", self.payload())];
        self.bus.emit_with(value, emits).map(|_| ())
    }

    /// The payloads that were dropped since the last call.
    fn n_dropped(&self) -> usize {
        self.n_dropped.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // The payloads in the bus have a handle of it.
        let used = self.used.lock().unwrap().take();
        drop(used);
    }
}

#[test]
fn g40_no_payload_is_dropped_under_a_lock_when_an_emit_is_refused_or_matches_nothing() {
    deadline::ends(|| {
        let with_history = Fixture::new(Some(History::events(100)));
        with_history.emit(1).unwrap();
        assert!(with_history.emit(1).is_err());
        assert_eq!(with_history.n_dropped(), 2);
        let emits = |value| (value, [("a", with_history.payload())]);
        let refused = with_history.bus.emit_many_with([emits(5), emits(5)]);
        assert!(refused.is_err());
        assert_eq!(with_history.n_dropped(), 2);

        let fixture = Fixture::new(None);
        fixture.emit(1).unwrap();
        assert_eq!(fixture.n_dropped(), 2);
        let _wake = fixture.bus.subscribe(..).wake().unwrap();
        fixture.emit(2).unwrap();
        assert_eq!(fixture.n_dropped(), 2);

        let mut batch = fixture.bus.batch(20);
        let full = batch.stage_with(1, [("a", fixture.payload()), ("b", fixture.payload())]);
        assert!(full.is_err());
        assert_eq!(fixture.n_dropped(), 2);
        batch.stage_with(1, [("a", fixture.payload())]).unwrap();
        drop(batch);
        assert_eq!(fixture.n_dropped(), 1);

        let sub = fixture.bus.subscribe(..);
        let _sub = sub.overflow(Overflow::Backpressure).events(1).unwrap();
        fixture.emit(3).unwrap();
        let cx = &mut Context::from_waker(noop_waker_ref());
        let emits = [("a", fixture.payload())];
        let mut waiting = Box::pin(fixture.bus.emit_with_async(4, emits));
        assert!(waiting.as_mut().poll(cx).is_pending());
        drop(waiting);
        assert_eq!(fixture.n_dropped(), 1);

        fixture.bus.close();
        assert_eq!(fixture.emit(4), Err(EmitError::Closed));
        assert_eq!(fixture.n_dropped(), 2);
    });
}

#[test]
fn g40_no_payload_is_dropped_under_a_lock_when_a_queue_or_the_history_lets_it_go() {
    deadline::ends(|| {
        // A queue that is full, with each policy.
        for overflow in [Overflow::Lagged, Overflow::Disconnect, Overflow::Coalesce] {
            let fixture = Fixture::new(None);
            let sub = fixture.bus.subscribe(..).overflow(overflow);
            let sub = sub.events(10).unwrap();
            for value in 0..40 {
                fixture.emit(value).unwrap();
            }
            let n_held = 2 * sub.len();
            assert_eq!(fixture.n_dropped(), 80 - n_held, "{overflow:?}");
            sub.cancel();
            assert_eq!(fixture.n_dropped(), n_held, "{overflow:?}");
        }

        // The history: by an emit, one that is larger than the rest, and by hand.
        let fixture = Fixture::new(Some(History::events(100).bytes(3_000)));
        for value in 1..=60 {
            fixture.emit(value).unwrap();
        }
        let n_kept = fixture.bus.stats().n_history_events();
        assert_eq!(fixture.n_dropped(), 2 * (60 - n_kept));
        let large = "k".repeat(2_900);
        let emits = [(large, fixture.payload())];
        fixture.bus.emit_with(61, emits).unwrap();
        let n_left = fixture.bus.stats().n_history_events();
        assert_eq!(fixture.n_dropped(), 2 * (n_kept + 1 - n_left));
        fixture.bus.compact(61).unwrap();
        assert_eq!(fixture.n_dropped(), 2 * (n_left - 1));

        // The end of a subscription, of its selectors and of the bus.
        let fixture = Fixture::new(Some(History::events(1)));
        let mut sub = fixture.bus.subscribe(..).events(10).unwrap();
        for value in 1..=3 {
            fixture.emit(value).unwrap();
        }
        sub.set_selectors("x".."y").unwrap();
        drop(sub);
        assert_eq!(fixture.n_dropped(), 4);
        let mut sub = fixture.bus.subscribe(..).events(10).unwrap();
        fixture.emit(4).unwrap();
        drop(sub.try_recv().unwrap());
        fixture.emit(5).unwrap();
        assert_eq!(fixture.n_dropped(), 4);
        fixture.bus.close_now();
        assert_eq!(sub.try_recv().err(), Some(TryRecvError::Closed));
        drop(sub);
        let n_dropped = Arc::clone(&fixture.n_dropped);
        drop(fixture);
        assert_eq!(n_dropped.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn g40_payloads_are_dropped_with_the_bus() {
    let counted = Arc::new(());
    let bus = bus_of(History::events(4));
    let sub = bus.subscribe(..).events(4).unwrap();
    for value in 1..=3 {
        bus.emit_with(value, [("k", Arc::clone(&counted))]).unwrap();
    }
    drop(bus);
    assert_eq!(Arc::strong_count(&counted), 4);
    drop(sub);
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// A payload whose drop panics.
struct Panics(Arc<AtomicUsize>);

impl Drop for Panics {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        resume_unwind(Box::new("a faulty payload"));
    }
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a faulty waker"));
    }
}

struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// If a second panic left a drop during the first, the process would abort.
#[test]
fn g40_g12_payloads_and_a_waker_that_panic_in_one_emit_do_not_abort() {
    let n_dropped = Arc::new(AtomicUsize::new(0));
    let payload = || Panics(Arc::clone(&n_dropped));
    let bus = bus_of(History::events(1));
    let full = bus.subscribe("a"..="a").overflow(Overflow::Lagged);
    let full = full.events(1).unwrap();
    bus.emit_with(1, [("a", payload()), ("b", payload())])
        .unwrap();

    let mut faulty = bus.subscribe("c"..).events(1).unwrap();
    let waker = Waker::from(Arc::new(PanickingWaker));
    let polled = faulty.poll_recv(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    let mut other = bus.subscribe("c"..).events(1).unwrap();
    let woken = Arc::new(CountingWaker(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&woken));
    let polled = other.poll_recv(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());

    // The first emit leaves the history and the queue that is full.
    let emits = [("a", payload()), ("c", payload())];
    let emitted = catch_unwind(AssertUnwindSafe(|| bus.emit_with(2, emits)));
    assert!(emitted.is_err(), "a panic passes through");
    assert_eq!(n_dropped.load(Ordering::Relaxed), 2);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(bus.head(), Some(2));
    assert_eq!(other.len(), 1);

    let all = (bus, full, faulty, other);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(all)));
    assert!(dropped.is_err(), "a panic passes through");
    assert_eq!(n_dropped.load(Ordering::Relaxed), 4);
}

#[test]
fn g40_debug_shows_no_payloads() {
    let bus = RangeWatchBus::builder().payloads::<&str>().build().unwrap();
    let mut sub = bus.subscribe(Selector::prefix("k")).events(2).unwrap();
    bus.emit_with(1, [("k", "secret")]).unwrap();
    let event = sub.try_recv().unwrap();
    let shown = format!("{bus:?} {sub:?} {event:?} {:?}", event.entries());
    assert!(shown.contains("\"k\""), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
}

/// A key whose bytes cannot be read.
struct PanickingKey;

impl AsRef<[u8]> for PanickingKey {
    fn as_ref(&self) -> &[u8] {
        resume_unwind(Box::new("a faulty key"));
    }
}

/// If the drop of a payload left a panic during that of a key, an iterator or the weigher, the
/// process would abort.
#[test]
fn g40_payloads_that_panic_after_a_key_an_iterator_or_the_weigher_do_not_abort() {
    let n_dropped = Arc::new(AtomicUsize::new(0));
    let payload = || Panics(Arc::clone(&n_dropped));
    let passes = |n_made: usize, test: &mut dyn FnMut()| {
        n_dropped.store(0, Ordering::Relaxed);
        let tested = catch_unwind(AssertUnwindSafe(test));
        assert!(tested.is_err(), "a panic passes through");
        assert_eq!(n_dropped.load(Ordering::Relaxed), n_made);
    };
    let builder = RangeWatchBus::builder().payloads();
    let bus: RangeWatchBus<Panics> = builder.build().unwrap();
    let panics_at_third = || {
        (0..3).map(|i| match i {
            2 => resume_unwind(Box::new("a faulty iterator")),
            _ => ("k", payload()),
        })
    };
    let entries = || (0..2).map(|_| ("k", payload()));
    let mut batch = bus.batch(1 << 10);
    passes(2, &mut || _ = bus.emit_with(1, panics_at_third()));
    passes(2, &mut || _ = bus.emit_many_with([(1, panics_at_third())]));
    passes(2, &mut || _ = batch.stage_with(1, panics_at_third()));
    let faulty = || [(PanickingKey, payload())];
    passes(1, &mut || _ = bus.emit_with(1, faulty()));
    passes(1, &mut || _ = bus.emit_many_with([(1, faulty())]));
    passes(1, &mut || _ = batch.stage_with(1, faulty()));
    // Of a batch that is full only the payloads panic.
    let mut full = bus.batch(20);
    passes(2, &mut || {
        _ = full.stage_with(1, [("k", payload()), ("", payload())])
    });
    passes(1, &mut || {
        _ = full.stage_with(1, (0..9).map(|_| ("long key", payload())))
    });
    assert_eq!((batch.n_emits(), full.n_emits()), (0, 0));

    let builder = RangeWatchBus::builder().payloads();
    let builder = builder.payload_bytes(|_: &Panics| resume_unwind(Box::new("a faulty weigher")));
    let bus: RangeWatchBus<Panics> = builder.build().unwrap();
    let mut batch = bus.batch(1 << 10);
    passes(2, &mut || _ = bus.emit_with(1, entries()));
    passes(1, &mut || _ = bus.emit_many_with([(1, entries())]));
    passes(1, &mut || _ = batch.stage_with(1, entries()));
    assert_eq!(batch.n_emits(), 0);
}

/// The greatest weight there is.
#[test]
fn g40_a_batch_of_payloads_of_any_weight_stays_within_its_bound() {
    let builder = RangeWatchBus::builder().payloads::<u8>();
    let builder = builder.payload_bytes(|weight| match weight {
        0 => 0,
        _ => usize::MAX - 100,
    });
    let bus = builder.build().unwrap();
    for max_bytes in [usize::MAX - 80, usize::MAX] {
        let mut batch = bus.batch(max_bytes);
        batch.stage_with(1, [("k", 1)]).unwrap();
        let n_staged = (0..20).map(|value| batch.stage_with(value, [("k", 0)]).is_ok());
        let n_staged = n_staged.filter(|is_staged| *is_staged).count();
        assert!(n_staged < 20 || max_bytes == usize::MAX, "{n_staged}");
        assert!(batch.n_bytes() <= max_bytes);
        assert_eq!(
            batch.stage_with(30, [("k", 1)]).is_ok(),
            max_bytes == usize::MAX
        );
        batch.commit().unwrap();
    }
}

/// The panic of a payload that `start_after` discards is no reason for a consumer to wait on.
#[test]
fn g12_g40_a_payload_that_panics_when_it_is_discarded_loses_no_wake_up() {
    let n_dropped = Arc::new(AtomicUsize::new(0));
    let payload = || Panics(Arc::clone(&n_dropped));
    let builder = RangeWatchBus::builder().payloads();
    let bus: RangeWatchBus<Panics> = builder.build().unwrap();
    let mut sub = bus.subscribe(..).hold().events(8).unwrap();
    let woken = Arc::new(CountingWaker(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&woken));
    assert!(sub.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    bus.emit_with(1, [("k", payload())]).unwrap();
    bus.emit_with(2, [("k", payload())]).unwrap();
    let started = catch_unwind(AssertUnwindSafe(|| sub.start_after(1)));
    assert!(started.is_err(), "a panic passes through");
    assert_eq!(n_dropped.load(Ordering::Relaxed), 1);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    let event = sub.try_recv().unwrap();
    assert_eq!(event.value(), 2);
    assert!(catch_unwind(AssertUnwindSafe(|| drop((event, sub, bus)))).is_err());
}
