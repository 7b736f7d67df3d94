//! What an emit leaves to do after the bus lock is released.

use crate::emit::{Evicted, SpareList, WakeList};

/// Work that a critical section collects and that runs after its lock is released: a waker runs
/// user code, and freeing many records takes time.
pub(crate) struct Effects<'a, P> {
    /// The consumers to notify.
    pub(crate) wakers: WakeList,
    /// Records that the history has removed, to be freed.
    pub(crate) evicted: Evicted<'a, P>,
    /// Subscriptions that have begun to be slow, to be reported to `tracing`.
    #[cfg(feature = "tracing")]
    pub(crate) slow: Vec<crate::subscription::SlowConsumer>,
    /// The name of the bus, for the reports.
    #[cfg(feature = "tracing")]
    bus: Option<&'a str>,
}

impl<'a, P> Effects<'a, P> {
    #[inline]
    pub(crate) fn new(
        spare: &'a SpareList<P>,
        #[cfg(feature = "tracing")] bus: Option<&'a str>,
    ) -> Self {
        Self {
            wakers: WakeList::new(),
            evicted: Evicted::new(spare),
            #[cfg(feature = "tracing")]
            slow: Vec::new(),
            #[cfg(feature = "tracing")]
            bus,
        }
    }

    /// Notifies, reports and frees. The caller holds no lock of the bus.
    #[inline]
    pub(crate) fn apply(self) {
        // Consumers are notified first: a `tracing` subscriber that panics would lose the wakes.
        self.wakers.wake_all();
        #[cfg(feature = "tracing")]
        self.slow.iter().for_each(|slow| slow.report(self.bus));
    }
}
