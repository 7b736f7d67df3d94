//! A filesystem in the memory of the host.

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

/// A filesystem in the memory of the host. Clones are the same filesystem.
///
/// It has directories, hard and symbolic links, sparse files, times to the nanosecond, and a limit on what it holds. The
/// host reads and writes it while guests do:
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs};
///
/// let files = MemoryFs::from([("greeting.txt", "hello\n"), ("config/app.toml", "verbose = true\n")]);
/// let ctx = Wasi::builder().preopen("/data", files.clone(), Access::ReadWrite).build()?;
///
/// // The guest runs, and then:
/// assert_eq!(files.read("greeting.txt")?, b"hello\n");
/// assert_eq!(files.list("config")?, ["app.toml"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Two runs of the same calls give the same numbers, times and order of entries, as entries are listed in the order in
/// which they were made and the default clock moves when it is read; [`builder`](Self::builder) takes another clock.
/// Reading does not change the time of the last access.
///
/// # What it may hold
///
/// A guest cannot use up the memory of its host: the contents of all files and the targets of all links count against
/// [`DEFAULT_LIMIT_BYTES`](Self::DEFAULT_LIMIT_BYTES), the names against
/// [`DEFAULT_LIMIT_ENTRIES`](Self::DEFAULT_LIMIT_ENTRIES). What is more is [`Errno::Nospc`](crate::Errno::Nospc). Holes
/// are free, but what is behind one counts at least 128 bytes, and no file is longer than all may be together:
/// [`Errno::Fbig`](crate::Errno::Fbig). A file that has no name any more counts until it is closed.
#[derive(Clone)]
pub struct MemoryFs {
    root: Arc<MemoryDir>,
}

impl MemoryFs {
    /// How many bytes a filesystem holds unless its builder says otherwise: 256 MiB.
    ///
    /// Without a limit, a guest that writes in a loop takes all memory of the host.
    pub const DEFAULT_LIMIT_BYTES: u64 = 256 << 20;

    /// How many names a filesystem holds unless its builder says otherwise: 2^18.
    ///
    /// A name costs the host a few hundred bytes, also if it is an empty file's or the thousandth of one file.
    pub const DEFAULT_LIMIT_ENTRIES: u64 = 1 << 18;

    /// An empty filesystem with the defaults that [`MemoryFsBuilder`] lists.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts an empty filesystem with limits or a clock of one's own.
    pub fn builder() -> MemoryFsBuilder {
        MemoryFsBuilder::default()
    }

    /// How many bytes it holds, of those that count.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.root.shared().used_bytes()
    }

    /// How many names it holds.
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

impl<P: AsRef<str>, C: AsRef<[u8]>, const N: usize> From<[(P, C); N]> for MemoryFs {
    /// A filesystem with these files, each a path below the root and its contents. Directories are made as paths name them.
    ///
    /// # Panics
    ///
    /// When a path is not one that [`write`](Self::write) takes, or the files exceed the default limits. Files that are not
    /// known when the program is written are better given to [`write`](Self::write), which answers an error.
    fn from(files: [(P, C); N]) -> Self {
        let fs = Self::new();
        for (path, contents) in files {
            if let Err(error) = fs.write(path.as_ref(), contents) {
                panic!("cannot make a file: {error}");
            }
        }
        fs
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
