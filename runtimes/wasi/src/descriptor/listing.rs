//! The listing of a directory through one descriptor.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::task::Poll;

use crate::Errno;
use crate::costs::{ENTRY, HASH, ListingWork};
use crate::fs::{Dir, DirEntry, FileType, ReadDir};
use crate::limits::{MAX_LISTING_BYTES, MAX_LISTING_HASHES};

/// Whether listings of directories begin with `.` and `..`. The default is
/// [`Listed`](Self::Listed).
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Access, MemoryFs};
/// use rangewatch_wasi::{DotEntries, Wasi};
///
/// let ctx = Wasi::builder()
///     .preopen("/data", MemoryFs::new(), Access::ReadWrite)
///     .dot_entries(DotEntries::Omitted)
///     .build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DotEntries {
    /// They do, as POSIX systems list them.
    #[default]
    Listed,
    /// They do not.
    Omitted,
}

/// The entries of a directory by position, which is the cookie of WASI: `.` is 0, `..` is 1, then
/// the entries of the filesystem.
///
/// Entries are taken from the filesystem as the guest asks for them, so listing a directory is
/// linear with any buffer size, and entries that are created or removed meanwhile shift no
/// position. The last [`MAX_LISTING_BYTES`] of entries are buffered, for a guest that goes back. Of
/// older entries a hash of the name is kept: a guest that goes back further starts a second pass
/// over the directory, which leaves out the entries that came before the guest's position.
pub(crate) struct Listing {
    /// The entries that were taken from the filesystem last.
    buffered: VecDeque<DirEntry>,
    buffered_bytes: usize,
    /// The position of the first buffered entry.
    first: u64,
    /// The hashes of the names at the positions before `first`, at most [`MAX_LISTING_HASHES`].
    passed: Vec<u64>,
    hashes: RandomState,
    /// The entries that a second pass skips.
    excluded: Excluded,
    /// `None` after the last entry.
    rest: Option<ReadDir>,
    /// The highest position that the guest has been given as a cookie.
    max_cookie: u64,
}

/// Entries that come before the position at which a second pass starts.
#[derive(Default)]
struct Excluded {
    /// Sorted.
    hashes: Vec<u64>,
    /// How many further entries to skip, whose hashes are not stored.
    n_others: u64,
}

impl Listing {
    /// Starts at position 0 with the present entries of the directory.
    pub(crate) fn new(dir: &Arc<dyn Dir>, dot_entries: DotEntries) -> Result<Self, Errno> {
        let mut listing = Self {
            buffered: VecDeque::new(),
            buffered_bytes: 0,
            first: 0,
            passed: Vec::new(),
            hashes: RandomState::new(),
            excluded: Excluded::default(),
            rest: None,
            max_cookie: 0,
        };
        listing.begin(Pass::start(dir, dot_entries)?);
        Ok(listing)
    }

    /// Starts at position 0 again. Cookies that were given out stay acceptable.
    pub(crate) fn restart(
        &mut self,
        dir: &Arc<dyn Dir>,
        dot_entries: DotEntries,
    ) -> Result<(), Errno> {
        let max_cookie = self.max_cookie;
        *self = Self::new(dir, dot_entries)?;
        self.max_cookie = max_cookie;
        Ok(())
    }

    /// Makes `position` available if it is before the buffered entries: starts a second pass over
    /// the directory.
    pub(crate) fn go_back(
        &mut self,
        dir: &Arc<dyn Dir>,
        dot_entries: DotEntries,
        position: u64,
        work: &mut ListingWork,
    ) -> Result<(), Errno> {
        if position >= self.first {
            return Ok(());
        }
        let pass = Pass::start(dir, dot_entries)?;
        let n_hashes = position.min(self.passed.len() as u64);
        work.add(n_hashes * HASH);
        self.passed.truncate(n_hashes as usize);
        self.excluded = Excluded {
            hashes: self.passed.clone(),
            n_others: position - n_hashes,
        };
        self.excluded.hashes.sort_unstable();
        self.buffered.clear();
        self.buffered_bytes = 0;
        self.first = position;
        self.begin(pass);
        Ok(())
    }

    fn begin(&mut self, pass: Pass) {
        self.rest = Some(pass.entries);
        for dot in pass.dots.into_iter().flatten() {
            self.take(dot);
        }
    }

    /// Whether the guest has been given `position` as a cookie, or it is 0.
    pub(crate) fn accepts(&self, position: u64) -> bool {
        position <= self.max_cookie
    }

    /// The entry at `position`, which is not before the buffered ones, or `None` after the last
    /// one. The cookie of the next entry counts as given out. Pending when `work` is that of one
    /// attempt; the next attempt continues.
    pub(crate) fn entry(
        &mut self,
        position: u64,
        work: &mut ListingWork,
    ) -> Result<Poll<Option<&DirEntry>>, Errno> {
        while position >= self.first + self.buffered.len() as u64 {
            let Some(rest) = &mut self.rest else {
                return Ok(Poll::Ready(None));
            };
            if work.is_used_up() {
                return Ok(Poll::Pending);
            }
            work.add(ENTRY);
            match rest.next() {
                Some(entry) => self.take(entry?),
                None => self.rest = None,
            }
        }
        let Some(at) = position.checked_sub(self.first) else {
            return Ok(Poll::Ready(None));
        };
        if work.is_used_up() {
            return Ok(Poll::Pending);
        }
        work.add(ENTRY);
        self.max_cookie = self.max_cookie.max(position + 1);
        Ok(Poll::Ready(self.buffered.get(at as usize)))
    }

    fn take(&mut self, entry: DirEntry) {
        if self.excluded.contains(self.hashes.hash_one(&entry.name)) {
            return;
        }
        self.buffered_bytes += cost(&entry);
        self.buffered.push_back(entry);
        while self.buffered_bytes > MAX_LISTING_BYTES && self.buffered.len() > 1 {
            if let Some(passed) = self.buffered.pop_front() {
                self.buffered_bytes -= cost(&passed);
                if self.passed.len() < MAX_LISTING_HASHES && self.passed.len() as u64 == self.first
                {
                    self.passed.push(self.hashes.hash_one(&passed.name));
                }
                self.first += 1;
            }
        }
    }
}

/// One pass over a directory.
struct Pass {
    dots: Option<[DirEntry; 2]>,
    entries: ReadDir,
}

impl Pass {
    fn start(dir: &Arc<dyn Dir>, dot_entries: DotEntries) -> Result<Self, Errno> {
        let entries = dir.read_dir()?;
        let dots = match dot_entries {
            DotEntries::Omitted => None,
            DotEntries::Listed => {
                let ino = dir.metadata()?.ino;
                // The parent directory may be outside of the sandbox, so its number is not shown.
                // A number of 0 would mean that there is no entry.
                Some([".", ".."].map(|name| DirEntry::new(name, FileType::Directory, ino)))
            }
        };
        Ok(Self { dots, entries })
    }
}

impl Excluded {
    /// Whether the next entry, whose name has `hash`, is left out.
    fn contains(&mut self, hash: u64) -> bool {
        if self.hashes.binary_search(&hash).is_ok() {
            return true;
        }
        let is_excluded = self.n_others > 0;
        self.n_others = self.n_others.saturating_sub(1);
        is_excluded
    }
}

fn cost(entry: &DirEntry) -> usize {
    size_of::<DirEntry>() + entry.name.capacity()
}
