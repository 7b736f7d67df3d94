//! The trait of an open file.

use super::{Metadata, SetTimes};
use crate::Errno;

/// An open file of a filesystem.
///
/// Files have no position: the context stores one per descriptor. The context also checks the
/// access mode, so a file need not. A file stays usable after its last name is removed.
///
/// Methods without an override fail with [`Errno::Notsup`], except [`sync`](Self::sync) and
/// [`sync_data`](Self::sync_data), which have no effect.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Errno;
/// use rangewatch_wasi::fs::{File, FileType, Metadata};
///
/// /// A file of a thousand zeros.
/// struct Zeros;
///
/// impl File for Zeros {
///     fn metadata(&self) -> Result<Metadata, Errno> {
///         let mut metadata = Metadata::new(FileType::RegularFile, 1);
///         metadata.size_bytes = 1_000;
///         Ok(metadata)
///     }
///     fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
///         let n_bytes = 1_000_u64.saturating_sub(offset).min(buf.len() as u64) as usize;
///         buf[..n_bytes].fill(0);
///         Ok(n_bytes)
///     }
/// }
///
/// assert_eq!(Zeros.read_at(&mut [1; 16], 990), Ok(10));
/// assert_eq!(Zeros.write_at(b"text", 0), Err(Errno::Notsup));
/// ```
pub trait File: Send + Sync + 'static {
    /// The attributes of the file.
    ///
    /// # Errors
    ///
    /// Any error of the filesystem.
    fn metadata(&self) -> Result<Metadata, Errno>;

    /// Reads up to `buf.len()` bytes at `offset` and returns their number. A short read means that
    /// the file ends there.
    ///
    /// # Errors
    ///
    /// Any error of the filesystem.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// Writes bytes of `buf` at `offset` and returns their number. A gap before `offset` reads as
    /// zeros.
    ///
    /// # Errors
    ///
    /// [`Errno::Fbig`] or [`Errno::Nospc`] when no byte fits, and other errors of the filesystem.
    fn write_at(&self, _buf: &[u8], _offset: u64) -> Result<usize, Errno> {
        Err(Errno::Notsup)
    }

    /// Writes bytes of `buf` at the end of the file and returns their number. An override should do
    /// both atomically; the default does not.
    ///
    /// # Errors
    ///
    /// The errors of [`write_at`](Self::write_at).
    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        self.write_at(buf, self.metadata()?.size_bytes)
    }

    /// Sets the size: truncates the file, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// [`Errno::Fbig`] when the filesystem does not support files of that size, and other errors of
    /// the filesystem.
    fn set_size(&self, _size_bytes: u64) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Extends the file with zeros so that its size is at least `offset + len`. Never truncates. If
    /// the filesystem can, it also reserves the space.
    ///
    /// # Errors
    ///
    /// The errors of [`set_size`](Self::set_size).
    fn allocate(&self, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Sets the times.
    ///
    /// # Errors
    ///
    /// Any error of the filesystem.
    fn set_times(&self, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Sets the permission bits of the host, in `0..=0o777`. See [`Metadata::permissions`].
    ///
    /// # Errors
    ///
    /// [`Errno::Notsup`] if the filesystem has no permission bits, which is the default, and any
    /// other error of the filesystem.
    fn set_permissions(&self, _bits: u32) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Waits until contents and attributes are stored durably. The default has no effect.
    ///
    /// # Errors
    ///
    /// Any error of the filesystem.
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// Waits until the contents are stored durably. The default calls [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// Any error of the filesystem.
    fn sync_data(&self) -> Result<(), Errno> {
        self.sync()
    }
}
