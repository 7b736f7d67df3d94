//! The started watches of a guest.

use std::pin::pin;

use futures::future::{Either, select};
use rangewatch_bus::{Delivery, Ready, WakeSubscription, WatchSet};

use super::signal::Signal;
use super::watch::Watch;

/// The started watches of a guest, which deliver, and the end of the guest. Futures that wait for a
/// callback share it, so that they do not keep its other state alive.
#[derive(Debug, Default)]
pub(crate) struct Started {
    set: WatchSet<Watch>,
    end: Signal,
}

impl Started {
    pub(crate) fn insert(&self, watch: Watch, subscription: WakeSubscription) {
        drop(self.set.insert(watch.clone(), subscription));
        // A stop on another instance may have come before.
        if watch.is_stopped() {
            self.remove(&watch);
        }
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
