//! Open files of an overlay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::copy_up::{self, Copied};
use super::merged::Merged;
use super::state::{Shared, State};
use crate::Errno;
use crate::fs::{File, Metadata, SetTimes};

/// A file of the upper layer, with the inode number that the overlay reports.
pub(super) struct UpperFile {
    shared: Arc<Shared>,
    file: Arc<dyn File>,
}

impl UpperFile {
    pub(super) fn open(shared: &Arc<Shared>, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            file,
        })
    }
}

impl File for UpperFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let metadata = self.file.metadata()?;
        Ok(self.shared.lock().identify(metadata))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, Errno> {
        self.file.write_at(buf, offset)
    }

    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        self.file.append(buf)
    }

    fn set_size(&self, size_bytes: u64) -> Result<(), Errno> {
        self.file.set_size(size_bytes)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<(), Errno> {
        self.file.allocate(offset, len)
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        self.file.set_times(times)
    }

    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        self.file.set_permissions(bits)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.file.sync()
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.file.sync_data()
    }
}

/// A file of the lower layer until its copy-up, and then the copy. All descriptors of the file
/// share it.
pub(super) struct LowerFile {
    shared: Arc<Shared>,
    dir: Arc<Merged>,
    name: Box<str>,
    lower: Arc<dyn File>,
    upper: OnceLock<Arc<dyn File>>,
    /// Whether a descriptor may write to it.
    writable: AtomicBool,
    /// Whether the name is removed, and copy-up is impossible.
    removed: AtomicBool,
}

impl LowerFile {
    pub(super) fn new(
        shared: &Arc<Shared>,
        dir: &Arc<Merged>,
        name: &str,
        lower: Arc<dyn File>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            dir: Arc::clone(dir),
            name: name.into(),
            lower,
            upper: OnceLock::new(),
            writable: AtomicBool::new(false),
            removed: AtomicBool::new(false),
        }
    }

    pub(super) fn set_writable(&self) {
        self.writable.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_upper(&self, file: Arc<dyn File>) {
        let _ = self.upper.set(file);
    }

    pub(super) fn set_removed(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }

    /// Whether the file must be copied up before its name is removed.
    pub(super) fn needs_copy_up(&self) -> bool {
        self.writable.load(Ordering::Relaxed) && self.upper.get().is_none()
    }

    fn current(&self) -> &dyn File {
        &**self.upper.get().unwrap_or(&self.lower)
    }

    /// The file to write to: the copy, which is made if necessary.
    fn writable_file(&self) -> Result<&dyn File, Errno> {
        if self.upper.get().is_none() {
            self.copy(&mut self.shared.lock())?;
        }
        Ok(self.current())
    }

    fn copy(&self, state: &mut State) -> Result<(), Errno> {
        if self.upper.get().is_some() {
            return Ok(());
        }
        if self.removed.load(Ordering::Relaxed) {
            // A file that is open for writing was copied up before its removal. The only change
            // left is setting the times of a file that is open for reading.
            return Err(Errno::Rofs);
        }
        if let Copied::File(file) = copy_up::copy_up(state, &self.dir, &self.name)? {
            self.set_upper(file);
        }
        Ok(())
    }
}

impl File for LowerFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let mut metadata = self.current().metadata()?;
        let state = self.shared.lock();
        if self.upper.get().is_some() {
            return Ok(state.identify(metadata));
        }
        if self.removed.load(Ordering::Relaxed) {
            metadata.n_links = metadata.n_links.saturating_sub(1);
        }
        Ok(metadata)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.current().read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, Errno> {
        self.writable_file()?.write_at(buf, offset)
    }

    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        self.writable_file()?.append(buf)
    }

    fn set_size(&self, size_bytes: u64) -> Result<(), Errno> {
        self.writable_file()?.set_size(size_bytes)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<(), Errno> {
        self.writable_file()?.allocate(offset, len)
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        self.writable_file()?.set_times(times)
    }

    fn set_permissions(&self, bits: u32) -> Result<(), Errno> {
        self.writable_file()?.set_permissions(bits)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.upper.get().map_or(Ok(()), |file| file.sync())
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.upper.get().map_or(Ok(()), |file| file.sync_data())
    }
}

/// A device or named pipe of the lower layer. Reads and writes do not change the filesystem;
/// setting times would.
pub(super) struct LowerDevice {
    lower: Arc<dyn File>,
}

impl LowerDevice {
    pub(super) fn open(lower: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(Self { lower })
    }
}

impl File for LowerDevice {
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.lower.metadata()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.lower.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, Errno> {
        self.lower.write_at(buf, offset)
    }

    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        self.lower.append(buf)
    }

    fn set_size(&self, _size_bytes: u64) -> Result<(), Errno> {
        Err(Errno::Inval)
    }

    fn set_times(&self, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.lower.sync()
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.lower.sync_data()
    }
}
