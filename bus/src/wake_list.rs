//! The wakers that a critical section collects and that are woken after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use smallvec::SmallVec;

/// How many wakers an emit collects without allocating; 32 wakers are half a KiB of stack.
const N_INLINE: usize = 32;

/// Wakers collected under a lock, to be woken after the lock is released, in the order in which
/// they were collected.
pub(crate) struct WakeList(SmallVec<[Waker; N_INLINE]>);

impl WakeList {
    pub(crate) fn new() -> Self {
        Self(SmallVec::new())
    }

    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        self.0.push(waker);
    }

    /// Wakes all. If a waker panics, the others are still woken while the panic unwinds: a
    /// subscription must not lose its wake-up to another's faulty waker. Of several panics the first passes through.
    pub(crate) fn wake_all(self) {
        let mut rest = Rest(self.0.into_iter());
        rest.wake();
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

struct Rest(smallvec::IntoIter<[Waker; N_INLINE]>);

impl Rest {
    fn wake(&mut self) {
        self.0.by_ref().for_each(Waker::wake);
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        // Reached with wakers left only while the panic of one unwinds; a second panic would abort the process.
        for waker in self.0.by_ref() {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
