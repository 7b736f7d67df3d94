//! The watches of one owner: a guest with all of its instances.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::channel::oneshot;
use parking_lot::Mutex;
use rangewatch_bus::{Ready, Selector, Selectors, SubscribeError, WakeSubscription};

use crate::guest::emits::Emits;
use crate::guest::guest_bus::{GuestBus, Port};
use crate::guest::limits::Limits;
use crate::watches::started::Started;
use crate::watches::watch::{Running, Watch};

/// The watches of one guest, which its instances share. Ids are unique in it; its end frees all
/// watches.
///
/// Lock order: `watches`, then the locks of the bus. Neither is held while a guest runs.
#[derive(Debug)]
pub(crate) struct Group {
    bus: GuestBus,
    watches: Mutex<Watches>,
    limits: Limits,
    emits: Emits,
    started: Arc<Started>,
}

#[derive(Debug, Default)]
struct Watches {
    by_id: HashMap<ById, Entry>,
    /// The bytes of all ids and ranges.
    n_bytes: usize,
}

/// A watch that is known by its id. The id is not stored a second time.
#[derive(Debug)]
struct ById(Watch);

impl Borrow<[u8]> for ById {
    fn borrow(&self) -> &[u8] {
        self.0.id()
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As a slice is hashed.
        self.0.id().hash(state);
    }
}

#[derive(Debug)]
struct Entry {
    /// The subscription of a reserved or open watch; that of a started one is in [`Started`].
    subscription: Option<WakeSubscription>,
    /// Whether it has a range.
    is_open: bool,
    /// The bytes of its id and range.
    n_bytes: usize,
}

impl Watches {
    /// Whether `n_bytes` more, and a new watch if `is_new`, are within the limits.
    fn check(&self, is_new: bool, n_bytes: usize, limits: &Limits) -> Result<(), WatchError> {
        let is_full = is_new && self.by_id.len() >= limits.max_watches();
        if is_full || self.n_bytes.saturating_add(n_bytes) > limits.max_watch_bytes() {
            return Err(WatchError::Limit);
        }
        Ok(())
    }

    /// Adds a watch, whose range has `range_bytes` if it is open.
    fn insert(&mut self, id: &[u8], subscription: WakeSubscription, range_bytes: Option<usize>) {
        let entry = Entry {
            subscription: Some(subscription),
            is_open: range_bytes.is_some(),
            n_bytes: id.len() + range_bytes.unwrap_or(0),
        };
        self.n_bytes += entry.n_bytes;
        self.by_id.insert(ById(Watch::new(id)), entry);
    }

    fn watch(&self, id: &[u8]) -> Option<&Watch> {
        self.by_id.get_key_value(id).map(|(known, _)| &known.0)
    }

    /// Removes a watch and, after most have gone, the unused capacity of the table.
    fn remove(&mut self, id: &[u8]) -> Option<(Watch, Option<WakeSubscription>)> {
        let (ById(watch), entry) = self.by_id.remove_entry(id)?;
        self.n_bytes -= entry.n_bytes;
        let (n_watches, capacity) = (self.by_id.len(), self.by_id.capacity());
        if n_watches < capacity / 4 && capacity > MIN_SHRUNK {
            self.by_id.shrink_to(2 * n_watches);
        }
        Some((watch, entry.subscription))
    }
}

/// Tables of fewer watches keep their memory.
const MIN_SHRUNK: usize = 64;

/// An error that a guest can handle. The texts are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchError {
    Exists,
    NotFound,
    AlreadyOpen,
    Closed,
    Limit,
    IdTooLong,
}

impl From<SubscribeError> for WatchError {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::TooManySubscriptions { .. } => Self::Limit,
            // Every selector that gets here is well formed: else only a closed bus refuses.
            _ => Self::Closed,
        }
    }
}

impl Group {
    pub(crate) fn new(bus: GuestBus, limits: Limits, emits: Emits) -> Arc<Self> {
        let emits = match bus.port().hook() {
            Some(_) => Emits::Staged,
            None => emits,
        };
        Arc::new(Self {
            bus,
            emits,
            watches: Mutex::default(),
            limits,
            started: Arc::default(),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn emits(&self) -> Emits {
        self.emits
    }

    pub(crate) fn bus(&self) -> &dyn Port {
        self.bus.port()
    }

    pub(crate) fn started(&self) -> &Arc<Started> {
        &self.started
    }

    pub(crate) fn reserve(&self, id: &[u8]) -> Result<(), WatchError> {
        let mut watches = self.watches.lock();
        self.check_open()?;
        if watches.by_id.contains_key(id) {
            return Err(WatchError::Exists);
        }
        watches.check(true, id.len(), &self.limits)?;
        let subscription = self.bus().reserve()?;
        watches.insert(id, subscription, None);
        Ok(())
    }

    /// Opens a reserved or a new id, with a range of `range_bytes`. Without a selector the watch
    /// exists and matches nothing.
    pub(crate) fn open(
        &self,
        id: &[u8],
        selector: Option<Selector>,
        range_bytes: usize,
    ) -> Result<(), WatchError> {
        let selectors: Selectors = selector.into_iter().collect();
        let mut watches = self.watches.lock();
        self.check_open()?;
        let known = watches.by_id.get(id);
        if known.is_some_and(|entry| entry.is_open) {
            return Err(WatchError::AlreadyOpen);
        }
        let is_new = known.is_none();
        let n_bytes = range_bytes + if is_new { id.len() } else { 0 };
        watches.check(is_new, n_bytes, &self.limits)?;
        let Some(entry) = watches.by_id.get_mut(id) else {
            let subscription = self.bus().open(selectors)?;
            watches.insert(id, subscription, Some(range_bytes));
            return Ok(());
        };
        if let Some(subscription) = &mut entry.subscription {
            subscription
                .open(selectors)
                .map_err(|_| WatchError::Closed)?;
        }
        entry.is_open = true;
        entry.n_bytes += n_bytes;
        watches.n_bytes += n_bytes;
        Ok(())
    }

    /// Starts an open watch. Starting it again has no effect.
    pub(crate) fn start(&self, id: &[u8]) -> Result<(), WatchError> {
        let mut watches = self.watches.lock();
        let entry = watches.by_id.get_mut(id).filter(|entry| entry.is_open);
        let entry = entry.ok_or(WatchError::NotFound)?;
        let Some(mut subscription) = entry.subscription.take() else {
            return Ok(());
        };
        // Only a reserved subscription refuses.
        subscription.start().map_err(|_| WatchError::NotFound)?;
        let watch = watches.watch(id).cloned();
        drop(watches);
        if let Some(watch) = watch {
            self.started.insert(watch, subscription);
        }
        Ok(())
    }

    /// Frees the id and ends its watch. Returns a receiver if the caller has to wait for the end of
    /// a running callback; a caller that is `in_recv` itself does not.
    pub(crate) fn stop(
        &self,
        id: &[u8],
        in_recv: bool,
    ) -> Result<Option<oneshot::Receiver<()>>, WatchError> {
        let removed = self.watches.lock().remove(id);
        let (watch, _subscription) = removed.ok_or(WatchError::NotFound)?;
        let running = watch.stop(!in_recv);
        self.started.remove(&watch);
        Ok(running)
    }

    /// Ends the watch whose callback reported an error.
    pub(crate) fn close(&self, running: &Running) {
        self.forget(running.watch());
    }

    /// Enters the next callback, if one is due. `announced` is what the caller waited for.
    pub(crate) fn next_callback(&self, announced: Option<Ready<'_, Watch>>) -> Option<Running> {
        let mut delivery = match announced {
            Some(announced) => announced.take(),
            None => self.started.take(),
        };
        while let Some(delivered) = delivery {
            match delivered.span() {
                Ok(span) => {
                    if let Some(running) = Running::enter(delivered, span.first()) {
                        return Some(running);
                    }
                }
                Err(_) => self.forget(delivered.key()),
            }
            delivery = self.started.take();
        }
        None
    }

    pub(crate) fn n_watches(&self) -> usize {
        self.watches.lock().by_id.len()
    }

    /// Ends the group: its ids, subscriptions and pending values are freed when this returns, and
    /// no callback is entered any more.
    pub(crate) fn end(&self) {
        self.started.end();
        let watches = std::mem::take(&mut *self.watches.lock());
        for ById(watch) in watches.by_id.keys() {
            watch.stop(false);
        }
        self.started.clear();
    }

    fn check_open(&self) -> Result<(), WatchError> {
        // Under the lock of `watches`: an id that is inserted after the end would stay.
        if self.started.is_ended() || self.bus().is_closed() {
            return Err(WatchError::Closed);
        }
        Ok(())
    }

    /// Ends this watch only; a newer one may have the same id.
    fn forget(&self, watch: &Watch) {
        {
            let mut watches = self.watches.lock();
            if watches.watch(watch.id()) == Some(watch) {
                watches.remove(watch.id());
            }
        }
        watch.stop(false);
        self.started.remove(watch);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A future that waits for a callback keeps the started watches alive.
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use rangewatch_bus::RangeWatchBus;

    use super::*;

    fn group() -> (RangeWatchBus, Arc<Group>) {
        let bus = RangeWatchBus::new();
        let group = Group::new(GuestBus::from(&bus), Limits::default(), Emits::Immediate);
        (bus, group)
    }

    /// Opens and starts a watch of all keys.
    fn follow(group: &Group, id: &[u8]) {
        group.open(id, Some(Selector::all()), 0).expect("open");
        group.start(id).expect("started");
    }

    /// While a callback runs, emits that match are coalesced into the next one.
    #[test]
    fn g31_an_emit_during_a_callback_enters_no_second_one() {
        let (bus, group) = group();
        follow(&group, b"w");
        bus.emit(1, ["a"]).expect("open");
        let running = group.next_callback(None).expect("due");
        bus.emit(2, ["a"]).expect("open");
        assert!(group.next_callback(None).is_none(), "the first still runs");
        drop(running);
        assert_eq!(group.next_callback(None).expect("due").value(), 2);
    }

    /// A report of a callback ends the watch of that callback, not a newer one with the same id.
    #[test]
    fn closing_a_stopped_watch_keeps_a_newer_watch_of_the_same_id() {
        let (bus, group) = group();
        follow(&group, b"w");
        bus.emit(1, ["a"]).expect("open");
        let running = group.next_callback(None).expect("due");
        group.stop(b"w", true).expect("known");
        follow(&group, b"w");
        group.close(&running);
        drop(running);
        assert_eq!(group.n_watches(), 1);
        bus.emit(2, ["a"]).expect("open");
        assert_eq!(group.next_callback(None).expect("due").value(), 2);
    }

    /// A stopped watch leaves nothing in the group, also when it has a value to deliver.
    #[test]
    fn g23_a_stopped_watch_is_gone_at_once() {
        let (bus, group) = group();
        for value in 0..1_000 {
            follow(&group, b"w");
            bus.emit(value, ["a"]).expect("open");
            let watch = group.watches.lock().watch(b"w").expect("one").clone();
            group.stop(b"w", false).expect("known");
            assert_eq!((group.n_watches(), group.started().n_ready()), (0, 0));
            assert_eq!(bus.n_subscriptions(), 0);
            assert_eq!(watch.n_handles(), 1, "nothing else keeps the watch");
        }
    }

    /// One emit that matches many watches notifies one consumer once.
    #[test]
    fn one_emit_wakes_a_waiting_pump_once() {
        let (bus, group) = group();
        for id in 0..100_u8 {
            follow(&group, &[id]);
        }
        let wakes = Arc::new(CountWakes::default());
        let waker = Waker::from(wakes.clone());
        let mut due = std::pin::pin!(group.started().due());
        assert!(
            due.as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        bus.emit(1, ["a"]).expect("open");
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    }

    #[derive(Default)]
    struct CountWakes(AtomicUsize);

    impl Wake for CountWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A future that waits for a callback does not keep the watches of a group alive.
    #[test]
    fn g23_dropping_a_group_frees_its_watches() {
        let (bus, group) = group();
        group.open(b"held", Some(Selector::all()), 0).expect("open");
        follow(&group, b"live");
        let started = group.started().clone();
        drop(group);
        assert!(started.is_ended());
        assert_eq!(bus.n_subscriptions(), 0);
    }

    /// After its end a group accepts no watch, and no subscription of it is left on the bus.
    #[test]
    fn g23_an_ended_group_stays_empty() {
        let (bus, group) = group();
        follow(&group, b"w");
        bus.emit(1, ["a"]).expect("open");
        let running = group.next_callback(None).expect("due");
        group.end();
        assert_eq!(
            group.open(b"v", Some(Selector::all()), 0),
            Err(WatchError::Closed)
        );
        assert_eq!(group.reserve(b"v"), Err(WatchError::Closed));
        drop(running);
        assert!(group.next_callback(None).is_none());
        assert_eq!((group.n_watches(), bus.n_subscriptions()), (0, 0));
    }

    /// A guest can handle the bound of its bus as it does its own.
    #[test]
    fn g30_a_watch_beyond_the_subscriptions_of_the_bus_is_a_limit() {
        let builder = RangeWatchBus::builder().max_subscriptions(1);
        let bus = builder.build().expect("more than 0");
        let group = Group::new(GuestBus::from(&bus), Limits::default(), Emits::Immediate);
        assert_eq!(group.reserve(b"v"), Ok(()));
        assert_eq!(group.reserve(b"w"), Err(WatchError::Limit));
        let opened = group.open(b"w", Some(Selector::all()), 0);
        assert_eq!(opened, Err(WatchError::Limit));
        assert!(matches!(group.stop(b"v", false), Ok(None)));
        assert_eq!(group.reserve(b"w"), Ok(()));
    }

    /// Ids and ranges count until their watch is gone.
    #[test]
    fn g30_the_bytes_of_watches_are_bounded() {
        let limits = Limits::default().watch_bytes(10);
        let group = Group::new(
            GuestBus::from(&RangeWatchBus::new()),
            limits,
            Emits::Immediate,
        );
        assert_eq!(group.reserve(&[0; 11]), Err(WatchError::Limit));
        assert_eq!(group.reserve(&[0; 6]), Ok(()));
        assert_eq!(group.open(&[0; 6], None, 5), Err(WatchError::Limit));
        assert_eq!(group.open(&[0; 6], None, 4), Ok(()));
        assert_eq!(group.reserve(b"w"), Err(WatchError::Limit));
        assert_eq!(group.open(&[0; 6], None, 9), Err(WatchError::AlreadyOpen));
        assert!(matches!(group.stop(&[0; 6], false), Ok(None)));
        assert_eq!(group.open(b"w", None, 9), Ok(()));
    }
}
