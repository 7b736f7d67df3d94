//! What a critical section leaves to be done after it.

use crate::emit::{Evicted, WakeList};

/// What a critical section leaves to be done after it: nothing of this runs or is freed under a lock.
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

    /// To be called without locks.
    pub(crate) fn apply(self) {
        // A subscriber of `tracing` may panic: nobody may lose a wake-up to that.
        self.wakers.wake_all();
        #[cfg(feature = "tracing")]
        self.slow
            .iter()
            .for_each(crate::subscription::SlowConsumer::report);
    }
}
