//! A local ordered copy of the keys in a range.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use thiserror::Error;

use super::{ValueWaiters, WaiterId};
use crate::emit::{WakeList, wake_contained};
use crate::keys::KeyRanges;
use crate::sync::{Mutex, RwLock};
use crate::{EmptyRangeError, Selectors};

/// A local ordered copy of the keys that the selectors select, kept by its
/// [driver](super::MirrorDriver). Made by [`SubscribeBuilder::mirror`].
///
/// Clones are handles of the same copy, for many readers. A read takes the lock of the mirror for
/// its own time, never that of the bus, and neither waits for the store nor for a snapshot: until a
/// new one is complete, the copy is that of before.
///
/// [`value`](Self::value) is how far the copy is: it has every change up to this value, and may
/// have later ones, which a scan has seen. It never decreases, unless the bus is
/// [restored](crate::RangeWatchBus::restore): then it is unknown until the snapshot of the new
/// epoch is complete. All keys of an emit change at once.
///
/// The driver ends when the last handle is dropped.
///
/// [`SubscribeBuilder::mirror`]: crate::SubscribeBuilder::mirror
pub struct Mirror<V>(Arc<Reader<V>>);

/// Shared by the handles of a mirror, not by its driver.
struct Reader<V>(Arc<Copied<V>>);

/// What the handles and the driver of a mirror share. Lock order: `tasks`, `contents`.
pub(super) struct Copied<V> {
    contents: RwLock<Contents<V>>,
    tasks: Mutex<Tasks>,
}

/// The keys and values of a copy.
pub(super) type Map<V> = BTreeMap<Arc<[u8]>, Entry<V>>;

/// A value, and that of the emit that set it.
pub(super) struct Entry<V> {
    pub(super) changed: u64,
    pub(super) value: V,
}

struct Contents<V> {
    map: Map<V>,
    value: Option<u64>,
}

#[derive(Default)]
struct Tasks {
    readers: ValueWaiters,
    driver: Option<Waker>,
    is_stopped: bool,
    has_no_reader: bool,
}

/// What the driver finds when it has no item.
pub(super) struct Wanted {
    /// The lowest value that a reader waits for.
    pub(super) value: Option<u64>,
    pub(super) has_no_reader: bool,
}

/// Why a value was not reached: the driver of the mirror was dropped, or has returned because the
/// bus was closed or following has failed.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::MirrorStopped;
///
/// let stopped = MirrorStopped { value: Some(7) };
/// assert_eq!(
///     stopped.to_string(),
///     "the mirror has stopped after the value 7: \
///      its bus was closed, its driver dropped, or following failed"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the mirror has stopped {}: its bus was closed, its driver dropped, or following failed",
    .value.map_or_else(
        || "before its first snapshot".to_owned(),
        |value| format!("after the value {value}"),
    )
)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing else to say")]
pub struct MirrorStopped {
    /// The [value](Mirror::value) of the mirror. `None` before the first snapshot, also of an
    /// epoch.
    pub value: Option<u64>,
}

impl<V> Mirror<V> {
    pub(super) fn new() -> (Self, Arc<Copied<V>>) {
        let copied = Arc::new(Copied {
            contents: RwLock::new(Contents {
                map: Map::new(),
                value: None,
            }),
            tasks: Mutex::new(Tasks::default()),
        });
        (Self(Arc::new(Reader(Arc::clone(&copied)))), copied)
    }

    fn copied(&self) -> &Copied<V> {
        &self.0.0
    }

    /// The value that this copy has reached: every change up to it was applied. `None` before the
    /// first snapshot, and before the first since the bus was
    /// [restored](crate::RangeWatchBus::restore).
    ///
    /// An emit that changes none of the keys need not be noticed, unless
    /// [`wait_until`](Self::wait_until) asks for it: the value may be less than the head of the bus
    /// although nothing is missing.
    #[must_use]
    pub fn value(&self) -> Option<u64> {
        self.copied().contents.read().value
    }

    /// Waits until every change up to `value` was applied, for a read of what was just written.
    ///
    /// Values that change none of the keys count, too: the driver asks the bus how far it is. With
    /// 0 this waits for the first snapshot. It waits as long as nothing is emitted with `value` or
    /// above.
    ///
    /// # Errors
    ///
    /// [`MirrorStopped`] if the driver has ended before.
    ///
    /// # Cancel safety
    ///
    /// Yes: it changes nothing.
    pub async fn wait_until(&self, value: u64) -> Result<(), MirrorStopped> {
        let mut waiting = Waiting {
            copied: self.copied(),
            value,
            id: None,
        };
        poll_fn(|cx| waiting.poll(cx)).await
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.copied().contents.read().map.len()
    }

    /// Whether there are no keys, as before the first snapshot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `key` is there.
    #[must_use]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        let key = key.as_ref();
        let contents = self.copied().contents.read();
        contents.map.contains_key(key)
    }
}

impl<V: Clone> Mirror<V> {
    /// The value of `key`. It is cloned under the lock of the mirror: an `Arc` is best, and the
    /// clone must not use the mirror.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<V> {
        let key = key.as_ref();
        let contents = self.copied().contents.read();
        let entry = contents.map.get(key)?;
        Some(entry.value.clone())
    }

    /// The keys that `selectors` select and their values as of one moment, in ascending order, each
    /// once. They are cloned under the lock of the mirror, as by [`get`](Self::get): changes wait
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`EmptyRangeError`] if a range selector holds no key.
    #[expect(clippy::type_complexity, reason = "a list of keys and values")]
    pub fn range(
        &self,
        selectors: impl Into<Selectors>,
    ) -> Result<Vec<(Arc<[u8]>, V)>, EmptyRangeError> {
        let ranges = KeyRanges::normalize(&selectors.into())?;
        let contents = self.copied().contents.read();
        let found = ranges
            .iter()
            .flat_map(|range| contents.map.range::<[u8], _>(range.bounds()));
        Ok(found
            .map(|(key, entry)| (Arc::clone(key), entry.value.clone()))
            .collect())
    }
}

impl<V> Copied<V> {
    pub(super) fn value(&self) -> Option<u64> {
        self.contents.read().value
    }

    /// Makes the value unknown: the next copy is of another epoch.
    pub(super) fn forget_value(&self) {
        self.contents.write().value = None;
    }

    /// Replaces the copy by one that has every change up to `value`.
    pub(super) fn replace(&self, map: Map<V>, value: u64) {
        let old = {
            let mut contents = self.contents.write();
            contents.value = contents.value.max(Some(value));
            std::mem::replace(&mut contents.map, map)
        };
        self.reached(value);
        // Freed when readers can go on.
        drop(old);
    }

    /// Applies the changes of the emit `value`.
    pub(super) fn apply(&self, value: u64, changes: Vec<Change<V>>) {
        let _old = {
            let mut contents = self.contents.write();
            contents.value = contents.value.max(Some(value));
            apply(&mut contents.map, value, changes)
        };
        self.reached(value);
    }

    /// Notes that every change up to `value` was applied, and wakes the readers that wait for it.
    pub(super) fn advance(&self, value: u64) {
        {
            let mut contents = self.contents.write();
            contents.value = contents.value.max(Some(value));
        }
        self.reached(value);
    }

    fn reached(&self, value: u64) {
        let mut wakers = WakeList::new();
        self.tasks.lock().readers.reached(value, &mut wakers);
        wakers.wake_all();
    }

    /// Ends the waiting of all readers.
    pub(super) fn stop(&self) {
        let mut wakers = WakeList::new();
        {
            let mut tasks = self.tasks.lock();
            tasks.is_stopped = true;
            tasks.readers.reached(u64::MAX, &mut wakers);
        }
        wakers.wake_all();
    }

    pub(super) fn has_no_reader(&self) -> bool {
        self.tasks.lock().has_no_reader
    }

    /// Registers the driver, which is woken when a reader waits or the last is gone.
    pub(super) fn register_driver(&self, cx: &Context<'_>) -> Wanted {
        let waker = cx.waker().clone();
        let mut tasks = self.tasks.lock();
        let old = tasks.driver.replace(waker);
        let wanted = Wanted {
            value: tasks.readers.first_value(),
            has_no_reader: tasks.has_no_reader,
        };
        drop(tasks);
        drop(old);
        wanted
    }
}

/// A change of a key; `None` removes it.
pub(super) type Change<V> = (Arc<[u8]>, Option<V>);

/// Applies the changes of the emit `value`, but those that are older than what the map has. Returns
/// those, and what the others replace, to be dropped without locks: they are user values.
pub(super) fn apply<V>(
    map: &mut Map<V>,
    value: u64,
    changes: Vec<Change<V>>,
) -> Vec<Option<Entry<V>>> {
    let replaced = changes.into_iter().map(|(key, change)| {
        let is_newer = |entry: &Entry<V>| entry.changed > value;
        let entry = change.map(|change| Entry {
            changed: value,
            value: change,
        });
        match entry {
            entry if map.get(&key).is_some_and(is_newer) => entry,
            Some(entry) => map.insert(key, entry),
            None => map.remove(&key),
        }
    });
    replaced.collect()
}

/// A reader that waits for a value, registered from its first pending poll on.
struct Waiting<'a, V> {
    copied: &'a Copied<V>,
    value: u64,
    id: Option<WaiterId>,
}

impl<V> Waiting<'_, V> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), MirrorStopped>> {
        let waker = cx.waker().clone();
        let mut tasks = self.copied.tasks.lock();
        // Read under the lock of the tasks: the driver changes it before it looks for tasks.
        let value = self.copied.value();
        if value >= Some(self.value) {
            return Poll::Ready(Ok(()));
        }
        if tasks.is_stopped {
            return Poll::Ready(Err(MirrorStopped { value }));
        }
        let is_new = self.id.is_none();
        let old = tasks.readers.register(self.value, &mut self.id, waker);
        let driver = if is_new { tasks.driver.take() } else { None };
        drop(tasks);
        drop(old);
        wake_contained(driver);
        Poll::Pending
    }
}

impl<V> Drop for Waiting<'_, V> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let waker = self.copied.tasks.lock().readers.remove(id);
            drop(waker);
        }
    }
}

impl<V> Drop for Reader<V> {
    fn drop(&mut self) {
        let driver = {
            let mut tasks = self.0.tasks.lock();
            tasks.has_no_reader = true;
            tasks.driver.take()
        };
        wake_contained(driver);
    }
}

impl<V> Clone for Mirror<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> fmt::Debug for Mirror<V> {
    /// Shows no keys and no values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, len) = {
            let contents = self.copied().contents.read();
            (contents.value, contents.map.len())
        };
        f.debug_struct("Mirror")
            .field("value", &value)
            .field("len", &len)
            .finish_non_exhaustive()
    }
}
