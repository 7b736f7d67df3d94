//! A guest that emits and watches.

use std::cell::Cell;

use rangewatch_guest as watch;

thread_local! {
    static RECEIVED: Cell<u64> = const { Cell::new(0) };
}

/// Once on each instance.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    watch::receive(|_id, value| RECEIVED.set(value)).expect("registered once");
}

/// Two keys have changed.
#[unsafe(no_mangle)]
extern "C" fn apply(revision: u64) {
    watch::emit(revision, ["test-100", "test-200"]).expect("keys fit");
}

/// Watches a range of keys.
#[unsafe(no_mangle)]
extern "C" fn follow() {
    watch::open(b"w1", "test-100".."test-300").expect("w1 is free");
    watch::start(b"w1").expect("w1 is open");
}

/// The value that the watch received last, or 0.
#[unsafe(no_mangle)]
extern "C" fn received() -> u64 {
    RECEIVED.get()
}
