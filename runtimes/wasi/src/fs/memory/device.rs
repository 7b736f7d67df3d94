//! Devices of a memory filesystem.

use std::sync::Arc;

use super::shared::Shared;
use crate::Errno;
use crate::fs::{File, FileType, Metadata, SetTimes};

/// A file of another filesystem under a name of this one, with the device number of this filesystem
/// and an inode number in it.
pub(super) struct MemoryDevice {
    dev: u64,
    ino: u64,
    file: Arc<dyn File>,
}

impl MemoryDevice {
    pub(super) fn new(shared: &Shared, file: Arc<dyn File>) -> Arc<Self> {
        Arc::new(Self {
            dev: shared.dev,
            ino: shared.next_ino(),
            file,
        })
    }

    pub(super) fn ino(&self) -> u64 {
        self.ino
    }
}

impl File for MemoryDevice {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let mut metadata = self.file.metadata()?;
        metadata.file_type = FileType::CharacterDevice;
        metadata.dev = self.dev;
        metadata.ino = self.ino;
        Ok(metadata)
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

    fn sync(&self) -> Result<(), Errno> {
        self.file.sync()
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.file.sync_data()
    }
}
