//! The started watches of a guest.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

use futures::future::{Either, select};
use rangewatch_bus::{Delivery, RangeWatchBus, Ready, Selector, WakeSubscription, WatchSet};

use super::guest_watches::WatchError;
use super::namespace::Namespace;
use super::signal::Signal;
use super::watch::Watch;
use crate::guest::ids::OwnerId;

/// The started watches of a guest, which deliver, and the end of the guest. Futures that wait for a
/// callback share it, so that they do not keep its other state alive.
#[derive(Debug, Default)]
pub(crate) struct Started {
    set: WatchSet<Watch>,
    end: Signal,
    /// Rings the bells of owners of generation 2: a key for each.
    bells: OnceLock<RangeWatchBus>,
}

impl Started {
    pub(crate) fn insert(&self, watch: Watch, subscription: WakeSubscription) {
        drop(self.set.insert(watch.clone(), subscription));
        // A stop on another instance may have come before.
        if watch.is_stopped() {
            self.remove(&watch);
        }
    }

    /// Wakes the bell of an owner.
    pub(super) fn bell(&self, owner: OwnerId) -> Waker {
        Waker::from(Arc::new(Bell {
            bells: self.bells().clone(),
            owner,
        }))
    }

    /// Makes the bell of an owner, which is ready when it was woken.
    pub(super) fn insert_bell(&self, namespace: &Arc<Namespace>) -> Result<Watch, WatchError> {
        let key = Selector::key(bell_key(namespace.id()));
        let subscription = self.bells().subscribe(key).wake()?;
        let bell = Watch::new(namespace.clone(), b"", None, None);
        drop(self.set.insert(bell.clone(), subscription));
        Ok(bell)
    }

    fn bells(&self) -> &RangeWatchBus {
        self.bells.get_or_init(RangeWatchBus::new)
    }

    pub(crate) fn remove(&self, watch: &Watch) {
        drop(self.set.remove(watch));
    }

    /// Waits until a watch has something to deliver; `None` when the guest has ended.
    pub(crate) async fn due(&self) -> Option<Ready<'_, Watch>> {
        if self.is_ended() {
            return None;
        }
        match select(pin!(self.end.wait()), pin!(self.set.ready())).await {
            Either::Left(_) => None,
            Either::Right((ready, _)) => Some(ready),
        }
    }

    pub(crate) fn take(&self) -> Option<Delivery<Watch>> {
        self.set.take()
    }

    /// The number of watches that have something to deliver.
    pub(crate) fn n_ready(&self) -> usize {
        self.set.n_ready()
    }

    /// Marks the end and resolves [`due`](Self::due).
    pub(crate) fn end(&self) {
        self.end.set();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.end.is_set()
    }
}

/// Rings the bell of an owner.
struct Bell {
    bells: RangeWatchBus,
    owner: OwnerId,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Refused by a closed bus only, and this one is closed with its guest.
        let _ = self.bells.emit(0, [bell_key(self.owner)]);
    }
}

fn bell_key(owner: OwnerId) -> [u8; 8] {
    owner.get().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use rangewatch_bus::{RangeWatchBus, Selector};

    use super::*;
    use crate::watches::owner::Owner;
    use crate::{Emits, Limits};

    /// A `stop` on another instance may come between the `start` of a watch and its insertion.
    #[test]
    fn g23_a_watch_that_was_stopped_before_its_insertion_is_not_kept() {
        let bus = RangeWatchBus::new();
        let owner = Owner::new(&bus, Limits::default(), Emits::Immediate);
        let subscription = bus.subscribe(Selector::all()).hold().wake().expect("valid");
        let watch = Watch::new(owner.namespace().clone(), b"w", subscription, Some(0));
        let subscription = watch.start().expect("open").expect("the first start");
        watch.stop(false);
        let started = owner.watches().started();
        started.insert(watch, subscription);
        bus.emit(1, ["a"]).expect("the bus is open");
        assert_eq!((started.n_ready(), bus.n_subscriptions()), (0, 0));
    }
}
