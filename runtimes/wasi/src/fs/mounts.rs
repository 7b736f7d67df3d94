//! A directory of mounted filesystems.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use super::dev::next_dev;
use super::{
    Create, Dir, DirEntry, FileType, IntoDir, Metadata, Node, OpenOptions, ReadDir, SetTimes,
};
use crate::{Errno, MAX_NAME_BYTES};

/// A directory whose entries are directories of other filesystems, for a guest that expects one
/// root.
///
/// A mounted directory behaves as if it were preopened by itself. The mount directory itself cannot
/// change: creating entries beside the mounts fails with [`Errno::Rofs`], renaming or removing a
/// mount with [`Errno::Busy`]. A rename or link between filesystems fails with [`Errno::Xdev`];
/// programs copy the file then. It works between two directories of one filesystem: two directories
/// of the host on one disk, or one memory filesystem mounted under two names.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs, Mounts, ReadOnly};
///
/// let mounts = Mounts::new()
///     .mount("etc", ReadOnly::new(MemoryFs::with_files([("app.toml", "verbose = true\n")])?))?
///     .mount("tmp", MemoryFs::new())?;
/// let ctx = Wasi::builder().preopen("/", mounts, Access::ReadWrite).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mounts {
    dev: u64,
    by_name: Arc<BTreeMap<String, Arc<dyn Dir>>>,
}

/// Why [`Mounts::mount`] failed.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{MemoryFs, MountError, Mounts};
///
/// let error = Mounts::new().mount("a/b", MemoryFs::new()).unwrap_err();
/// assert!(matches!(error, MountError::InvalidName { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The name is not valid for a directory entry: it is empty, `.`, `..`, longer than
    /// [`MAX_NAME_BYTES`], or contains `/` or NUL.
    #[error(
        "{name:?} is not the name of an entry; use one name such as \"data\", and nest mounts for a path"
    )]
    InvalidName {
        /// The name.
        name: String,
    },

    /// A directory is already mounted under this name.
    #[error("{name:?} is already mounted; use a different name for each directory")]
    Taken {
        /// The name.
        name: String,
    },
}

impl Mounts {
    /// Makes a directory without mounts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            dev: next_dev(),
            by_name: Arc::default(),
        }
    }

    /// Mounts `dir` under `name`.
    ///
    /// # Errors
    ///
    /// The name is invalid, or already mounted.
    pub fn mount(mut self, name: impl AsRef<str>, dir: impl IntoDir) -> Result<Self, MountError> {
        let name = name.as_ref().to_owned();
        let is_name = !matches!(name.as_str(), "" | "." | "..")
            && name.len() <= MAX_NAME_BYTES as usize
            && !name.contains(['/', '\0']);
        if !is_name {
            return Err(MountError::InvalidName { name });
        }
        if self.by_name.contains_key(&name) {
            return Err(MountError::Taken { name });
        }
        Arc::make_mut(&mut self.by_name).insert(name, dir.into_dir());
        Ok(self)
    }

    fn get(&self, name: &str) -> Result<&Arc<dyn Dir>, Errno> {
        self.by_name.get(name).ok_or(Errno::Noent)
    }

    fn refuse_new(&self, name: &str) -> Result<(), Errno> {
        match self.get(name) {
            Ok(_) => Err(Errno::Exist),
            Err(_) => Err(Errno::Rofs),
        }
    }

    fn refuse_change(&self, name: &str) -> Result<(), Errno> {
        self.get(name).and(Err(Errno::Busy))
    }
}

impl Dir for Mounts {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let mut metadata = Metadata::new(FileType::Directory, 1);
        metadata.dev = self.dev;
        metadata.n_links = 2 + self.by_name.len() as u64;
        metadata.size_bytes = self.by_name.len() as u64;
        Ok(metadata)
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        Ok(Node::Dir(Arc::clone(self.get(name)?)))
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        let mounts = Arc::clone(&self.by_name);
        let mut after = String::new();
        Ok(Box::new(std::iter::from_fn(move || {
            // No name is empty, so the range from an excluded empty name starts at the first mount.
            let behind = (Bound::Excluded(after.as_str()), Bound::Unbounded);
            let (name, dir) = mounts.range::<str, _>(behind).next()?;
            after.clone_from(name);
            let metadata = dir.metadata();
            Some(
                metadata.map(|found| DirEntry::new(after.as_str(), FileType::Directory, found.ino)),
            )
        })))
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        match self.lookup(name) {
            Err(Errno::Noent) if options.create != Create::Never => Err(Errno::Rofs),
            Err(errno) => Err(errno),
            Ok(_) if options.create == Create::New => Err(Errno::Exist),
            Ok(_) if options.is_mutating() => Err(Errno::Isdir),
            Ok(node) => Ok(node),
        }
    }

    fn create_dir(&self, name: &str) -> Result<(), Errno> {
        self.refuse_new(name)
    }

    fn symlink(&self, name: &str, _target: &str) -> Result<(), Errno> {
        self.refuse_new(name)
    }

    fn link(&self, name: &str, _to: &dyn Dir, _to_name: &str) -> Result<(), Errno> {
        self.get(name).and(Err(Errno::Perm))
    }

    fn rename(&self, name: &str, _to: &dyn Dir, _to_name: &str) -> Result<(), Errno> {
        self.refuse_change(name)
    }

    fn remove_file(&self, name: &str) -> Result<(), Errno> {
        self.get(name).and(Err(Errno::Isdir))
    }

    fn remove_dir(&self, name: &str) -> Result<(), Errno> {
        self.refuse_change(name)
    }

    fn set_times(&self, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn set_permissions(&self, _bits: u32) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn set_times_at(&self, name: &str, times: SetTimes) -> Result<(), Errno> {
        self.get(name)?.set_times(times)
    }
}

impl Default for Mounts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Mounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounts")
            .field("names", &self.by_name.keys())
            .finish_non_exhaustive()
    }
}
