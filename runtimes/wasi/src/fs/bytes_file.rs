//! A read-only file over bytes in memory.

use std::fmt;

use super::{File, FileType, Metadata};
use crate::Errno;

/// A read-only file over bytes in memory, for implementations of [`Dir`](super::Dir).
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{BytesFile, File};
///
/// let file = BytesFile::new(7, "hello\n");
/// assert_eq!(file.metadata()?.size_bytes, 6);
/// # Ok::<(), rangewatch_wasi::Errno>(())
/// ```
pub struct BytesFile {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    metadata: Metadata,
}

impl BytesFile {
    /// Makes a file with the inode number `ino` and the contents `bytes`, without a copy: a
    /// `&'static [u8]`, a `String`, an `Arc<[u8]>`.
    #[must_use]
    pub fn new(ino: u64, bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::with_metadata(Metadata::new(FileType::RegularFile, ino), bytes)
    }

    /// Makes a file with the attributes `metadata`, of which `size_bytes` is ignored: the size is
    /// that of `bytes`.
    #[must_use]
    pub fn with_metadata(
        metadata: Metadata,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Self {
        Self {
            bytes: Box::new(bytes),
            metadata,
        }
    }

    fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }
}

impl File for BytesFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        Ok(Metadata {
            size_bytes: self.bytes().len() as u64,
            ..self.metadata
        })
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.bytes().get(start..).unwrap_or_default();
        let n_bytes = rest.len().min(buf.len());
        buf[..n_bytes].copy_from_slice(&rest[..n_bytes]);
        Ok(n_bytes)
    }
}

impl fmt::Debug for BytesFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesFile")
            .field("len_bytes", &self.bytes().len())
            .field("metadata", &self.metadata)
            .finish()
    }
}
