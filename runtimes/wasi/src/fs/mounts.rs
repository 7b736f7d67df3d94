//! Directories under one roof.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use super::dev::next_dev;
use super::{
    Create, Dir, DirEntry, FileType, IntoDir, Metadata, Node, OpenOptions, ReadDir, SetTimes,
};
use crate::{Errno, MAX_NAME_BYTES};

/// A directory whose entries are directories of other filesystems, for a guest that wants one root.
///
/// What is mounted is used as if it were given by itself. The directory above stays as it is: nothing is made beside the
/// mounted directories, which is [`Errno::Rofs`], and they are neither renamed nor removed, which is [`Errno::Busy`]. Names
/// do not move from one filesystem to another, which is [`Errno::Xdev`]; programs copy files then. Between two directories of
/// one filesystem they do, as between two preopened directories: two directories of the host on one disk, or one filesystem
/// in memory under two names.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs, Mounts, ReadOnly};
///
/// let mounts = Mounts::new()
///     .mount("etc", ReadOnly::new(MemoryFs::from([("app.toml", "verbose = true\n")])))?
///     .mount("tmp", MemoryFs::new())?;
/// let ctx = Wasi::builder().preopen("/", mounts, Access::ReadWrite).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mounts {
    dev: u64,
    by_name: Arc<BTreeMap<String, Arc<dyn Dir>>>,
}

/// Why a directory could not be mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// No guest could say the name: it is empty, `.`, `..`, longer than [`MAX_NAME_BYTES`], or contains `/` or NUL.
    #[error(
        "{name:?} is not the name of an entry; use one name such as \"data\", and nest mounts for a path"
    )]
    InvalidName {
        /// The name.
        name: String,
    },

    /// Something is mounted under the name.
    #[error("{name:?} is mounted already; give each directory a name of its own")]
    Taken {
        /// The name.
        name: String,
    },
}

impl Mounts {
    /// No directories.
    #[must_use]
    pub fn new() -> Self {
        Self {
            dev: next_dev(),
            by_name: Arc::default(),
        }
    }

    /// Adds `dir` under a name.
    ///
    /// # Errors
    ///
    /// The name cannot be that of an entry, or is taken.
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
            // No name is empty, so that the first is behind that one.
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
