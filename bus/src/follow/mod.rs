//! Following: a snapshot of a store, then the changes after it, and a local copy kept by them.

mod driver;
mod follower;
mod mirror;
mod value_waiters;

use std::fmt;

use thiserror::Error;

pub use driver::MirrorDriver;
pub use follower::Follower;
pub use mirror::{Mirror, MirrorStopped};
pub(crate) use value_waiters::{ValueWaiters, WaiterId};

use crate::{Event, RecvError, SubscribeError};

/// One item of a [`Follower`]: of a snapshot, or a change after it. `T` is an entry as the scan
/// returns it.
///
/// # Examples
///
/// ```
/// use std::collections::BTreeMap;
///
/// use rangewatch_bus::Follow;
///
/// /// A local copy: each key with its value and the revision that set it.
/// #[derive(Default)]
/// struct Cache {
///     current: BTreeMap<Vec<u8>, (u64, String)>,
///     staged: BTreeMap<Vec<u8>, (u64, String)>,
/// }
///
/// impl Cache {
///     fn apply(&mut self, item: Follow<(Vec<u8>, u64, String), Option<String>>) {
///         match item {
///             Follow::SnapshotBegin { .. } => self.staged.clear(),
///             Follow::Snapshot((key, revision, value)) => {
///                 self.staged.insert(key, (revision, value));
///             }
///             Follow::SnapshotEnd { .. } => self.current = std::mem::take(&mut self.staged),
///             Follow::Event(event) => {
///                 for (key, value) in event.entries() {
///                     // The scan may have seen a later change than this.
///                     if self.current.get(key).is_some_and(|(seen, _)| *seen > event.value()) {
///                         continue;
///                     }
///                     match value {
///                         Some(value) => {
///                             let entry = (event.value(), value.clone());
///                             self.current.insert(key.to_vec(), entry);
///                         }
///                         None => {
///                             self.current.remove(key);
///                         }
///                     }
///                 }
///             }
///             Follow::Progress(_) => {}
///         }
///     }
/// }
/// # Cache::default().apply(Follow::Progress(1));
/// ```
#[derive(PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a consumer that ignores one of these keeps a wrong copy"
)]
pub enum Follow<T, P = ()> {
    /// A snapshot begins: entries of an earlier one that was not finished are void.
    SnapshotBegin {
        /// The miss that made it necessary. `None` for the first, also if a scan is repeated after
        /// it has failed.
        cause: Option<RecvError>,
    },
    /// An entry of the snapshot, in the order of the scan.
    Snapshot(T),
    /// The snapshot is complete, and replaces every earlier one.
    SnapshotEnd {
        /// The value that the scan has stated: every change up to it is in the snapshot, and every
        /// event that follows is above it. Later changes may be in the snapshot, too.
        value: u64,
    },
    /// A change after the snapshot. Events come in order, each once.
    Event(Event<P>),
    /// A progress mark, as [`Item::Progress`](crate::Item::Progress).
    Progress(u64),
}

impl<T: fmt::Debug, P> fmt::Debug for Follow<T, P> {
    /// Shows no payloads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SnapshotBegin { cause } => f
                .debug_struct("SnapshotBegin")
                .field("cause", cause)
                .finish(),
            Self::Snapshot(entry) => f.debug_tuple("Snapshot").field(entry).finish(),
            Self::SnapshotEnd { value } => {
                f.debug_struct("SnapshotEnd").field("value", value).finish()
            }
            Self::Event(event) => f.debug_tuple("Event").field(event).finish(),
            Self::Progress(mark) => f.debug_tuple("Progress").field(mark).finish(),
        }
    }
}

/// Why a [`Follower`] returned no item. `E` is the error of the scan.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::FollowError;
///
/// let error = FollowError::Scan("the disk is gone");
/// assert_eq!(error.to_string(), "the scan for a snapshot failed: the disk is gone");
/// assert!(!error.is_end());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FollowError<E> {
    /// The scan failed. Not the end: the next poll begins a new snapshot, at once. Delay it if the
    /// store needs time.
    #[error("the scan for a snapshot failed: {0}")]
    Scan(E),
    /// The follower could not subscribe again, after a miss or for what the history has after the
    /// value that a scan has stated, mostly because the bus was closed meanwhile. The end: what was
    /// received so far lacks changes.
    #[error("following could not subscribe again: {0}")]
    Subscribe(#[source] SubscribeError),
    /// So many snapshots, one after the other, could not be joined with the events after them: some
    /// above the value that the scan has stated were missed, or are no longer in the history. The
    /// end.
    #[error(
        "{n_snapshots} snapshots could not be joined with the events after them: \
         scan faster or at a later value, or follow with a larger history or queue"
    )]
    SnapshotTooSlow {
        /// The number of snapshots: 3.
        n_snapshots: u32,
    },
}

impl<E> FollowError<E> {
    /// Whether this is the end: the stream returns `None` after it.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        !matches!(self, Self::Scan(_))
    }
}
