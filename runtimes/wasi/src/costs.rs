//! What the functions cost: the weights of the host's work, in units of fuel.
//!
//! A unit is about one instruction of a guest. The times are those of one core of a server; each
//! weight lets a unit stand for 1 to 20 ns. A system call that takes longer than its weight allows,
//! such as a write to a slow disk, is not counted further.

use std::cell::Cell;

use crate::Errno;
use crate::fs::take_work;
use crate::limits::{MAX_ENTERED, MAX_LISTING_UNITS};

/// Each call, and each further attempt of a call that waits. The functions that only access the
/// context take 20 to 100 ns with the entry from the engine, 160 ns with a wait.
pub(crate) const CALL: u64 = 100;

/// How many bytes that are copied, cleared or drawn at random cost one unit. A copy takes 1 to 8 ns
/// per 16 bytes, depending on whether memory is allocated for it, the generator 10 ns.
pub(crate) const BYTES_PER_UNIT: u64 = 16;

/// One entry of a table of buffers, and the write or read for it on a stream: 5 to 100 ns.
pub(crate) const IOVEC: u64 = 20;

/// One subscription of `poll_oneoff`: 30 ns, and 500 ns for a file of the host.
pub(crate) const SUBSCRIPTION: u64 = 40;

/// One operation on an open file or directory: a read, a write, attributes, closing. 30 to 700 ns;
/// a write to a file of the host on a disk takes up to 8 us.
pub(crate) const FILE: u64 = 200;

/// One operation on a name in a directory: opening, creating, removing. 100 ns in memory, 2 us in a
/// directory of the host, 10 us if that directory is written.
pub(crate) const NAME: u64 = 400;

/// One directory that a path enters by name: 60 ns in memory, 1.8 us in a directory of the host.
pub(crate) const ENTERED: u64 = 64;

/// One symbolic link that a path follows: reading it and copying the rest of the path. 300 ns to 2
/// us.
pub(crate) const LINK: u64 = 300;

/// How many bytes of a path cost one unit: a path is checked and split several times.
pub(crate) const PATH_BYTES_PER_UNIT: u64 = 4;

/// One entry that a listing takes from the filesystem, and again when it is written to the guest:
/// 300 to 700 ns together.
pub(crate) const ENTRY: u64 = 40;

/// One hash of an entry that a listing has passed, when the guest goes back: 20 ns, to sort them.
pub(crate) const HASH: u64 = 1;

/// Freeing one page of 64 KiB of a memory filesystem: 4 to 40 us, because the allocator returns it
/// to the operating system.
pub(crate) const PAGE_FREED: u64 = 400;

/// Taking one page of a memory filesystem out of the table of its file: 50 ns.
pub(crate) const PAGE_TAKEN: u64 = 4;

/// How many pages of a memory filesystem cost one unit when a file is truncated in its middle: 5 ns
/// each.
pub(crate) const PAGES_SPLIT_PER_UNIT: u64 = 4;

/// One directory on the way from a directory of a memory filesystem to its root: 20 to 400 ns.
pub(crate) const ANCESTOR: u64 = 8;

/// Storing the changes of a file durably. A disk takes 0.1 to 10 ms.
pub(crate) const SYNC: u64 = 5_000;

/// The work of one attempt to list a directory.
#[derive(Debug, Default)]
pub(crate) struct ListingWork {
    units: u64,
}

impl ListingWork {
    pub(crate) fn add(&mut self, units: u64) {
        self.units += units;
    }

    /// Whether the attempt ends.
    pub(crate) fn is_used_up(&self) -> bool {
        self.units >= MAX_LISTING_UNITS
    }

    pub(crate) fn units(&self) -> u64 {
        self.units
    }
}

/// The work of the calls since an adapter took it last.
///
/// The fields are cells: a call counts while it borrows other parts of the context.
#[derive(Debug, Default)]
pub(crate) struct Work {
    units: Cell<u64>,
    /// How many directories the paths of the call have entered.
    n_entered: Cell<u32>,
}

impl Work {
    /// Begins an attempt of a call.
    pub(crate) fn begin(&self) {
        // What a filesystem counted outside of a call belongs to no guest.
        take_work();
        self.n_entered.set(0);
        self.add(CALL);
    }

    pub(crate) fn add(&self, units: u64) {
        self.units.set(self.units.get().saturating_add(units));
    }

    /// Adds the cost of copying, clearing or drawing `n_bytes`.
    pub(crate) fn add_bytes(&self, n_bytes: usize) {
        self.add(n_bytes as u64 / BYTES_PER_UNIT);
    }

    /// Adds the cost of a directory that a path enters. Fails when the paths of the call have
    /// entered too many.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        self.add(ENTERED);
        let n_entered = self.n_entered.get() + 1;
        self.n_entered.set(n_entered);
        if n_entered > MAX_ENTERED {
            return Err(Errno::Loop);
        }
        Ok(())
    }

    /// The units since the last call of this, those of the filesystems included.
    pub(crate) fn take(&self) -> u64 {
        self.units.take().saturating_add(take_work())
    }
}
