//! What a file can do.

use super::{Metadata, SetTimes};
use crate::Errno;

/// An open file.
///
/// Files have no position: the context keeps one for each descriptor. Nor do they check what they were opened for, unless
/// they cannot do otherwise: the context does. A file stays usable after its name is gone.
///
/// A method that is not overridden answers [`Errno::Notsup`], except for the two that have nothing to do for most files.
pub trait File: Send + Sync + 'static {
    /// The attributes.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn metadata(&self) -> Result<Metadata, Errno>;

    /// Reads up to `buf.len()` bytes at `offset` and answers how many. Less than asked for means that the file ends there.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// Writes bytes of `buf` at `offset` and answers how many. A gap before `offset` reads as zeros.
    ///
    /// # Errors
    ///
    /// [`Errno::Fbig`] and [`Errno::Nospc`] when not one byte fits, and whatever else the filesystem fails with.
    fn write_at(&self, _buf: &[u8], _offset: u64) -> Result<usize, Errno> {
        Err(Errno::Notsup)
    }

    /// Writes bytes of `buf` at the end and answers how many. In one step with finding the end, if the filesystem can: the
    /// default cannot.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at).
    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        self.write_at(buf, self.metadata()?.size_bytes)
    }

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// [`Errno::Fbig`] when the filesystem has no files of that size, and whatever else it fails with.
    fn set_size(&self, _size_bytes: u64) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Extends the file with zeros to at least `offset` and `len` more bytes, and never cuts it. Where the filesystem can, it
    /// also sees to it that writing there finds room.
    ///
    /// # Errors
    ///
    /// As [`set_size`](Self::set_size).
    fn allocate(&self, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Changes the times.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn set_times(&self, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Waits until contents and attributes are stored durably. There is nothing to do unless overridden.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// Waits until the contents are stored durably. The same as [`sync`](Self::sync) unless overridden.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn sync_data(&self) -> Result<(), Errno> {
        self.sync()
    }
}
