//! The listing of a directory through one descriptor.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Errno;
use crate::fs::{Dir, DirEntry, FileType, ReadDir};
use crate::limits::MAX_LISTING_BYTES;

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

/// The entries of a directory by number, which is the cookie of WASI: `.` is 0, `..` is 1, and then
/// what the filesystem lists.
///
/// Entries come from the filesystem as they are asked for, and the last of them are kept, for a
/// guest that goes back: to the entry that did not fit into its buffer, or to a cookie that it
/// remembers. So listing a directory is linear whatever the size of the buffer, and what is made or
/// removed meanwhile shifts nothing.
pub(crate) struct Listing {
    /// What was taken from the filesystem last.
    kept: VecDeque<DirEntry>,
    kept_bytes: usize,
    /// The number of the first kept entry.
    first: u64,
    rest: Option<ReadDir>,
}

impl Listing {
    /// Begins at entry 0. It is here that a guest sees a directory anew.
    pub(crate) fn new(dir: &Arc<dyn Dir>, dot_entries: DotEntries) -> Result<Self, Errno> {
        let mut listing = Self {
            kept: VecDeque::new(),
            kept_bytes: 0,
            first: 0,
            rest: Some(dir.read_dir()?),
        };
        if dot_entries == DotEntries::Listed {
            let ino = dir.metadata()?.ino;
            // What is above the directory is not the guest's to know, and no number would be taken
            // for no entry.
            for name in [".", ".."] {
                listing.keep(DirEntry::new(name, FileType::Directory, ino));
            }
        }
        Ok(listing)
    }

    /// Whether `index` has been passed and forgotten, so that it can only be found from the
    /// beginning again.
    pub(crate) fn has_forgotten(&self, index: u64) -> bool {
        index < self.first
    }

    /// The entry with the number `index`, or `None` behind the last one and for what is forgotten.
    pub(crate) fn entry(&mut self, index: u64) -> Result<Option<&DirEntry>, Errno> {
        while index >= self.first + self.kept.len() as u64 {
            let Some(rest) = &mut self.rest else {
                return Ok(None);
            };
            match rest.next() {
                Some(entry) => self.keep(entry?),
                None => self.rest = None,
            }
        }
        let kept = index.checked_sub(self.first);
        Ok(kept.and_then(|at| self.kept.get(at as usize)))
    }

    fn keep(&mut self, entry: DirEntry) {
        self.kept_bytes += cost(&entry);
        self.kept.push_back(entry);
        while self.kept_bytes > MAX_LISTING_BYTES && self.kept.len() > 1 {
            if let Some(forgotten) = self.kept.pop_front() {
                self.kept_bytes -= cost(&forgotten);
                self.first += 1;
            }
        }
    }
}

fn cost(entry: &DirEntry) -> usize {
    size_of::<DirEntry>() + entry.name.capacity()
}
