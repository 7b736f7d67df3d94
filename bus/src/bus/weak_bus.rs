//! A handle of a bus that does not keep it open.

use std::fmt;
use std::sync::Weak;

use super::CloseOnDrop;
use crate::RangeWatchBus;

/// A handle of a bus that does not keep it open, from [`RangeWatchBus::downgrade`].
///
/// For a task or a registry that uses a bus as long as it lives, without being a reason for it to
/// live. It keeps neither the history nor the subscriptions in memory.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
///
/// let bus = RangeWatchBus::builder().name("orders").build()?;
/// let weak = bus.downgrade();
/// assert_eq!(weak.upgrade().as_ref().and_then(|bus| bus.name()), Some("orders"));
///
/// let sub = bus.subscribe(..).wake()?;
/// drop(bus); // the last handle: the bus is closed
/// assert!(weak.upgrade().is_none());
/// # drop(sub);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WeakRangeWatchBus<P = ()> {
    owner: Weak<CloseOnDrop<P>>,
}

impl<P: Send + Sync + 'static> WeakRangeWatchBus<P> {
    pub(crate) const fn new(owner: Weak<CloseOnDrop<P>>) -> Self {
        Self { owner }
    }

    /// A handle of the bus; `None` if the last one was dropped, which has closed the bus. A bus
    /// that was closed by a call is returned as long as it has handles.
    #[must_use]
    pub fn upgrade(&self) -> Option<RangeWatchBus<P>> {
        self.owner.upgrade().map(RangeWatchBus::of_owner)
    }
}

impl<P> Clone for WeakRangeWatchBus<P> {
    fn clone(&self) -> Self {
        Self {
            owner: Weak::clone(&self.owner),
        }
    }
}

impl<P> fmt::Debug for WeakRangeWatchBus<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakRangeWatchBus").finish_non_exhaustive()
    }
}
