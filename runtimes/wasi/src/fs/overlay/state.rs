//! What an overlay knows beside its two directories.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Overlay;
use super::file::LowerFile;
use super::merged::{MAX_MERGED_PATH_BYTES, Merged};
use crate::fs::Metadata;
use crate::{Errno, MAX_NAME_BYTES};

/// The state of one overlay. Its lock is held by whatever looks at both directories or changes one of them, so that they
/// are only ever seen together; transfers of open files do not take it.
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// The lower names that are gone, by path, and when they went. A name that went never comes back, so that a path under
    /// a removed directory need not be looked for. Directories of the lower filesystem are not renamed: paths are stable.
    ///
    /// A tree, as a table of that many would be moved as a whole when it grows, within one call.
    removed: BTreeMap<Box<str>, u64>,
    /// Of the paths that are gone.
    removed_bytes: usize,
    n_removals: u64,
    /// The directories and the lower files that are open, so that all who have one open have the same.
    pub(super) dirs: Registry<Merged>,
    pub(super) files: Registry<LowerFile>,
    /// The device and number that a copied file had below, by those of the copy.
    origins: BTreeMap<(u64, u64), (u64, u64)>,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
        })
    }

    /// Poison tells nothing: each change of the state is the last step of what it belongs to.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn is_removed(&self, path: &str) -> bool {
        self.removed.contains_key(path)
    }

    /// Whether `path` had been removed after the first `n_removals`.
    pub(super) fn was_removed(&self, path: &str, n_removals: u64) -> bool {
        self.removed.get(path).is_some_and(|at| *at <= n_removals)
    }

    pub(super) fn n_removals(&self) -> u64 {
        self.n_removals
    }

    /// Makes sure that the next `n_paths` removals find room.
    pub(super) fn reserve_removals(&self, n_paths: usize) -> Result<(), Errno> {
        const LONGEST: usize = MAX_MERGED_PATH_BYTES + 1 + MAX_NAME_BYTES as usize;
        let has_room = self.removed.len() + n_paths <= Overlay::MAX_REMOVED
            && self.removed_bytes + n_paths * LONGEST <= Overlay::MAX_REMOVED_BYTES;
        match has_room {
            true => Ok(()),
            false => Err(Errno::Nospc),
        }
    }

    pub(super) fn remove(&mut self, path: String) {
        self.n_removals += 1;
        let len = path.len();
        if self.removed.insert(path.into(), self.n_removals).is_none() {
            self.removed_bytes += len;
        }
    }

    /// Lets a copy have the number of what it was copied from.
    pub(super) fn remember_origin(&mut self, copy: &Metadata, original: &Metadata) {
        let (copy, original) = ((copy.dev, copy.ino), (original.dev, original.ino));
        self.origins.insert(copy, original);
    }

    /// Takes note that `made` is new, and no copy: a filesystem gives the number of what is gone to what is made.
    pub(super) fn forget_origin(&mut self, made: &Metadata) {
        self.origins.remove(&(made.dev, made.ino));
    }

    /// Whether anything has another number here than in its directory.
    pub(super) fn has_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// The attributes of an upper file as they are to be seen.
    pub(super) fn identify(&self, metadata: Metadata) -> Metadata {
        match self.origins.get(&(metadata.dev, metadata.ino)) {
            Some(&(dev, ino)) => Metadata {
                dev,
                ino,
                ..metadata
            },
            None => metadata,
        }
    }
}

/// What is open, by path.
pub(super) struct Registry<T> {
    by_path: HashMap<Box<str>, Weak<T>>,
    /// At this length it is time to look for what is not open any more, which costs no more than what was added since.
    sweep_at: usize,
}

impl<T> Registry<T> {
    pub(super) fn get(&self, path: &str) -> Option<Arc<T>> {
        self.by_path.get(path).and_then(Weak::upgrade)
    }

    pub(super) fn insert(&mut self, path: &str, item: &Arc<T>) {
        if self.by_path.len() >= self.sweep_at {
            self.by_path.retain(|_, item| item.strong_count() > 0);
            self.sweep_at = 64.max(2 * self.by_path.len());
        }
        self.by_path.insert(path.into(), Arc::downgrade(item));
    }

    pub(super) fn take(&mut self, path: &str) -> Option<Arc<T>> {
        self.by_path.remove(path).and_then(|item| item.upgrade())
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self {
            by_path: HashMap::new(),
            sweep_at: 0,
        }
    }
}
