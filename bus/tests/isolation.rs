//! A thread that is stopped inside the lock of one bus delays no other bus.

#![expect(
    unsafe_code,
    reason = "an allocator that stops a thread can be written in no other way"
)]

mod deadline;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use rangewatch_bus::{History, RangeWatchBus, Selector, WatchSet};

/// The system's allocator, in which a thread can be stopped.
struct Stopping;

thread_local! {
    /// Whether the next allocation of this thread stops it.
    static STOPS: Cell<bool> = const { Cell::new(false) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    NotYet,
    Stopped,
    Released,
}

static STOP: Mutex<Stop> = Mutex::new(Stop::NotYet);
static CHANGED: Condvar = Condvar::new();

// SAFETY: every call is passed on to the system's allocator as it is. Waiting does not allocate:
// the lock and the condition variable are initialized by constants.
unsafe impl GlobalAlloc for Stopping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if STOPS.try_with(|stops| stops.replace(false)) == Ok(true) {
            let mut stop = STOP.lock().unwrap();
            *stop = Stop::Stopped;
            CHANGED.notify_all();
            while *stop != Stop::Released {
                stop = CHANGED.wait(stop).unwrap();
            }
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the block came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Stopping = Stopping;

/// Uses every kind of operation that takes a lock.
fn use_all_of(bus: &RangeWatchBus) {
    let mut events = bus.subscribe(Selector::all()).since(0).events(1).unwrap();
    let mut spans = bus.subscribe("a".."z").wake().unwrap();
    let watches = WatchSet::new();
    watches.insert(7, bus.subscribe("a".."z").wake().unwrap());
    for _ in 0..3 {
        bus.emit_next(["k"]).unwrap();
    }
    bus.emit_many([(10, ["k"])]).unwrap();
    block_on(bus.emit_async(11, ["k"])).unwrap();
    assert_eq!(block_on(events.recv()).unwrap().value(), 1);
    assert_eq!(block_on(spans.recv()).unwrap().count(), 5);
    assert_eq!(block_on(watches.recv()).0, 7);
    spans.add_selectors(Selector::key("0")).unwrap();
    events.request_progress().unwrap();
    bus.advance(20).unwrap();
    bus.compact(20).unwrap();
    assert!(bus.stats().deliveries().is_conserved());
    drop((events, spans, watches));
    bus.close();
    assert!(bus.is_closed() && bus.n_subscriptions() == 0);
}

#[test]
fn g22_a_thread_that_is_stopped_inside_the_lock_of_one_bus_delays_no_other() {
    deadline::ends(|| {
        let one = RangeWatchBus::new();
        let _sub = one.subscribe(..).events(2).unwrap();
        let emitter = thread::spawn({
            let one = one.clone();
            move || {
                // The queue and the thread's scratch buffers have their room after the first emit.
                one.emit(1, ["k"]).unwrap();
                // The first allocation of the second one is its record, which is made under the
                // lock.
                STOPS.set(true);
                one.emit(2, ["k"]).unwrap();
            }
        });
        let stop = STOP.lock().unwrap();
        drop(CHANGED.wait_while(stop, |stop| *stop == Stop::NotYet));

        let history = History::events(100);
        use_all_of(&RangeWatchBus::builder().history(history).build().unwrap());

        // The thread is where it is meant to be: the lock of its own bus is held.
        let (done, is_done) = mpsc::channel();
        let other = thread::spawn(move || done.send(one.last_seq()).unwrap());
        let held = is_done.recv_timeout(Duration::from_millis(100));
        assert_eq!(held, Err(RecvTimeoutError::Timeout));
        *STOP.lock().unwrap() = Stop::Released;
        CHANGED.notify_all();
        assert_eq!(is_done.recv().unwrap().map(u64::from), Some(2));
        other.join().unwrap();
        emitter.join().unwrap();
    });
}
