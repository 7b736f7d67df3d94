//! The state of an overlay besides its two directories.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Overlay;
use super::file::LowerFile;
use super::merged::{MAX_MERGED_PATH_BYTES, Merged};
use crate::fs::Metadata;
use crate::{Errno, MAX_NAME_BYTES};

/// The shared state of one overlay. Its lock is held by every operation that reads both layers or
/// changes one, so that no operation sees half of a change. Reads and writes of open files do not
/// take it.
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// The whiteouts: the path of each removed lower name, and the number of its removal. A
    /// whiteout is never removed, so paths below a removed directory need no check. Directories of
    /// the lower layer cannot be renamed: paths are stable.
    ///
    /// A tree: a hash table of this size would be rehashed within one call when it grows.
    removed: BTreeMap<Box<str>, u64>,
    /// The sum of the lengths of the removed paths.
    removed_bytes: usize,
    n_removals: u64,
    /// The open directories and lower files, so that all descriptors share one object.
    pub(super) dirs: Registry<Merged>,
    pub(super) files: Registry<LowerFile>,
    /// The device and inode number of each copied file in the lower layer, by those of the copy.
    origins: BTreeMap<(u64, u64), (u64, u64)>,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
        })
    }

    /// A poisoned lock guards consistent data: each operation changes the state in its last step.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn is_removed(&self, path: &str) -> bool {
        self.removed.contains_key(path)
    }

    /// Whether `path` was already removed after the first `n_removals`.
    pub(super) fn was_removed(&self, path: &str, n_removals: u64) -> bool {
        self.removed.get(path).is_some_and(|at| *at <= n_removals)
    }

    pub(super) fn n_removals(&self) -> u64 {
        self.n_removals
    }

    /// Ensures that the next `n_paths` removals are within the limits.
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

    /// Records that `copy` reports the inode number of `original`.
    pub(super) fn remember_origin(&mut self, copy: &Metadata, original: &Metadata) {
        let (copy, original) = ((copy.dev, copy.ino), (original.dev, original.ino));
        self.origins.insert(copy, original);
    }

    /// Records that `made` is a new file and no copy: a filesystem reuses the inode numbers of
    /// removed files.
    pub(super) fn forget_origin(&mut self, made: &Metadata) {
        self.origins.remove(&(made.dev, made.ino));
    }

    /// Whether any copy reports the inode number of its original.
    pub(super) fn has_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    /// The attributes of an upper file as the overlay reports them.
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

/// Open objects by path.
pub(super) struct Registry<T> {
    by_path: HashMap<Box<str>, Weak<T>>,
    /// The length at which the entries of dropped objects are removed. It doubles with the number
    /// of open objects, so the cost per insertion is constant on average.
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
