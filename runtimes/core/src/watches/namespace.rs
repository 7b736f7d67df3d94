//! The watches of one owner, by their ids.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use foldhash::quality::RandomState;
use futures::channel::oneshot;
use parking_lot::Mutex;
use rangewatch_bus::{KeyRange, Selector};

use super::guest_watches::{GuestWatches, Used, WatchError};
use super::notices::Notices;
use super::shrink::shrunk;
use super::watch::Watch;
use crate::abi::Generation;
use crate::guest::ids::OwnerId;

/// The watches of one owner, which the instances of its guest share. Ids are unique in it; its end
/// frees all of its watches.
pub(crate) struct Namespace {
    id: OwnerId,
    guest: Arc<GuestWatches>,
    ids: Mutex<Ids>,
    /// Dropped at the end of the running callback of the watch, which resolves their receivers: a
    /// `stop` on another instance.
    waiting: Mutex<Vec<(Watch, oneshot::Sender<()>)>>,
    /// The handles of its owner.
    n_handles: AtomicUsize,
    /// What its watches of generation 2 deliver.
    notices: OnceLock<Box<Notices>>,
    /// The groups inside of the owner, by their ids.
    groups: Mutex<HashMap<Box<[u8]>, Arc<Self>, RandomState>>,
    /// The owner that it is a group of.
    group_of: Weak<Self>,
}

#[derive(Default)]
struct Ids {
    /// Hashes are seeded per owner, so that ids that collide cannot be chosen in advance.
    watches: HashSet<ById, RandomState>,
    is_ended: bool,
}

/// A watch that is known by its id. The id is not stored a second time.
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

impl Ids {
    fn watch(&self, id: &[u8]) -> Option<&Watch> {
        self.watches.get(id).map(|ById(watch)| watch)
    }

    /// Removes a watch and, after most have gone, the unused capacity of the table.
    fn remove(&mut self, id: &[u8]) -> Option<Watch> {
        let ById(watch) = self.watches.take(id)?;
        if let Some(capacity) = shrunk(self.watches.len(), self.watches.capacity()) {
            self.watches.shrink_to(capacity);
        }
        Some(watch)
    }

    fn check_not_ended(&self) -> Result<(), WatchError> {
        if self.is_ended {
            return Err(WatchError::Closed);
        }
        Ok(())
    }
}

impl Namespace {
    /// The namespace of an owner, or of a group inside of one.
    pub(crate) fn new(guest: Arc<GuestWatches>, group_of: Weak<Self>) -> Arc<Self> {
        Arc::new(Self {
            id: OwnerId::new(),
            guest,
            ids: Mutex::default(),
            waiting: Mutex::default(),
            n_handles: AtomicUsize::new(0),
            notices: OnceLock::new(),
            groups: Mutex::default(),
            group_of,
        })
    }

    pub(crate) fn id(&self) -> OwnerId {
        self.id
    }

    pub(crate) fn guest(&self) -> &Arc<GuestWatches> {
        &self.guest
    }

    /// What its watches of generation 2 deliver; `None` before the first is opened.
    pub(super) fn notices(&self) -> Option<&Notices> {
        self.notices.get().map(|notices| &**notices)
    }

    /// The value to resume from, if the owner has ended by overflow.
    pub(super) fn overflow(&self) -> Option<u64> {
        self.notices()?.overflow()
    }

    pub(crate) fn add_handle(&self) {
        self.n_handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the owner with its last handle.
    pub(crate) fn drop_handle(&self) {
        if self.n_handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.end();
        }
    }

    /// The group of this id, which is opened if it is not open.
    pub(crate) fn group(self: &Arc<Self>, id: &[u8]) -> Result<Arc<Self>, WatchError> {
        let owner = self.owner_of_groups()?;
        let mut groups = owner.groups.lock();
        // Under the lock: a group that is inserted after the end would stay.
        owner.ids.lock().check_not_ended()?;
        let known = groups.get(id);
        if let Some(group) = known.filter(|group| !group.is_ended()) {
            return Ok(group.clone());
        }
        if known.is_none() {
            self.guest.charge(Used::group(id.len()))?;
        }
        let group = self.guest.add_group(&owner);
        // It ends with its owner, whatever handles of it there are meanwhile.
        group.add_handle();
        groups.insert(id.into(), group.clone());
        Ok(group)
    }

    /// Ends the group of this id. Returns also how many watches it had.
    pub(crate) fn end_group(self: &Arc<Self>, id: &[u8]) -> Result<(OwnerId, usize), WatchError> {
        let owner = self.owner_of_groups()?;
        let group = owner.groups.lock().remove(id);
        let group = group.ok_or(WatchError::GroupNotFound)?;
        self.guest.release(Used::group(id.len()));
        let n_watches = group.n_watches();
        group.end();
        Ok((group.id, n_watches))
    }

    /// The owner that groups are of: for a group the one that it is in.
    fn owner_of_groups(self: &Arc<Self>) -> Result<Arc<Self>, WatchError> {
        match self.group_of.upgrade() {
            Some(owner) => Ok(owner),
            None if self.group_of.ptr_eq(&Weak::new()) => Ok(self.clone()),
            None => Err(WatchError::Closed),
        }
    }

    pub(crate) fn reserve(
        self: &Arc<Self>,
        id: &[u8],
        generation: Generation,
    ) -> Result<(), WatchError> {
        let mut ids = self.ids.lock();
        self.check_open(&ids)?;
        if ids.watches.contains(id) {
            return Err(WatchError::Exists);
        }
        self.guest.charge(Used::watches(1, id.len()))?;
        let subscription = match generation {
            Generation::One => self.guest.bus().reserve().map(Some),
            Generation::Two => Ok(None),
        };
        match subscription {
            Ok(subscription) => {
                let watch = Watch::new(self.clone(), id, subscription, None);
                ids.watches.insert(ById(watch));
                Ok(())
            }
            Err(error) => {
                self.guest.release(Used::watches(1, id.len()));
                Err(error.into())
            }
        }
    }

    /// Opens a reserved or a new id, with a range of `range_bytes`. Without a selector the watch
    /// exists and matches nothing.
    pub(crate) fn open(
        self: &Arc<Self>,
        id: &[u8],
        selector: Option<Selector>,
        range_bytes: usize,
        generation: Generation,
    ) -> Result<(), WatchError> {
        let stored_bytes = u32::try_from(range_bytes).map_err(|_| WatchError::Limit)?;
        let mut ids = self.ids.lock();
        self.check_open(&ids)?;
        let known = ids.watch(id);
        if known.is_some_and(Watch::is_open) {
            return Err(WatchError::AlreadyOpen);
        }
        let more = match known {
            Some(_) => Used::watches(0, range_bytes),
            None => Used::watches(1, range_bytes + id.len()),
        };
        self.guest.charge(more)?;
        let opened = match (generation, known) {
            (Generation::One, Some(watch)) => {
                watch.open(selector.into_iter().collect(), stored_bytes)
            }
            (Generation::One, None) => {
                match self.guest.bus().open(selector.into_iter().collect()) {
                    Ok(subscription) => {
                        let watch = Watch::new(self.clone(), id, subscription, Some(stored_bytes));
                        ids.watches.insert(ById(watch));
                        Ok(())
                    }
                    Err(error) => Err(error.into()),
                }
            }
            (Generation::Two, known) => {
                let known = known.cloned();
                self.open_for_notices(&mut ids, known, id, selector, stored_bytes)
            }
        };
        if opened.is_err() {
            self.guest.release(more);
        }
        opened
    }

    #[cold]
    fn open_for_notices(
        self: &Arc<Self>,
        ids: &mut Ids,
        known: Option<Watch>,
        id: &[u8],
        selector: Option<Selector>,
        range_bytes: u32,
    ) -> Result<(), WatchError> {
        let is_new = known.is_none();
        let watch = known.unwrap_or_else(|| Watch::new(self.clone(), id, None, None));
        // Every selector that gets here is well formed.
        let range = selector.and_then(|selector| KeyRange::try_from(&selector).ok());
        let notices = self.notices.get_or_init(|| Box::new(Notices::new(self)));
        notices.open(self, &watch, range)?;
        watch.open_for_notices(range_bytes);
        if is_new {
            ids.watches.insert(ById(watch));
        }
        Ok(())
    }

    /// Starts an open watch. Starting it again has no effect.
    pub(crate) fn start(&self, id: &[u8]) -> Result<(), WatchError> {
        let watch = {
            let ids = self.ids.lock();
            ids.check_not_ended()?;
            ids.watch(id).cloned().ok_or(WatchError::NotFound)?
        };
        if let Some(subscription) = watch.start()? {
            self.guest.started().insert(watch, subscription);
        } else if let Some(notices) = self.notices() {
            notices.start(&watch, &self.guest);
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
        let watch = {
            let mut ids = self.ids.lock();
            ids.check_not_ended()?;
            ids.remove(id).ok_or(WatchError::NotFound)?
        };
        self.guest.release(Used::watches(1, watch.n_bytes()));
        Ok(watch.stop(!in_recv))
    }

    /// Ends this watch only; a newer one may have the same id.
    pub(crate) fn forget(&self, watch: &Watch) {
        let removed = {
            let mut ids = self.ids.lock();
            let is_here = ids.watch(watch.id()) == Some(watch);
            is_here.then(|| ids.remove(watch.id()))
        };
        if removed.is_some() {
            self.guest.release(Used::watches(1, watch.n_bytes()));
        }
        watch.stop(false);
    }

    pub(crate) fn n_watches(&self) -> usize {
        self.ids.lock().watches.len()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ids.lock().is_ended
    }

    /// Ends the owner: its ids, subscriptions and pending values are freed when this returns, and
    /// no callback of it is entered any more.
    pub(crate) fn end(&self) {
        let watches = {
            let mut ids = self.ids.lock();
            ids.is_ended = true;
            std::mem::take(&mut ids.watches)
        };
        self.guest.remove_namespace(self.id);
        let groups = std::mem::take(&mut *self.groups.lock());
        for (id, group) in groups {
            self.guest.release(Used::group(id.len()));
            group.end();
        }
        if let Some(notices) = self.notices() {
            notices.end(self);
        }
        for ById(watch) in watches {
            self.guest.release(Used::watches(1, watch.n_bytes()));
            watch.stop(false);
        }
    }

    /// Ends an owner that has exceeded its bound. Returns the value to resume from: `resume`, or an
    /// earlier one that was not delivered to one of its groups, which end with it.
    pub(super) fn end_by_overflow(&self, resume: u64) -> u64 {
        let groups: Vec<_> = self.groups.lock().values().cloned().collect();
        let open = groups.iter().filter(|group| !group.is_ended());
        let pending = open.filter_map(|group| group.notices()?.first_pending());
        let resume = pending.fold(resume, u64::min);
        if let Some(notices) = self.notices() {
            notices.resume_from(resume);
        }
        self.end();
        resume
    }

    /// A receiver that resolves at the end of the running callback of `watch`.
    pub(super) fn wait_for(&self, watch: &Watch) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().push((watch.clone(), sender));
        receiver
    }

    /// Resolves the receivers that wait for the callback of `watch`.
    pub(super) fn resolve_waits(&self, watch: &Watch) {
        let ended: Vec<_> = {
            let mut waiting = self.waiting.lock();
            waiting
                .extract_if(.., |(other, _)| other == watch)
                .collect()
        };
        // Each drop of a sender may wake a task.
        drop(ended);
    }

    fn check_open(&self, ids: &Ids) -> Result<(), WatchError> {
        // Under the lock of `ids`: an id that is inserted after the end would stay.
        ids.check_not_ended()?;
        if self.guest.bus().is_closed() {
            return Err(WatchError::Closed);
        }
        Ok(())
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use rangewatch_bus::RangeWatchBus;

    use super::*;
    use crate::watches::owner::Owner;
    use crate::watches::watch::Running;
    use crate::{Emits, Limits};

    fn owner() -> (RangeWatchBus, Owner) {
        let bus = RangeWatchBus::new();
        let owner = Owner::new(&bus, Limits::default(), Emits::Immediate);
        (bus, owner)
    }

    /// Opens and starts a watch of all keys.
    fn follow(owner: &Owner, id: &[u8]) {
        let namespace = owner.namespace();
        namespace
            .open(id, Some(Selector::all()), 0, Generation::One)
            .expect("open");
        namespace.start(id).expect("started");
    }

    /// The callback that is due next.
    fn next_due(owner: &Owner) -> Running {
        let next = owner.watches().next_callback(None);
        next.expect("no overflow").expect("due")
    }

    /// While a callback runs, emits that match are coalesced into the next one.
    #[test]
    fn g31_an_emit_during_a_callback_enters_no_second_one() {
        let (bus, owner) = owner();
        follow(&owner, b"w");
        bus.emit(1, ["a"]).expect("open");
        let running = next_due(&owner);
        bus.emit(2, ["a"]).expect("open");
        assert!(
            matches!(owner.watches().next_callback(None), Ok(None)),
            "the first still runs"
        );
        drop(running);
        assert_eq!(next_due(&owner).value(), 2);
    }

    /// A report of a callback ends the watch of that callback, not a newer one with the same id.
    #[test]
    fn closing_a_stopped_watch_keeps_a_newer_watch_of_the_same_id() {
        let (bus, owner) = owner();
        follow(&owner, b"w");
        bus.emit(1, ["a"]).expect("open");
        let running = next_due(&owner);
        owner.namespace().stop(b"w", true).expect("known");
        follow(&owner, b"w");
        running.watch().forget();
        drop(running);
        assert_eq!(owner.n_watches(), 1);
        bus.emit(2, ["a"]).expect("open");
        assert_eq!(next_due(&owner).value(), 2);
    }

    /// A stopped watch leaves nothing in the namespace, also when it has a value to deliver.
    #[test]
    fn g23_a_stopped_watch_is_gone_at_once() {
        let (bus, owner) = owner();
        for value in 0..1_000 {
            follow(&owner, b"w");
            bus.emit(value, ["a"]).expect("open");
            let watch = owner
                .namespace()
                .ids
                .lock()
                .watch(b"w")
                .expect("one")
                .clone();
            owner.namespace().stop(b"w", false).expect("known");
            assert_eq!(
                (owner.n_watches(), owner.watches().started().n_ready()),
                (0, 0)
            );
            assert_eq!(bus.n_subscriptions(), 0);
            assert_eq!(watch.n_handles(), 1, "nothing else keeps the watch");
        }
    }

    /// One emit that matches many watches notifies one consumer once.
    #[test]
    fn one_emit_wakes_a_waiting_pump_once() {
        let (bus, owner) = owner();
        for id in 0..100_u8 {
            follow(&owner, &[id]);
        }
        let wakes = Arc::new(CountWakes::default());
        let waker = Waker::from(wakes.clone());
        let mut due = std::pin::pin!(owner.watches().started().due());
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

    /// A future that waits for a callback does not keep the watches of a guest alive.
    #[test]
    fn g23_dropping_the_last_handle_frees_the_watches() {
        let (bus, owner) = owner();
        owner
            .namespace()
            .open(b"held", Some(Selector::all()), 0, Generation::One)
            .expect("open");
        follow(&owner, b"live");
        let started = owner.watches().started().clone();
        drop(owner);
        assert!(started.is_ended());
        assert_eq!(bus.n_subscriptions(), 0);
    }

    /// The end may come between the take of a delivery and its entrance.
    #[test]
    fn g38_what_was_taken_before_the_end_of_an_owner_of_notices_enters_nothing() {
        let (bus, owner) = owner();
        let namespace = owner.namespace();
        let opened = namespace.open(b"w", Some(Selector::all()), 0, Generation::Two);
        opened.expect("open");
        namespace.start(b"w").expect("started");
        bus.emit(1, ["a"]).expect("open");
        let delivery = owner.watches().started().take().expect("due");
        owner.end();
        assert!(delivery.key().bell_of().is_none());
        assert!(Running::enter(delivery, 0).is_none());
    }

    /// After its end an owner accepts no watch, and no subscription of it is left on the bus.
    #[test]
    fn g23_an_ended_owner_stays_empty() {
        let (bus, owner) = owner();
        follow(&owner, b"w");
        bus.emit(1, ["a"]).expect("open");
        let running = next_due(&owner);
        owner.end();
        assert_eq!(
            owner
                .namespace()
                .open(b"v", Some(Selector::all()), 0, Generation::One),
            Err(WatchError::Closed)
        );
        assert_eq!(
            owner.namespace().reserve(b"v", Generation::One),
            Err(WatchError::Closed)
        );
        drop(running);
        assert!(matches!(owner.watches().next_callback(None), Ok(None)));
        assert_eq!((owner.n_watches(), bus.n_subscriptions()), (0, 0));
    }

    /// A guest can handle the bound of its bus as it does its own.
    #[test]
    fn g30_a_watch_beyond_the_subscriptions_of_the_bus_is_a_limit() {
        let builder = RangeWatchBus::builder().max_subscriptions(1);
        let bus = builder.build().expect("more than 0");
        let owner = Owner::new(&bus, Limits::default(), Emits::Immediate);
        assert_eq!(owner.namespace().reserve(b"v", Generation::One), Ok(()));
        assert_eq!(
            owner.namespace().reserve(b"w", Generation::One),
            Err(WatchError::Limit)
        );
        let opened = owner
            .namespace()
            .open(b"w", Some(Selector::all()), 0, Generation::One);
        assert_eq!(opened, Err(WatchError::Limit));
        assert!(matches!(owner.namespace().stop(b"v", false), Ok(None)));
        assert_eq!(owner.namespace().reserve(b"w", Generation::One), Ok(()));
    }

    /// Ids and ranges count until their watch is gone.
    #[test]
    fn g30_the_bytes_of_watches_are_bounded() {
        let limits = Limits::default().watch_bytes(10);
        let owner = Owner::new(&RangeWatchBus::new(), limits, Emits::Immediate);
        assert_eq!(
            owner.namespace().reserve(&[0; 11], Generation::One),
            Err(WatchError::Limit)
        );
        assert_eq!(owner.namespace().reserve(&[0; 6], Generation::One), Ok(()));
        assert_eq!(
            owner.namespace().open(&[0; 6], None, 5, Generation::One),
            Err(WatchError::Limit)
        );
        assert_eq!(
            owner.namespace().open(&[0; 6], None, 4, Generation::One),
            Ok(())
        );
        assert_eq!(
            owner.namespace().reserve(b"w", Generation::One),
            Err(WatchError::Limit)
        );
        assert_eq!(
            owner.namespace().open(&[0; 6], None, 9, Generation::One),
            Err(WatchError::AlreadyOpen)
        );
        assert!(matches!(owner.namespace().stop(&[0; 6], false), Ok(None)));
        assert_eq!(
            owner.namespace().open(b"w", None, 9, Generation::One),
            Ok(())
        );
    }
}
