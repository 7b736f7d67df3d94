//! Work that a critical section defers until its lock is released.

use crate::emit::{Evicted, WakeList};

/// Work that a critical section defers until its lock is released: wakers run user code, and
/// freeing takes time.
pub(crate) struct Effects {
    pub(crate) wakers: WakeList,
    pub(crate) evicted: Evicted,
    #[cfg(feature = "tracing")]
    pub(crate) slow: Vec<crate::subscription::SlowConsumer>,
}

impl Effects {
    pub(crate) fn new() -> Self {
        Self {
            wakers: WakeList::new(),
            evicted: Evicted::new(),
            #[cfg(feature = "tracing")]
            slow: Vec::new(),
        }
    }

    /// Must be called without locks.
    pub(crate) fn apply(self) {
        // Wakers first, because a subscriber of `tracing` may panic.
        self.wakers.wake_all();
        #[cfg(feature = "tracing")]
        self.slow
            .iter()
            .for_each(crate::subscription::SlowConsumer::report);
    }
}
