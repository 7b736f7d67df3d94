//! What is taken from a watch set by a consumer that must not be overtaken.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::state::{Taken, WatchSetCore};
use crate::emit::wake_contained;
use crate::{Closed, Span};

/// A key that was announced to its holder, from [`WatchSet::ready`](crate::WatchSet::ready).
///
/// While this lives, the key that it stands for is announced to no other caller of `ready`.
/// Dropping it without taking announces the key again.
///
/// # Examples
///
/// ```
/// # futures::executor::block_on(async {
/// use rangewatch_bus::{RangeWatchBus, WatchSet};
///
/// let bus = RangeWatchBus::new();
/// let watches = WatchSet::new();
/// watches.insert("all", bus.subscribe(..).wake()?);
/// bus.emit(1, ["a"])?;
///
/// let ready = watches.ready().await; // nothing was taken yet: wait for what the work needs
/// bus.emit(2, ["b"])?;
/// let delivery = ready.take().expect("the key was not removed");
/// assert_eq!(delivery.span()?.count(), 2); // both emits, as it is taken now
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "the key is announced to no other receiver as long as this lives"]
pub struct Ready<'a, K: Hash + Eq + Clone + Send + 'static> {
    /// `None` once the claim was given back.
    core: Option<&'a Arc<WatchSetCore<K>>>,
}

impl<'a, K: Hash + Eq + Clone + Send + 'static> Ready<'a, K> {
    /// Takes over a claim that was counted.
    pub(super) const fn new(core: &'a Arc<WatchSetCore<K>>) -> Self {
        Self { core: Some(core) }
    }

    /// Takes the key that has been ready longest, and pauses it until the [`Delivery`] is dropped.
    ///
    /// `None` if no key is ready any more, because it was removed, or received by a method that
    /// does not wait for announcements.
    #[must_use]
    pub fn take(mut self) -> Option<Delivery<K>> {
        let core = self.core.take()?;
        let (taken, next) = core.take_claimed();
        wake_contained(next);
        taken.map(|taken| Delivery::new(core, taken))
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> Drop for Ready<'_, K> {
    fn drop(&mut self) {
        if let Some(core) = self.core {
            let next = {
                let mut state = core.lock();
                state.give_back_claim();
                state.next_receiver()
            };
            wake_contained(next);
        }
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> fmt::Debug for Ready<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// A key and what its subscription delivered, from [`WatchSet::take`](crate::WatchSet::take) and
/// [`Ready::take`].
///
/// The key is paused until this is dropped: emits that match meanwhile are merged into its next
/// span. Removing the key does not wait for this, and a subscription that is inserted under the
/// same key meanwhile is not paused.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, WatchSet};
///
/// let bus = RangeWatchBus::new();
/// let set = WatchSet::new();
/// set.insert("config", bus.subscribe("config/".."config0").wake()?);
/// bus.emit(1, ["config/port"])?;
///
/// let delivery = set.take().expect("one key is ready");
/// assert_eq!((*delivery.key(), delivery.span()?.last()), ("config", 1));
/// bus.emit(2, ["config/host"])?;
/// assert!(set.take().is_none()); // the key is paused
/// drop(delivery);
/// assert_eq!(set.take().expect("ready again").span()?.last(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the key is paused until this is dropped"]
pub struct Delivery<K: Hash + Eq + Clone + Send + 'static> {
    core: Arc<WatchSetCore<K>>,
    taken: Taken<K>,
}

impl<K: Hash + Eq + Clone + Send + 'static> Delivery<K> {
    pub(super) fn new(core: &Arc<WatchSetCore<K>>, taken: Taken<K>) -> Self {
        Self {
            core: Arc::clone(core),
            taken,
        }
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &K {
        &self.taken.key
    }

    /// The span of all matching emits since the last one that was taken.
    ///
    /// # Errors
    ///
    /// [`Closed`] once, if the bus is closed and the last span was taken.
    pub const fn span(&self) -> Result<Span, Closed> {
        self.taken.result
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> Drop for Delivery<K> {
    fn drop(&mut self) {
        self.core.release(self.taken.member);
    }
}

impl<K: Hash + Eq + Clone + Send + fmt::Debug + 'static> fmt::Debug for Delivery<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("key", self.key())
            .field("span", &self.span())
            .finish()
    }
}
