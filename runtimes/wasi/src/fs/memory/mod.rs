//! A memory filesystem.

mod builder;
mod contents;
mod device;
mod dir;
mod file;
mod host_side;
mod shared;

use std::fmt;
use std::sync::Arc;

pub use builder::MemoryFsBuilder;
pub use host_side::MemoryFsError;

use self::dir::MemoryDir;
use super::{Dir, IntoDir};

/// A filesystem in the memory of the host. Clones share one filesystem.
///
/// It supports directories, hard and symbolic links, sparse files and times in nanoseconds, and has
/// limits. The host can read and write it while guests use it:
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs};
///
/// let files = MemoryFs::with_files([
///     ("greeting.txt", "hello\n"),
///     ("config/app.toml", "verbose = true\n"),
/// ])?;
/// let ctx = Wasi::builder().preopen("/data", files.clone(), Access::ReadWrite).build()?;
///
/// // After the guest has run:
/// assert_eq!(files.read("greeting.txt")?, b"hello\n");
/// assert_eq!(files.list("config")?, ["app.toml"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Two runs of the same calls give the same inode numbers, times and order of entries: entries are
/// listed in the order of their creation, and the default clock advances only when it is read.
/// [`builder`](Self::builder) sets another clock. Reading does not change the access time.
///
/// # Limits
///
/// A guest cannot exhaust the memory of its host: the contents of all files and the targets of all
/// links are charged to [`DEFAULT_LIMIT_BYTES`](Self::DEFAULT_LIMIT_BYTES), the directory entries
/// to [`DEFAULT_LIMIT_ENTRIES`](Self::DEFAULT_LIMIT_ENTRIES). Exceeding a limit fails with
/// [`Errno::Nospc`](crate::Errno::Nospc). Holes are free, but the data after one is charged at
/// least 128 bytes. The limit in bytes is also the maximum size of a single file, holes included:
/// [`Errno::Fbig`](crate::Errno::Fbig). A removed file is charged until it is closed. Of a file
/// above 4 MiB that is removed or truncated the rest is freed by later calls that need its space or
/// that remove another file, and charged until then.
#[derive(Clone)]
pub struct MemoryFs {
    root: Arc<MemoryDir>,
}

impl MemoryFs {
    /// The default limit in bytes: 256 MiB.
    ///
    /// Without a limit, a guest that writes in a loop exhausts the memory of the host.
    pub const DEFAULT_LIMIT_BYTES: u64 = 256 << 20;

    /// The default limit in directory entries: 2^18.
    ///
    /// An entry costs the host a few hundred bytes, also if the file is empty or has other hard
    /// links.
    pub const DEFAULT_LIMIT_ENTRIES: u64 = 1 << 18;

    /// Makes an empty filesystem with the defaults that [`MemoryFsBuilder`] lists.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A filesystem with the defaults and these files, each a path below the root and its contents.
    /// Makes the directories that the paths name.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), for the first file that cannot be written.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::Errno;
    /// use rangewatch_wasi::fs::MemoryFs;
    ///
    /// let files = MemoryFs::with_files([("config/app.toml", "verbose = true")])?;
    /// assert_eq!(files.list("config")?, ["app.toml"]);
    ///
    /// let outside = MemoryFs::with_files([("../app.toml", "")]);
    /// assert_eq!(outside.unwrap_err().errno, Errno::Perm);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_files<P: AsRef<str>, C: AsRef<[u8]>>(
        files: impl IntoIterator<Item = (P, C)>,
    ) -> Result<Self, MemoryFsError> {
        let fs = Self::new();
        for (path, contents) in files {
            fs.write(path, contents)?;
        }
        Ok(fs)
    }

    /// Starts an empty filesystem with other limits or another clock.
    pub fn builder() -> MemoryFsBuilder {
        MemoryFsBuilder::default()
    }

    /// The bytes that are charged.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.root.shared().used_bytes()
    }

    /// The number of directory entries.
    #[must_use]
    pub fn n_entries(&self) -> u64 {
        self.root.shared().n_entries()
    }
}

impl Default for MemoryFs {
    fn default() -> Self {
        Self::new()
    }
}

impl IntoDir for MemoryFs {
    fn into_dir(self) -> Arc<dyn Dir> {
        self.root
    }
}

impl IntoDir for &MemoryFs {
    fn into_dir(self) -> Arc<dyn Dir> {
        Arc::clone(&self.root) as Arc<dyn Dir>
    }
}

impl fmt::Debug for MemoryFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFs")
            .field("used_bytes", &self.used_bytes())
            .field("n_entries", &self.n_entries())
            .finish_non_exhaustive()
    }
}
