//! State that all nodes of one filesystem share: limits, clock, inode numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::contents::{Freed, Pages};
use crate::Clock;
use crate::Errno;
use crate::fs::dev::next_dev;
use crate::fs::{Metadata, SetTime, SetTimes};
use crate::limits::MAX_FREED_UNITS;

pub(super) struct Shared {
    pub(super) dev: u64,
    limit_bytes: u64,
    limit_entries: u64,
    used_bytes: AtomicU64,
    n_entries: AtomicU64,
    next_ino: AtomicU64,
    clock: Mutex<Box<dyn Clock>>,
    /// The tree lock. Lock order: it is taken before the lock of any node by operations that lock
    /// several nodes. It prevents deadlocks between them, and moves of a directory while the
    /// ancestors of another are walked.
    tree: Mutex<()>,
    /// Locked after everything else.
    freed: Mutex<Freed>,
}

impl Shared {
    pub(super) fn new(limit_bytes: u64, limit_entries: u64, clock: Box<dyn Clock>) -> Self {
        Self {
            dev: next_dev(),
            limit_bytes,
            limit_entries,
            used_bytes: AtomicU64::new(0),
            n_entries: AtomicU64::new(0),
            next_ino: AtomicU64::new(1),
            clock: Mutex::new(clock),
            tree: Mutex::new(()),
            freed: Mutex::default(),
        }
    }

    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn n_entries(&self) -> u64 {
        self.n_entries.load(Ordering::Relaxed)
    }

    pub(super) fn next_ino(&self) -> u64 {
        self.next_ino.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn now_ns(&self) -> u64 {
        lock(&self.clock).realtime_ns()
    }

    pub(super) fn lock_tree(&self) -> MutexGuard<'_, ()> {
        lock(&self.tree)
    }

    /// Charges `n_bytes`, all or none. Frees as many pages of removed files as that needs, and one
    /// more.
    pub(super) fn reserve_bytes(&self, n_bytes: u64) -> Result<(), Errno> {
        loop {
            let has_freed = self.free_one().is_some();
            let reserved = reserve(&self.used_bytes, n_bytes, self.limit_bytes);
            if reserved.is_ok() || !has_freed {
                return reserved;
            }
        }
    }

    /// Frees pages that no file has any more, those that are too many for one call later.
    pub(super) fn free(&self, pages: Pages) {
        lock(&self.freed).add(pages);
        let mut units = 0;
        while units < MAX_FREED_UNITS {
            match self.free_one() {
                Some(more) => units += more,
                None => return,
            }
        }
    }

    /// Frees a page, if there is one to free, and returns the work of that.
    fn free_one(&self) -> Option<u64> {
        let (n_bytes, units) = lock(&self.freed).free_one()?;
        self.release_bytes(n_bytes);
        Some(units)
    }

    pub(super) fn release_bytes(&self, n_bytes: u64) {
        self.used_bytes.fetch_sub(n_bytes, Ordering::Relaxed);
    }

    /// Charges one entry.
    pub(super) fn reserve_entry(&self) -> Result<(), Errno> {
        reserve(&self.n_entries, 1, self.limit_entries)
    }

    pub(super) fn release_entries(&self, n_entries: u64) {
        self.n_entries.fetch_sub(n_entries, Ordering::Relaxed);
    }
}

fn reserve(used: &AtomicU64, more: u64, limit: u64) -> Result<(), Errno> {
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        used.checked_add(more).filter(|sum| *sum <= limit)
    })
    .map(drop)
    .map_err(|_| Errno::Nospc)
}

/// Locks a part of the filesystem. The code under these locks cannot panic, so a poisoned lock
/// guards consistent data.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The three times of a node, in nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Times {
    accessed_ns: u64,
    modified_ns: u64,
    changed_ns: u64,
}

impl Times {
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            accessed_ns: now_ns,
            modified_ns: now_ns,
            changed_ns: now_ns,
        }
    }

    /// Records a change of the contents.
    pub(super) fn modify(&mut self, now_ns: u64) {
        self.modified_ns = now_ns;
        self.changed_ns = now_ns;
    }

    /// Records a change of the attributes.
    pub(super) fn change(&mut self, now_ns: u64) {
        self.changed_ns = now_ns;
    }

    pub(super) fn set(&mut self, times: SetTimes, now_ns: u64) {
        let resolve = |time| match time {
            SetTime::Now => now_ns,
            SetTime::At(ns) => ns,
        };
        if let Some(accessed) = times.accessed {
            self.accessed_ns = resolve(accessed);
        }
        if let Some(modified) = times.modified {
            self.modified_ns = resolve(modified);
        }
        self.changed_ns = now_ns;
    }

    pub(super) fn write_to(self, metadata: &mut Metadata) {
        metadata.accessed_ns = self.accessed_ns;
        metadata.modified_ns = self.modified_ns;
        metadata.changed_ns = self.changed_ns;
    }
}
