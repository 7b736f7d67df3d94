//! Listing a merged directory.

use super::dir::OverlayDir;
use crate::Errno;
use crate::costs::ENTRY;
use crate::fs::{DirEntry, FileType, ReadDir, add_work};

/// Returns the entries of the lower directory, then those of the upper one that had no lower entry
/// when the listing began. An entry that is copied up meanwhile is returned once, and the only
/// state is the number of removals at the start.
pub(super) struct Entries {
    dir: OverlayDir,
    n_removals: u64,
    lower: Option<ReadDir>,
    upper: Option<ReadDir>,
}

impl Entries {
    pub(super) fn new(dir: OverlayDir) -> Result<Self, Errno> {
        let n_removals = dir.shared.lock().n_removals();
        let lower = dir.lower().map(|lower| lower.read_dir()).transpose()?;
        let upper = dir.upper().map(|upper| upper.read_dir()).transpose()?;
        Ok(Self {
            dir,
            n_removals,
            lower,
            upper,
        })
    }

    /// The entry with the attributes of the overlay, if it is visible.
    fn lower_entry(&self, entry: DirEntry) -> Result<Option<DirEntry>, Errno> {
        let state = self.dir.shared.lock();
        if self.dir.visible_lower(&state, &entry.name).is_none() {
            return Ok(None);
        }
        let Some(upper) = self.dir.upper() else {
            return Ok(Some(entry));
        };
        match upper.metadata_at(&entry.name) {
            Err(Errno::Noent) => Ok(Some(entry)),
            Err(errno) => Err(errno),
            Ok(found)
                if found.file_type == FileType::Directory
                    && entry.file_type == FileType::Directory =>
            {
                Ok(Some(entry))
            }
            Ok(found) => {
                let ino = state.identify(found).ino;
                Ok(Some(DirEntry::new(entry.name, found.file_type, ino)))
            }
        }
    }

    fn upper_entry(&self, mut entry: DirEntry) -> Result<Option<DirEntry>, Errno> {
        let state = self.dir.shared.lock();
        if let Some(lower) = self.dir.lower_beside(&state, &entry.name, self.n_removals) {
            match lower.metadata_at(&entry.name) {
                Err(Errno::Noent) => {}
                Err(errno) => return Err(errno),
                Ok(_) => return Ok(None),
            }
        }
        if let (true, Some(upper)) = (state.has_origins(), self.dir.upper()) {
            match upper.metadata_at(&entry.name) {
                // Removed since the listing began.
                Err(Errno::Noent) => return Ok(None),
                found => entry.ino = state.identify(found?).ino,
            }
        }
        Ok(Some(entry))
    }
}

impl Iterator for Entries {
    type Item = Result<DirEntry, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(lower) = &mut self.lower {
            match lower.next() {
                None => self.lower = None,
                Some(entry) => {
                    let seen = entry.and_then(|entry| self.lower_entry(entry));
                    if let Some(seen) = seen.transpose() {
                        return Some(seen);
                    }
                    add_work(ENTRY);
                }
            }
        }
        loop {
            let entry = self.upper.as_mut()?.next()?;
            let seen = entry.and_then(|entry| self.upper_entry(entry));
            if let Some(seen) = seen.transpose() {
                return Some(seen);
            }
            add_work(ENTRY);
        }
    }
}
