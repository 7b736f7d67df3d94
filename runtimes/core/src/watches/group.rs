//! The watches of one owner: a guest with all of its instances.

use std::collections::HashMap;
use std::sync::Arc;

use futures::channel::oneshot;
use parking_lot::Mutex;
use rangewatch_bus::{RangeWatchBus, Selector, Selectors};

use crate::guest::emits::Emits;
use crate::guest::limits::Limits;
use crate::watches::ready::Ready;
use crate::watches::watch::{Polled, Running, Watch};

/// One owner of watches. Ids are unique in it; its instances share it; its end frees everything.
///
/// Lock order: `watches`, then a watch's own, then the bus's. None is held while a guest runs.
#[derive(Debug)]
pub(crate) struct Group {
    bus: RangeWatchBus,
    watches: Mutex<Watches>,
    limits: Limits,
    emits: Emits,
    ready: Arc<Ready>,
}

#[derive(Debug, Default)]
struct Watches {
    by_id: HashMap<Box<[u8]>, Entry>,
    /// The bytes of all ids and ranges.
    n_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    watch: Arc<Watch>,
    /// The bytes of its id and range.
    n_bytes: usize,
}

impl Watches {
    fn get(&self, id: &[u8]) -> Option<&Arc<Watch>> {
        self.by_id.get(id).map(|entry| &entry.watch)
    }

    /// The watch of `id`, made if there is none, charged with `n_bytes` more.
    fn charge(
        &mut self,
        id: &[u8],
        n_bytes: usize,
        limits: &Limits,
        ready: &Arc<Ready>,
    ) -> Result<Arc<Watch>, WatchError> {
        let n_watches = self.by_id.len();
        let known = self.by_id.get_mut(id);
        let n_bytes = n_bytes + if known.is_none() { id.len() } else { 0 };
        let total = self.n_bytes.saturating_add(n_bytes);
        if total > limits.max_watch_bytes() {
            return Err(WatchError::Limit);
        }
        let watch = match known {
            Some(entry) => {
                entry.n_bytes += n_bytes;
                entry.watch.clone()
            }
            None if n_watches >= limits.max_watches() => return Err(WatchError::Limit),
            None => {
                let watch = Watch::reserved(id, ready.clone());
                let entry = Entry {
                    watch: watch.clone(),
                    n_bytes,
                };
                self.by_id.insert(id.into(), entry);
                watch
            }
        };
        self.n_bytes = total;
        Ok(watch)
    }

    fn remove(&mut self, id: &[u8]) -> Option<Arc<Watch>> {
        let entry = self.by_id.remove(id)?;
        self.n_bytes -= entry.n_bytes;
        Some(entry.watch)
    }
}

/// What a guest is told about its call. The words are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchError {
    Exists,
    NotFound,
    AlreadyOpen,
    Closed,
    Limit,
    IdTooLong,
}

impl Group {
    pub(crate) fn new(bus: RangeWatchBus, limits: Limits, emits: Emits) -> Arc<Self> {
        Arc::new(Self {
            bus,
            emits,
            watches: Mutex::default(),
            limits,
            ready: Arc::default(),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn emits(&self) -> Emits {
        self.emits
    }

    pub(crate) fn bus(&self) -> &RangeWatchBus {
        &self.bus
    }

    pub(crate) fn reserve(&self, id: &[u8]) -> Result<(), WatchError> {
        let mut watches = self.watches.lock();
        self.check_open()?;
        if watches.get(id).is_some() {
            return Err(WatchError::Exists);
        }
        watches.charge(id, 0, &self.limits, &self.ready)?;
        Ok(())
    }

    /// Opens a reserved or a new id, with a range of `range_bytes`. No selector: the watch is there
    /// and matches nothing.
    pub(crate) fn open(
        &self,
        id: &[u8],
        selector: Option<Selector>,
        range_bytes: usize,
    ) -> Result<(), WatchError> {
        let mut watches = self.watches.lock();
        self.check_open()?;
        if watches.get(id).is_some_and(|watch| !watch.is_reserved()) {
            return Err(WatchError::AlreadyOpen);
        }
        let watch = watches.charge(id, range_bytes, &self.limits, &self.ready)?;
        let selectors: Selectors = selector.into_iter().collect();
        match self.bus.subscribe(selectors).wake() {
            Ok(subscription) => {
                watch.open(subscription);
                Ok(())
            }
            Err(_) => {
                // Every selector that gets here is well formed: only a closed bus refuses.
                watches.remove(id);
                Err(WatchError::Closed)
            }
        }
    }

    pub(crate) fn start(&self, id: &[u8]) -> Result<(), WatchError> {
        let watch = self.watches.lock().get(id).cloned();
        match watch {
            Some(watch) if watch.start() => Ok(()),
            _ => Err(WatchError::NotFound),
        }
    }

    /// Frees the id and ends its watch. A receiver when the caller has to wait for the end of a
    /// running callback, which it has not when it is `in_recv` itself.
    pub(crate) fn stop(
        &self,
        id: &[u8],
        in_recv: bool,
    ) -> Result<Option<oneshot::Receiver<()>>, WatchError> {
        let watch = self.watches.lock().remove(id).ok_or(WatchError::NotFound)?;
        Ok(watch.stop(!in_recv))
    }

    /// Ends the watch whose callback reported an error.
    pub(crate) fn close(&self, running: &Running) {
        self.forget(running.watch());
        running.watch().stop(false);
    }

    /// The next callback that may be entered now.
    pub(crate) fn next_callback(&self) -> Option<Running> {
        while let Some(watch) = self.ready.pop() {
            match watch.clone().poll() {
                Polled::Callback(running) => return Some(running),
                Polled::Nothing => {}
                Polled::Closed => {
                    self.forget(&watch);
                    watch.stop(false);
                }
            }
        }
        None
    }

    pub(crate) fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }

    pub(crate) fn n_watches(&self) -> usize {
        self.watches.lock().by_id.len()
    }

    /// Ends the owner: its ids, intervals and pending values are gone when this returns, and no
    /// callback is entered any more.
    pub(crate) fn end(&self) {
        self.ready.end();
        let watches = std::mem::take(&mut *self.watches.lock());
        for entry in watches.by_id.into_values() {
            entry.watch.stop(false);
        }
    }

    fn check_open(&self) -> Result<(), WatchError> {
        // Under the lock of `watches`: an id that enters after the end would stay.
        if self.ready.is_ended() || self.bus.is_closed() {
            return Err(WatchError::Closed);
        }
        Ok(())
    }

    /// Removes this very watch; the id may have been taken anew.
    fn forget(&self, watch: &Arc<Watch>) {
        let mut watches = self.watches.lock();
        if watches
            .get(watch.id())
            .is_some_and(|known| Arc::ptr_eq(known, watch))
        {
            watches.remove(watch.id());
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A subscription's waker is its watch: without this they would keep each other alive.
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Wakers may be woken at any time, also by mistake: a running callback stays the only one.
    #[test]
    fn g31_a_wake_up_during_a_callback_enters_no_second_one() {
        let bus = RangeWatchBus::new();
        let group = Group::new(bus.clone(), Limits::default(), Emits::Immediate);
        group.open(b"w", Some(Selector::all()), 0).expect("open");
        group.start(b"w").expect("started");
        bus.emit(1, ["a"]).expect("open");
        let running = group.next_callback().expect("due");
        bus.emit(2, ["a"]).expect("open");
        Waker::from(running.watch().clone()).wake();
        assert!(group.next_callback().is_none(), "the first still runs");
        drop(running);
        assert_eq!(group.next_callback().expect("due").value(), 2);
    }

    /// A quiet watch is its own subscription's waker; the circle ends with the group.
    #[test]
    fn g23_dropping_a_group_frees_its_watches() {
        let bus = RangeWatchBus::new();
        let group = Group::new(bus.clone(), Limits::default(), Emits::Immediate);
        group.open(b"held", Some(Selector::all()), 0).expect("open");
        group.open(b"live", Some(Selector::all()), 0).expect("open");
        group.start(b"live").expect("started");
        assert!(group.next_callback().is_none(), "the waker is registered");
        drop(group);
        assert_eq!(bus.n_subscriptions(), 0);
    }

    /// After its end a group takes nothing in, and nothing of it is left on the bus.
    #[test]
    fn g23_an_ended_group_stays_empty() {
        let bus = RangeWatchBus::new();
        let group = Group::new(bus.clone(), Limits::default(), Emits::Immediate);
        group.open(b"w", Some(Selector::all()), 0).expect("open");
        group.start(b"w").expect("started");
        bus.emit(1, ["a"]).expect("open");
        let running = group.next_callback().expect("due");
        group.end();
        assert_eq!(
            group.open(b"v", Some(Selector::all()), 0),
            Err(WatchError::Closed)
        );
        assert_eq!(group.reserve(b"v"), Err(WatchError::Closed));
        drop(running);
        assert!(group.next_callback().is_none());
        assert_eq!((group.n_watches(), bus.n_subscriptions()), (0, 0));
    }

    /// Ids and ranges are paid for until their watch is gone.
    #[test]
    fn g30_the_bytes_of_watches_are_bounded() {
        let limits = Limits::default().watch_bytes(10);
        let group = Group::new(RangeWatchBus::new(), limits, Emits::Immediate);
        assert_eq!(group.reserve(&[0; 11]), Err(WatchError::Limit));
        assert_eq!(group.reserve(&[0; 6]), Ok(()));
        assert_eq!(group.open(&[0; 6], None, 5), Err(WatchError::Limit));
        assert_eq!(group.open(&[0; 6], None, 4), Ok(()));
        assert_eq!(group.reserve(b"w"), Err(WatchError::Limit));
        assert!(matches!(group.stop(&[0; 6], false), Ok(None)));
        assert_eq!(group.open(b"w", None, 9), Ok(()));
    }
}
