//! Watch sets: order, sharing, pauses, close and memory.

mod count;
mod deadline;

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures::executor::block_on;
use rangewatch_bus::{Closed, RangeWatchBus, Selector, WatchSet};

use count::counting;

/// A bus and a set with a subscription to the key of each name.
fn with_watches(names: &[&'static str]) -> (RangeWatchBus, WatchSet<&'static str>) {
    let bus = RangeWatchBus::new();
    let watches = WatchSet::new();
    for name in names {
        let sub = bus.subscribe(Selector::key(name)).wake().unwrap();
        assert!(watches.insert(*name, sub).is_none());
    }
    (bus, watches)
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

fn received(watches: &WatchSet<&'static str>) -> Vec<&'static str> {
    let received = std::iter::from_fn(|| watches.try_recv());
    received.map(|(name, _)| name).collect()
}

#[test]
fn the_key_that_has_been_ready_longest_is_received_first() {
    let (bus, watches) = with_watches(&["a", "b", "c"]);
    for (value, key) in [(1, "c"), (2, "a"), (3, "c"), (4, "b")] {
        bus.emit(value, [key]).unwrap();
    }
    assert_eq!(watches.n_ready(), 3);
    let (name, span) = watches.try_recv().unwrap();
    let span = span.unwrap();
    assert_eq!(
        (name, span.first(), span.last(), span.count()),
        ("c", 1, 3, 2)
    );
    // Ready again, and so behind those that have waited since.
    bus.emit(5, ["c"]).unwrap();
    assert_eq!(received(&watches), ["a", "b", "c"]);
    assert!(watches.try_recv().is_none());
}

#[test]
fn an_empty_set_waits_for_an_insert() {
    let bus = RangeWatchBus::new();
    let watches = WatchSet::new();
    let (waker, count) = counting();
    let mut recv = pin!(watches.recv());
    assert!(poll(recv.as_mut(), &waker).is_pending());
    let sub = bus.subscribe(..).wake().unwrap();
    bus.emit(1, ["k"]).unwrap();
    watches.insert("w", sub);
    assert_eq!(count.n_wakes(), 1, "the subscription held a span");
    let Poll::Ready((name, span)) = poll(recv.as_mut(), &waker) else {
        panic!("not ready");
    };
    assert_eq!((name, span.unwrap().count()), ("w", 1));
}

#[test]
fn one_emit_wakes_one_receiver_once_and_a_receiver_wakes_the_next() {
    const N_KEYS: usize = 100;
    let bus = RangeWatchBus::new();
    let watches = WatchSet::new();
    for i in 0..N_KEYS {
        watches.insert(i, bus.subscribe(..).wake().unwrap());
    }
    let wakers = [counting(), counting(), counting()];
    let n_wakes = || wakers.each_ref().map(|(_, count)| count.n_wakes());
    let mut receivers = wakers.each_ref().map(|_| Box::pin(watches.recv()));
    for (recv, (waker, _)) in receivers.iter_mut().zip(&wakers) {
        assert!(poll(recv.as_mut(), waker).is_pending());
    }
    assert_eq!(bus.emit(1, ["k"]).unwrap().matched(), N_KEYS);
    assert_eq!(n_wakes(), [1, 0, 0]);
    assert!(poll(receivers[0].as_mut(), &wakers[0].0).is_ready());
    assert_eq!(n_wakes(), [1, 1, 0], "more keys are ready");
    while watches.n_ready() > 1 {
        assert!(watches.try_recv().is_some());
    }
    assert!(poll(receivers[1].as_mut(), &wakers[1].0).is_ready());
    assert!(poll(receivers[2].as_mut(), &wakers[2].0).is_pending());
    bus.emit(2, ["k"]).unwrap();
    assert_eq!(n_wakes(), [1, 1, 2], "a receive and an emit");
}

#[test]
fn emit_many_wakes_one_receiver_of_each_set_once() {
    let bus = RangeWatchBus::new();
    let sets = [(); 2].map(|()| WatchSet::new());
    for i in 0..10 {
        sets[i % 2].insert(i, bus.subscribe(..).wake().unwrap());
    }
    let wakers = [counting(), counting()];
    let mut receivers = sets.each_ref().map(|set| Box::pin(set.recv()));
    for (recv, (waker, _)) in receivers.iter_mut().zip(&wakers) {
        assert!(poll(recv.as_mut(), waker).is_pending());
    }
    bus.emit_many([(1, ["a"]), (2, ["b"])]).unwrap();
    assert_eq!(wakers.each_ref().map(|(_, n)| n.n_wakes()), [1, 1]);
    assert_eq!(sets.each_ref().map(WatchSet::n_ready), [5, 5]);
}

#[test]
fn g12_a_receiver_that_is_dropped_after_it_was_woken_wakes_another() {
    let (bus, watches) = with_watches(&["a"]);
    let [(waker, count), (other_waker, other_count)] = [counting(), counting()];
    let mut first = Box::pin(watches.recv());
    let mut second = Box::pin(watches.recv());
    assert!(poll(first.as_mut(), &waker).is_pending());
    assert!(poll(second.as_mut(), &other_waker).is_pending());
    bus.emit(1, ["a"]).unwrap();
    assert_eq!((count.n_wakes(), other_count.n_wakes()), (1, 0));
    drop(first);
    assert_eq!((count.n_wakes(), other_count.n_wakes()), (1, 1));
    assert!(poll(second.as_mut(), &other_waker).is_ready());
}

#[test]
fn a_receiver_that_is_dropped_while_it_waits_wakes_nothing() {
    let (bus, watches) = with_watches(&["a"]);
    let [(waker, count), (other_waker, other_count)] = [counting(), counting()];
    let mut first = Box::pin(watches.recv());
    let mut second = Box::pin(watches.recv());
    assert!(poll(first.as_mut(), &waker).is_pending());
    assert!(poll(second.as_mut(), &other_waker).is_pending());
    drop(first);
    bus.emit(1, ["a"]).unwrap();
    assert_eq!((count.n_wakes(), other_count.n_wakes()), (0, 1));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let (bus, watches) = with_watches(&["a"]);
    let [(waker, count), (other_waker, other_count)] = [counting(), counting()];
    let mut recv = pin!(watches.recv());
    assert!(poll(recv.as_mut(), &waker).is_pending());
    assert!(poll(recv.as_mut(), &other_waker).is_pending());
    bus.emit(1, ["a"]).unwrap();
    assert_eq!((count.n_wakes(), other_count.n_wakes()), (0, 1));

    let recv = |waker| watches.poll_recv(&mut Context::from_waker(waker));
    assert!(recv(&waker).is_ready());
    assert!(recv(&waker).is_pending());
    assert!(recv(&other_waker).is_pending());
    bus.emit(2, ["a"]).unwrap();
    assert_eq!((count.n_wakes(), other_count.n_wakes()), (0, 2));
    assert!(recv(&waker).is_ready());
}

#[test]
fn a_receiver_keeps_its_place_when_it_is_polled_again() {
    let (bus, watches) = with_watches(&["a"]);
    let [(waker, count), (other_waker, other_count)] = [counting(), counting()];
    let mut first = Box::pin(watches.recv());
    let mut second = Box::pin(watches.recv());
    assert!(poll(first.as_mut(), &waker).is_pending());
    assert!(poll(second.as_mut(), &other_waker).is_pending());
    assert!(poll(first.as_mut(), &waker).is_pending());
    bus.emit(1, ["a"]).unwrap();
    assert_eq!((count.n_wakes(), other_count.n_wakes()), (1, 0));
}

/// A waker that panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a faulty waker");
    }
}

#[test]
fn a_panic_of_the_waker_of_another_receiver_loses_no_span() {
    let (bus, watches) = with_watches(&["a", "b"]);
    let (waker, _) = counting();
    let mut first = Box::pin(watches.recv());
    let mut second = Box::pin(watches.recv());
    assert!(poll(first.as_mut(), &waker).is_pending());
    assert!(poll(second.as_mut(), &Waker::from(Arc::new(Panics))).is_pending());
    bus.emit(1, ["a", "b"]).unwrap();
    // Two keys are ready: the first receiver takes one and wakes the second.
    assert!(poll(first.as_mut(), &waker).is_ready());
    assert!(watches.try_recv().is_some());
}

#[test]
fn g27_a_closed_bus_drains_and_then_ends_each_key_once() {
    let (bus, watches) = with_watches(&["a", "b"]);
    let other = RangeWatchBus::new();
    watches.insert("other", other.subscribe(..).wake().unwrap());
    bus.emit(1, ["a"]).unwrap();
    bus.close();
    let mut ends = Vec::new();
    let (name, span) = watches.try_recv().unwrap();
    assert_eq!((name, span.unwrap().last()), ("a", 1));
    while let Some((name, end)) = watches.try_recv() {
        assert_eq!(end, Err(Closed));
        ends.push(name);
    }
    ends.sort_unstable();
    assert_eq!(ends, ["a", "b"]);
    assert_eq!(watches.len(), 3, "the keys stay until they are removed");
    watches.with(&"a", |_| ()).unwrap();
    assert!(watches.try_recv().is_none(), "the end is returned once");

    // A bus that is still open goes on, and a closed subscription may be added.
    other.emit(1, ["k"]).unwrap();
    assert_eq!(watches.try_recv().unwrap().0, "other");
    let closed = watches.remove(&"b").unwrap();
    assert!(watches.insert("a", closed).is_some());
    assert_eq!(watches.try_recv(), Some(("a", Err(Closed))));
}

#[test]
fn g23_removing_a_key_frees_what_is_pending_and_returns_the_subscription() {
    let (bus, watches) = with_watches(&["a", "b"]);
    bus.emit(1, ["a", "b"]).unwrap();
    let mut removed = watches.remove(&"a").unwrap();
    assert_eq!((watches.len(), watches.n_ready()), (1, 1));
    assert_eq!(received(&watches), ["b"]);
    assert!(watches.remove(&"a").is_none());
    // It is an ordinary subscription again, with what it held.
    assert_eq!(removed.try_recv().unwrap().count(), 1);
    bus.emit(2, ["a"]).unwrap();
    assert!(watches.try_recv().is_none());
    assert_eq!(removed.try_recv().unwrap().last(), 2);
    drop(removed);
    assert_eq!(bus.n_subscriptions(), 1);
    watches.clear();
    assert_eq!((watches.len(), bus.n_subscriptions()), (0, 0));
}

#[test]
fn g23_dropping_a_set_ends_its_subscriptions_also_beside_a_delivery() {
    let (bus, watches) = with_watches(&["a", "b"]);
    bus.emit(1, ["a"]).unwrap();
    let delivery = watches.take().unwrap();
    drop(watches);
    assert_eq!(bus.n_subscriptions(), 0);
    assert_eq!(*delivery.key(), "a");
}

#[test]
fn inserting_a_key_again_replaces_its_subscription() {
    let (bus, watches) = with_watches(&["a"]);
    bus.emit(1, ["a"]).unwrap();
    let sub = bus.subscribe(Selector::key("x")).wake().unwrap();
    let mut replaced = watches.insert("a", sub).unwrap();
    assert!(watches.try_recv().is_none());
    assert_eq!(replaced.try_recv().unwrap().count(), 1);
    bus.emit(2, ["x"]).unwrap();
    assert_eq!(received(&watches), ["a"]);
    assert_eq!(watches.len(), 1);
}

#[test]
fn g25_a_held_subscription_is_received_once_it_is_started() {
    let bus = RangeWatchBus::new();
    let watches = WatchSet::new();
    watches.insert("w", bus.reserve().wake().unwrap());
    bus.emit(1400, ["k"]).unwrap();
    watches.with(&"w", |sub| sub.open(..)).unwrap().unwrap();
    for value in [1500, 1600, 1700, 1800] {
        bus.emit(value, ["k"]).unwrap();
    }
    assert!(watches.try_recv().is_none());
    let (waker, count) = counting();
    let mut recv = pin!(watches.recv());
    assert!(poll(recv.as_mut(), &waker).is_pending());
    watches.with(&"w", |sub| sub.start()).unwrap().unwrap();
    assert_eq!(count.n_wakes(), 1);
    let Poll::Ready((_, span)) = poll(recv.as_mut(), &waker) else {
        panic!("not ready");
    };
    assert_eq!(span.unwrap().first(), 1500);
    watches.with(&"w", |sub| sub.pause()).unwrap().unwrap();
    bus.emit(1900, ["k"]).unwrap();
    assert!(watches.try_recv().is_none());
}

#[test]
fn with_may_edit_receive_and_replace_the_subscription() {
    let (bus, watches) = with_watches(&["a", "b"]);
    assert!(watches.with(&"z", |_| ()).is_none());
    watches
        .with(&"a", |sub| sub.set_selectors(Selector::key("x")))
        .unwrap()
        .unwrap();
    bus.emit(1, ["x"]).unwrap();
    let span = watches.with(&"a", |sub| sub.try_recv()).unwrap().unwrap();
    assert_eq!(span.count(), 1);
    assert!(watches.try_recv().is_none(), "it was received by hand");

    // A waker that is registered by hand does not keep the set from being notified.
    let (waker, count) = counting();
    let polled = watches.with(&"a", |sub| sub.poll_recv(&mut Context::from_waker(&waker)));
    assert!(polled.unwrap().is_pending());
    let mut replaced = bus.subscribe(Selector::key("y")).wake().unwrap();
    watches
        .with(&"b", |sub| std::mem::swap(sub, &mut replaced))
        .unwrap();
    bus.emit(2, ["x", "y", "b"]).unwrap();
    assert_eq!(count.n_wakes(), 0);
    let mut names = received(&watches);
    names.sort_unstable();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(replaced.try_recv().unwrap().last(), 2);
}

#[test]
fn a_key_is_not_received_while_with_uses_it() {
    let (bus, watches) = with_watches(&["a"]);
    bus.emit(1, ["a"]).unwrap();
    watches
        .with(&"a", |sub| {
            assert!(watches.try_recv().is_none());
            bus.emit(2, ["a"]).unwrap();
            assert!(watches.try_recv().is_none());
            assert_eq!(sub.lag(), 2);
        })
        .unwrap();
    assert_eq!(watches.try_recv().unwrap().1.unwrap().count(), 2);
}

#[test]
fn a_key_that_is_removed_or_replaced_inside_of_with_is_dropped_by_it() {
    let (bus, watches) = with_watches(&["a", "b"]);
    watches
        .with(&"a", |_| assert!(watches.remove(&"a").is_none()))
        .unwrap();
    assert_eq!((watches.len(), bus.n_subscriptions()), (1, 1));
    let sub = bus.subscribe(Selector::key("x")).wake().unwrap();
    watches
        .with(&"b", |_| assert!(watches.insert("b", sub).is_none()))
        .unwrap();
    assert_eq!((watches.len(), bus.n_subscriptions()), (1, 1));
    bus.emit(1, ["b", "x"]).unwrap();
    assert_eq!(received(&watches), ["b"]);
    watches.with(&"b", |_| watches.clear()).unwrap();
    assert_eq!((watches.len(), bus.n_subscriptions()), (0, 0));
}

#[test]
fn a_panic_inside_of_with_leaves_the_key_in_the_set() {
    let (bus, watches) = with_watches(&["a"]);
    bus.emit(1, ["a"]).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        watches.with(&"a", |_| panic!("inside"))
    }));
    assert!(panicked.is_err());
    assert_eq!(received(&watches), ["a"]);
}

#[test]
fn g31_a_key_that_was_taken_is_paused_until_its_delivery_is_dropped() {
    let (bus, watches) = with_watches(&["a", "b"]);
    bus.emit(1, ["a"]).unwrap();
    let delivery = watches.take().unwrap();
    assert_eq!((*delivery.key(), delivery.span().unwrap().last()), ("a", 1));
    bus.emit(2, ["a"]).unwrap();
    bus.emit(3, ["a", "b"]).unwrap();
    assert_eq!(received(&watches), ["b"]);
    let lag = watches.with(&"a", |sub| sub.lag()).unwrap();
    assert_eq!(lag, 2, "it is there for those who look");
    assert!(watches.take().is_none());

    let (waker, count) = counting();
    let mut recv = pin!(watches.recv());
    assert!(poll(recv.as_mut(), &waker).is_pending());
    drop(delivery);
    assert_eq!(count.n_wakes(), 1);
    let Poll::Ready((name, span)) = poll(recv.as_mut(), &waker) else {
        panic!("not ready");
    };
    assert_eq!((name, span.unwrap().count()), ("a", 2));
}

#[test]
fn a_delivery_outlives_its_key_and_does_not_pause_the_next_of_its_name() {
    let (bus, watches) = with_watches(&["a"]);
    bus.emit(1, ["a"]).unwrap();
    let old = watches.take().unwrap();
    drop(watches.remove(&"a"));
    watches.insert("a", bus.subscribe(..).wake().unwrap());
    bus.emit(2, ["a"]).unwrap();
    let new = watches.take().unwrap();
    bus.emit(3, ["a"]).unwrap();
    drop(old);
    assert!(watches.take().is_none(), "the new one is still paused");
    drop(new);
    assert_eq!(watches.take().unwrap().span().unwrap().last(), 3);
}

#[test]
fn a_delivery_of_the_close_is_the_last() {
    let (bus, watches) = with_watches(&["a"]);
    bus.emit(1, ["a"]).unwrap();
    bus.close();
    for expected in [true, false] {
        let delivery = watches.take().unwrap();
        assert_eq!(delivery.span().is_ok(), expected);
        assert!(watches.take().is_none());
    }
    assert!(watches.take().is_none());
}

#[test]
fn each_ready_key_is_announced_to_one_waiting_consumer() {
    let (bus, watches) = with_watches(&["a", "b"]);
    let wakers = [counting(), counting(), counting()];
    let n_wakes = || wakers.each_ref().map(|(_, count)| count.n_wakes());
    let mut waiting = wakers.each_ref().map(|_| Box::pin(watches.ready()));
    for (ready, (waker, _)) in waiting.iter_mut().zip(&wakers) {
        assert!(poll(ready.as_mut(), waker).is_pending());
    }
    bus.emit(1, ["a", "b"]).unwrap();
    assert_eq!(n_wakes(), [1, 0, 0], "one emit wakes one");
    let mut next = |i: usize| match poll(waiting[i].as_mut(), &wakers[i].0) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    };
    let first = next(0).unwrap();
    assert_eq!(n_wakes(), [1, 1, 0], "it wakes the next");
    let second = next(1).unwrap();
    assert!(next(2).is_none(), "both keys are announced");
    // One that is not taken is announced again.
    drop(first);
    assert_eq!(n_wakes(), [1, 1, 1]);
    let third = next(2).unwrap();
    let (second, third) = (second.take().unwrap(), third.take().unwrap());
    let mut names = [*second.key(), *third.key()];
    names.sort_unstable();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn what_was_announced_may_be_gone_when_it_is_taken() {
    let (bus, watches) = with_watches(&["a"]);
    bus.emit(1, ["a"]).unwrap();
    let ready = block_on(watches.ready());
    assert!(watches.try_recv().is_some());
    assert!(ready.take().is_none());
    bus.emit(2, ["a"]).unwrap();
    let ready = block_on(watches.ready());
    drop(watches.remove(&"a"));
    assert!(ready.take().is_none());
    let (waker, _) = counting();
    assert!(poll(pin!(watches.ready()), &waker).is_pending());
}

#[test]
fn g12_a_consumer_that_stops_waiting_after_it_was_woken_wakes_another() {
    let (bus, watches) = with_watches(&["a"]);
    let [(waker, count), (other_waker, other_count)] = [counting(), counting()];
    let mut first = Box::pin(watches.ready());
    let mut second = Box::pin(watches.recv());
    assert!(poll(first.as_mut(), &waker).is_pending());
    assert!(poll(second.as_mut(), &other_waker).is_pending());
    bus.emit(1, ["a"]).unwrap();
    assert_eq!((count.n_wakes(), other_count.n_wakes()), (1, 0));
    drop(first);
    assert_eq!(other_count.n_wakes(), 1);
}

/// A key that counts what is done with it.
#[derive(Debug)]
struct Counted(usize);

thread_local! {
    static N_CLONES: Cell<usize> = const { Cell::new(0) };
    static N_HASHES: Cell<usize> = const { Cell::new(0) };
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        N_CLONES.set(N_CLONES.get() + 1);
        Self(self.0)
    }
}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        N_HASHES.set(N_HASHES.get() + 1);
        self.0.hash(state);
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Counted {}

#[test]
fn a_receive_costs_the_same_however_many_keys_are_quiet() {
    let cost = |n_keys: usize| {
        let bus = RangeWatchBus::new();
        let watches = WatchSet::new();
        for i in 0..n_keys {
            let selector = Selector::key(i.to_string());
            watches.insert(Counted(i), bus.subscribe(selector).wake().unwrap());
        }
        let before = (N_CLONES.get(), N_HASHES.get());
        bus.emit(1, ["7"]).unwrap();
        assert_eq!(watches.try_recv().unwrap().0, Counted(7));
        (N_CLONES.get() - before.0, N_HASHES.get() - before.1)
    };
    assert_eq!(cost(10_000), (1, 0));
    assert_eq!(cost(10), (1, 0));
}

#[test]
fn a_set_is_shared_by_threads() {
    deadline::ends(share_by_threads);
}

fn share_by_threads() {
    const N_EMITS: u64 = 1_000;
    let (bus, watches) = with_watches(&["a", "b", "c"]);
    let n_received: u64 = std::thread::scope(|scope| {
        let receivers = [(); 2].map(|()| {
            scope.spawn(|| {
                let (mut n_emits, mut n_ends) = (0, 0);
                loop {
                    match block_on(watches.recv()) {
                        ("stop", _) => return (n_emits, n_ends),
                        (_, Ok(span)) => n_emits += span.count(),
                        (_, Err(Closed)) => n_ends += 1,
                    }
                }
            })
        });
        for value in 1..=N_EMITS {
            bus.emit(value, ["a", "b", "c"]).unwrap();
        }
        bus.close();
        let stop = RangeWatchBus::new();
        let mut stops = receivers.len();
        while stops > 0 {
            // One key, received once for each of the receivers.
            if watches.n_ready() == 0 {
                let sub = stop.subscribe(..).wake().unwrap();
                stop.emit(1, ["k"]).unwrap();
                watches.insert("stop", sub);
                stops -= 1;
            }
            std::thread::yield_now();
        }
        let totals = receivers.map(|receiver| receiver.join().unwrap());
        assert_eq!(totals.iter().map(|(_, n_ends)| n_ends).sum::<usize>(), 3);
        totals.iter().map(|(n_emits, _)| n_emits).sum()
    });
    assert_eq!(n_received, 3 * N_EMITS);
}
