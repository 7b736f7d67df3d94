//! A store that emits what it changes, and that is scanned while it changes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::rc::Rc;
use std::task::Poll;

use futures::Stream;
use futures::stream::poll_fn;
use rangewatch_bus::{History, Overflow, RangeWatchBus, SubscribeBuilder};

/// A number, or nothing for a removal.
pub(crate) type Change = Option<u64>;
/// A key, the revision of its last change, and its number.
pub(crate) type Entry = (Vec<u8>, u64, u64);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScanError;

#[derive(Default)]
struct Inner {
    /// The changes of each key, by revision.
    keys: BTreeMap<Vec<u8>, BTreeMap<u64, Change>>,
    revision: u64,
    /// After so many further entries the scan fails.
    fails_after: Option<usize>,
    /// How far behind the next scan is.
    lag: u64,
}

/// The reference: it knows the state at each revision.
#[derive(Clone, Default)]
pub(crate) struct Store(Rc<RefCell<Inner>>);

impl Store {
    pub(crate) fn bus(history: Option<usize>) -> RangeWatchBus<Change> {
        let builder = RangeWatchBus::builder().payloads::<Change>();
        match history {
            Some(n_events) => builder.history(History::events(n_events)).build(),
            None => builder.build(),
        }
        .unwrap()
    }

    pub(crate) fn subscribe<'a>(
        bus: &'a RangeWatchBus<Change>,
        prefix: &str,
        overflow: Option<Overflow>,
    ) -> SubscribeBuilder<'a, Change> {
        let builder = bus.subscribe(rangewatch_bus::Selector::prefix(prefix));
        match overflow {
            Some(overflow) => builder.overflow(overflow),
            None => builder,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.0.borrow().revision
    }

    /// Commits the changes as one revision, then emits them.
    pub(crate) fn commit(&self, bus: &RangeWatchBus<Change>, changes: &[(Vec<u8>, Change)]) {
        let revision = {
            let inner = &mut *self.0.borrow_mut();
            inner.revision += 1;
            for (key, change) in changes {
                let key = inner.keys.entry(key.clone()).or_default();
                key.insert(inner.revision, *change);
            }
            inner.revision
        };
        bus.emit_with(revision, changes.iter().cloned()).unwrap();
    }

    pub(crate) fn put(&self, bus: &RangeWatchBus<Change>, key: &str, number: u64) {
        self.commit(bus, &[(key.into(), Some(number))]);
    }

    pub(crate) fn delete(&self, bus: &RangeWatchBus<Change>, key: &str) {
        self.commit(bus, &[(key.into(), None)]);
    }

    /// The last change of `key` up to `revision`, and its revision.
    pub(crate) fn at(&self, key: &[u8], revision: u64) -> Option<(u64, Change)> {
        let inner = self.0.borrow();
        let (at, change) = inner.keys.get(key)?.range(..=revision).next_back()?;
        Some((*at, *change))
    }

    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        self.0.borrow().keys.keys().cloned().collect()
    }

    /// The lowest revision above `revision` that changes a key with `prefix`.
    pub(crate) fn next_change(&self, prefix: &str, revision: u64) -> Option<u64> {
        let inner = self.0.borrow();
        let matching = inner
            .keys
            .iter()
            .filter(|(key, _)| key.starts_with(prefix.as_bytes()));
        let after = (Bound::Excluded(revision), Bound::Unbounded);
        matching
            .filter_map(|(_, changes)| Some(*changes.range(after).next()?.0))
            .min()
    }

    /// Loses the changes above `revision`, as a backup of that time has none of them.
    pub(crate) fn roll_back(&self, revision: u64) {
        let inner = &mut *self.0.borrow_mut();
        inner.revision = revision;
        for changes in inner.keys.values_mut() {
            changes.retain(|at, _| *at <= revision);
        }
    }

    pub(crate) fn fail_after(&self, n_entries: usize) {
        self.0.borrow_mut().fails_after = Some(n_entries);
    }

    pub(crate) fn lag(&self, n_revisions: u64) {
        self.0.borrow_mut().lag = n_revisions;
    }

    /// States the revision of now, or of before if it lags. Each entry is read when it is polled,
    /// so that it may be of a later revision; every other poll is pending.
    pub(crate) fn scan(
        &self,
        prefix: &str,
    ) -> impl Future<
        Output = Result<(u64, impl Stream<Item = Result<Entry, ScanError>> + use<>), ScanError>,
    > + use<> {
        let store = self.clone();
        let mut cursor = Bound::Included(prefix.as_bytes().to_vec());
        let prefix = prefix.as_bytes().to_vec();
        let mut is_pending = false;
        let entries = poll_fn(move |cx| {
            is_pending = !is_pending;
            if is_pending {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if store.fails() {
                return Poll::Ready(Some(Err(ScanError)));
            }
            let next = store.entry_from(&cursor, &prefix);
            if let Some((key, ..)) = &next {
                cursor = Bound::Excluded(key.clone());
            }
            Poll::Ready(next.map(Ok))
        });
        ready(match self.fails() {
            true => Err(ScanError),
            false => Ok((self.stated(), entries)),
        })
    }

    fn stated(&self) -> u64 {
        let inner = &mut *self.0.borrow_mut();
        inner
            .revision
            .saturating_sub(std::mem::take(&mut inner.lag))
    }

    /// Whether the scan fails here.
    fn fails(&self) -> bool {
        let left = &mut self.0.borrow_mut().fails_after;
        match left {
            Some(0) => {
                *left = None;
                true
            }
            Some(n) => {
                *n -= 1;
                false
            }
            None => false,
        }
    }

    fn entry_from(&self, cursor: &Bound<Vec<u8>>, prefix: &[u8]) -> Option<Entry> {
        let inner = self.0.borrow();
        let from = (cursor.as_ref(), Bound::Unbounded);
        let mut keys = inner.keys.range::<Vec<u8>, _>(from);
        keys.find_map(|(key, changes)| {
            let (revision, change) = changes.last_key_value()?;
            let number = change.filter(|_| key.starts_with(prefix))?;
            Some((key.clone(), *revision, number))
        })
    }
}
