//! User code that uses the bus from wherever the bus calls it.
//!
//! If the bus called it under a lock, it would deadlock; so each test has a deadline.

#![expect(
    unsafe_code,
    reason = "only a raw waker can run code when it is cloned"
)]

mod deadline;

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, RawWaker, RawWakerVTable, Wake, Waker};

use rangewatch_bus::{RangeWatchBus, Selector, TryRecvError, WakeSubscription};

/// The moment at which a hostile waker runs its hook.
type Hook = dyn Fn(Moment) + Send + Sync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Clone,
    Wake,
    Drop,
}

/// Makes a waker that runs `hook` whenever it is cloned, woken or dropped.
fn hostile(hook: impl Fn(Moment) + Send + Sync + 'static) -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

    fn raw(hook: Arc<Box<Hook>>) -> RawWaker {
        RawWaker::new(Arc::into_raw(hook).cast(), &VTABLE)
    }

    // The pointer of each waker comes from `raw`, hence from `Arc::into_raw` of this type, and each
    // waker owns one count of it.

    /// The hook of a waker that stays valid.
    unsafe fn lend(data: *const ()) -> ManuallyDrop<Arc<Box<Hook>>> {
        // SAFETY: the waker owns a count, which stays with it.
        ManuallyDrop::new(unsafe { Arc::from_raw(data.cast()) })
    }
    /// The hook of a waker that ends.
    unsafe fn take(data: *const ()) -> Arc<Box<Hook>> {
        // SAFETY: the waker owned a count, and is not used again.
        unsafe { Arc::from_raw(data.cast()) }
    }
    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: `clone` borrows its waker.
        let hook = unsafe { lend(data) };
        hook(Moment::Clone);
        raw(Arc::clone(&hook))
    }
    unsafe fn wake(data: *const ()) {
        // SAFETY: `wake` consumes its waker.
        let hook = unsafe { take(data) };
        hook(Moment::Wake);
    }
    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: `wake_by_ref` borrows its waker.
        let hook = unsafe { lend(data) };
        hook(Moment::Wake);
    }
    unsafe fn drop_waker(data: *const ()) {
        // SAFETY: `drop` consumes its waker.
        let hook = unsafe { take(data) };
        hook(Moment::Drop);
    }

    // SAFETY: the functions of the table keep the contract of `RawWakerVTable`: they are
    // thread-safe, as the hook is `Send` and `Sync`, and they manage the count of the `Arc` as
    // described above.
    unsafe { Waker::from_raw(raw(Arc::new(Box::new(hook)))) }
}

/// Uses the bus in every way.
fn use_all_of(bus: &RangeWatchBus) {
    let mut sub = bus.subscribe(Selector::key("inner")).events(1).unwrap();
    let mut wake = bus.subscribe(Selector::key("inner")).wake().unwrap();
    bus.emit(0, ["inner"]).unwrap();
    assert!(sub.try_recv().is_ok() && wake.try_recv().is_ok());
    assert!(bus.last_seq().is_some() && !bus.is_closed() && bus.n_subscriptions() >= 2);
    let _ = format!("{bus:?} {sub:?} {wake:?} {:?}", wake.selectors());
}

#[test]
fn g15_a_waker_may_use_the_bus_when_it_is_cloned_woken_or_dropped() {
    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let moments = Arc::new(Mutex::new(Vec::new()));
        let waker = hostile({
            let (bus, moments) = (bus.clone(), Arc::clone(&moments));
            move |moment| {
                use_all_of(&bus);
                moments.lock().unwrap().push(moment);
            }
        });
        let mut cx = Context::from_waker(&waker);
        let mut wake = bus.subscribe(Selector::key("k")).wake().unwrap();
        let mut events = bus.subscribe(Selector::key("k")).events(1).unwrap();
        assert!(wake.poll_recv(&mut cx).is_pending() && events.poll_recv(&mut cx).is_pending());
        bus.emit(1, ["k"]).unwrap();
        assert!(wake.poll_recv(&mut cx).is_ready() && events.poll_recv(&mut cx).is_ready());
        // Replaced by another waker, and dropped with the subscription.
        assert!(wake.poll_recv(&mut cx).is_pending() && events.poll_recv(&mut cx).is_pending());
        assert!(
            wake.poll_recv(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        drop(events);
        use Moment::{Clone, Drop, Wake};
        assert_eq!(
            *moments.lock().unwrap(),
            [Clone, Clone, Wake, Wake, Clone, Clone, Drop, Drop]
        );
    });
}

#[test]
fn g12_an_emit_while_the_waker_is_being_cloned_is_not_lost() {
    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(Selector::key("k")).wake().unwrap();
        let waker = hostile(move |moment| {
            if moment == Moment::Clone {
                bus.emit(1, ["k"]).unwrap();
            }
        });
        assert!(sub.poll_recv(&mut Context::from_waker(&waker)).is_ready());
    });
}

#[test]
fn g15_a_waker_that_is_replaced_may_emit_to_its_own_subscription() {
    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(Selector::key("k")).wake().unwrap();
        let waker = hostile(move |moment| {
            if moment == Moment::Drop {
                bus.emit(1, ["k"]).unwrap();
            }
        });
        assert!(sub.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        assert!(
            sub.poll_recv(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        assert_eq!(sub.try_recv().unwrap().count(), 1);
    });
}

#[test]
fn g15_a_waker_may_drop_subscriptions_and_close_the_bus() {
    /// Drops what it holds and closes the bus when it is woken.
    struct DropAndClose(RangeWatchBus, Mutex<Vec<WakeSubscription>>);

    impl Wake for DropAndClose {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().clear();
            self.0.close();
        }
    }

    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(Selector::key("k")).wake().unwrap();
        let others = (0..3)
            .map(|_| bus.subscribe(Selector::key("k")).wake().unwrap())
            .collect();
        let waker = Waker::from(Arc::new(DropAndClose(bus.clone(), Mutex::new(others))));
        assert!(sub.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(bus.emit(1, ["k"]).unwrap().matched(), 4);
        assert_eq!(bus.n_subscriptions(), 1);
        assert!(bus.is_closed());
        assert_eq!(sub.try_recv().unwrap().last(), 1);
    });
}

#[test]
fn g15_the_keys_of_an_emit_may_use_the_bus() {
    /// A key that uses the bus when it is read and when it is dropped.
    struct Key(RangeWatchBus);

    impl AsRef<[u8]> for Key {
        fn as_ref(&self) -> &[u8] {
            use_all_of(&self.0);
            b"k"
        }
    }

    impl Drop for Key {
        fn drop(&mut self) {
            use_all_of(&self.0);
        }
    }

    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let mut sub = bus.subscribe(Selector::key("k")).events(10).unwrap();
        let keys = (0..3).map(|_| {
            use_all_of(&bus);
            Key(bus.clone())
        });
        assert_eq!(bus.emit(1, keys).unwrap().matched(), 1);
        assert_eq!(sub.try_recv().unwrap().keys().count(), 3);
        bus.close();
        assert_eq!(sub.try_recv(), Err(TryRecvError::Closed));
    });
}

#[test]
fn g15_emit_wakes_only_after_the_emit_is_complete() {
    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let subs: Vec<_> = (0..50)
            .map(|_| bus.subscribe(Selector::key("k")).wake().unwrap())
            .collect();
        let subs = Arc::new(Mutex::new(subs));
        let n_complete = Arc::new(Mutex::new(0));
        let waker = hostile({
            let (subs, n_complete) = (Arc::downgrade(&subs), Arc::clone(&n_complete));
            move |moment| {
                if moment == Moment::Wake {
                    // The first to be woken finds that all have the emit.
                    let subs = subs.upgrade().unwrap();
                    let n_received = subs
                        .lock()
                        .unwrap()
                        .iter_mut()
                        .filter_map(|sub| sub.try_recv().ok())
                        .count();
                    *n_complete.lock().unwrap() += n_received;
                }
            }
        });
        for sub in subs.lock().unwrap().iter_mut() {
            assert!(sub.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(bus.emit(1, ["k"]).unwrap().matched(), 50);
        assert_eq!(*n_complete.lock().unwrap(), 50);
    });
}

#[test]
fn g12_a_panic_of_one_waker_does_not_lose_the_wake_up_of_another() {
    deadline::ends(|| {
        let bus = RangeWatchBus::new();
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut subs: Vec<_> = (0..3)
            .map(|_| bus.subscribe(Selector::key("k")).wake().unwrap())
            .collect();
        for (i, sub) in subs.iter_mut().enumerate() {
            let woken = Arc::clone(&woken);
            let waker = hostile(move |moment| {
                if moment == Moment::Wake {
                    woken.lock().unwrap().push(i);
                    if woken.lock().unwrap().len() == 1 {
                        std::panic::resume_unwind(Box::new("a faulty waker"));
                    }
                }
            });
            assert!(sub.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        }
        assert!(catch_unwind(AssertUnwindSafe(|| bus.emit(1, ["k"]))).is_err());
        woken.lock().unwrap().sort_unstable();
        assert_eq!(*woken.lock().unwrap(), [0, 1, 2]);
        assert!(subs.iter_mut().all(|sub| sub.try_recv().is_ok()));
        assert_eq!(bus.emit(2, ["k"]).unwrap().matched(), 3, "the bus goes on");
    });
}

#[test]
fn g26_a_panic_of_the_keys_emits_nothing() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).wake().unwrap();
    let keys = ["k"].into_iter().chain(std::iter::from_fn(|| {
        std::panic::resume_unwind(Box::new("faulty keys"))
    }));
    let keys = RefCell::new(Some(keys));
    assert!(catch_unwind(AssertUnwindSafe(|| bus.emit(1, keys.take().unwrap()))).is_err());
    assert_eq!(bus.last_seq(), None);
    assert!(sub.try_recv().is_err());
    assert_eq!(bus.emit(2, ["k"]).unwrap().seq().get(), 1);
}

#[test]
fn g22_nothing_of_one_bus_is_observable_on_another() {
    deadline::ends(|| {
        let (one, other) = (RangeWatchBus::new(), RangeWatchBus::new());
        let mut on_one = one.subscribe(..).wake().unwrap();
        let mut on_other = other.subscribe(..).wake().unwrap();
        // Emitting on either inside the wakers of the other needs both locks to be independent, in
        // both directions.
        let to_other = hostile({
            let other = other.clone();
            move |moment| {
                if moment == Moment::Wake {
                    other.emit(20, ["k"]).unwrap();
                }
            }
        });
        assert!(
            on_one
                .poll_recv(&mut Context::from_waker(&to_other))
                .is_pending()
        );
        one.emit(10, ["k"]).unwrap();
        assert_eq!(
            (one.last_seq(), other.last_seq()),
            (one.last_seq(), one.last_seq())
        );
        one.emit(11, ["k"]).unwrap();
        assert_eq!(
            (
                one.last_seq().map(u64::from),
                other.last_seq().map(u64::from)
            ),
            (Some(2), Some(1))
        );
        assert_eq!(on_one.try_recv().unwrap().last(), 11);
        assert_eq!(on_other.try_recv().unwrap().count(), 1);

        one.close();
        assert!(one.is_closed() && !other.is_closed());
        assert!(other.emit(21, ["k"]).is_ok());
        drop(on_one);
        assert_eq!((one.n_subscriptions(), other.n_subscriptions()), (0, 1));
    });
}
