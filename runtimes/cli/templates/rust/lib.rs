//! A guest that emits and watches.

use std::cell::Cell;

use rangewatch_guest as watch;

thread_local! {
    static RECEIVED: Cell<u64> = const { Cell::new(0) };
}

/// Once on each instance.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    must(watch::receive(|_id, value| RECEIVED.set(value)));
}

/// Two keys have changed.
#[unsafe(no_mangle)]
extern "C" fn apply(revision: u64) {
    must(watch::emit(revision, ["test-100", "test-200"]));
}

/// Watches a range of keys.
#[unsafe(no_mangle)]
extern "C" fn follow() {
    must(watch::open(b"w1", "test-100".."test-300"));
    must(watch::start(b"w1"));
}

/// The value that the watch received last, or 0.
#[unsafe(no_mangle)]
extern "C" fn received() -> u64 {
    RECEIVED.get()
}

/// Ends the call with the reason.
fn must(done: Result<(), watch::Error>) {
    done.unwrap_or_else(|error| panic!("{error}"));
}
