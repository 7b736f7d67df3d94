//! The wakers that a critical section collects and that are woken after it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::vec;

use super::scratch;

thread_local! {
    static SCRATCH: Cell<Vec<Waker>> = const { Cell::new(Vec::new()) };
}

/// Wakers collected under a lock, to be woken after the lock is released, in the order in which
/// they were collected.
pub(crate) struct WakeList(Vec<Waker>);

impl WakeList {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes the room that the thread keeps, before the first of many pushes.
    pub(crate) fn prepare(&mut self) {
        if self.0.capacity() == 0 {
            self.0 = scratch::take(&SCRATCH);
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        self.0.push(waker);
    }

    /// Wakes all. If a waker panics, the others are still woken while the panic unwinds: a
    /// subscription must not lose its wake-up to another's faulty waker. Of several panics the first passes through.
    pub(crate) fn wake_all(mut self) {
        let mut rest = Remaining(self.0.drain(..));
        rest.wake();
        drop(rest);
        scratch::put_back(&SCRATCH, self.0);
    }
}

impl Extend<Waker> for WakeList {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        self.0.extend(wakers);
    }
}

impl FromIterator<Waker> for WakeList {
    fn from_iter<I: IntoIterator<Item = Waker>>(wakers: I) -> Self {
        Self(wakers.into_iter().collect())
    }
}

struct Remaining<'a>(vec::Drain<'a, Waker>);

impl Remaining<'_> {
    fn wake(&mut self) {
        self.0.by_ref().for_each(Waker::wake);
    }
}

impl Drop for Remaining<'_> {
    fn drop(&mut self) {
        // Reached with wakers left only while the panic of one unwinds; a second panic would abort the process.
        for waker in self.0.by_ref() {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
