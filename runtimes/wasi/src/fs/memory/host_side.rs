//! The host's access to a memory filesystem.

use std::sync::Arc;

use super::MemoryFs;
use super::dir::MemoryDir;
use crate::Errno;
use crate::costs::Work;
use crate::fs::resolver::{LastComponent, SymlinkMode, Walk};
use crate::fs::{Create, Dir, File, Metadata, Node, OpenOptions};

/// Why an operation of the host on a [`MemoryFs`] failed.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Errno;
/// use rangewatch_wasi::fs::MemoryFs;
///
/// let error = MemoryFs::new().read("missing").unwrap_err();
/// assert_eq!(error.errno, Errno::Noent);
/// assert_eq!(error.to_string(), "`missing`: no such file or directory (NOENT)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {errno}")]
#[non_exhaustive]
pub struct MemoryFsError {
    /// The path of the operation.
    pub path: String,
    /// The errno that a guest would get.
    pub errno: Errno,
}

/// Access by the host. Paths are relative to the root of the filesystem; symbolic links are
/// followed within it. `.` is the root.
impl MemoryFs {
    /// Writes a whole file. Creates it and its parent directories, or replaces its contents.
    ///
    /// # Errors
    ///
    /// The errno for `path`, and [`Errno::Nospc`] or [`Errno::Fbig`] at the limits; the file may
    /// then contain a part of `contents`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::fs::MemoryFs;
    ///
    /// let files = MemoryFs::new();
    /// files.write("config/app.toml", "verbose = true\n")?;
    /// assert_eq!(files.read("config/app.toml")?, b"verbose = true\n");
    /// assert_eq!(files.list("config")?, ["app.toml"]);
    /// # Ok::<(), rangewatch_wasi::fs::MemoryFsError>(())
    /// ```
    pub fn write(
        &self,
        path: impl AsRef<str>,
        contents: impl AsRef<[u8]>,
    ) -> Result<(), MemoryFsError> {
        let path = path.as_ref();
        if let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') {
            with_path(path, self.make_dirs(parent))?;
        }
        with_path(path, self.write_file(path, contents.as_ref()))
    }

    /// Reads a whole file.
    ///
    /// # Errors
    ///
    /// The errno for `path`: [`Errno::Noent`], [`Errno::Isdir`] and others; [`Errno::Nomem`] when
    /// the host has too little memory for the file.
    pub fn read(&self, path: impl AsRef<str>) -> Result<Vec<u8>, MemoryFsError> {
        let path = path.as_ref();
        with_path(path, self.read_file(path))
    }

    /// Lists the names in a directory in the order of their creation.
    ///
    /// # Errors
    ///
    /// The errno for `path`: [`Errno::Noent`], [`Errno::Notdir`] and others.
    pub fn list(&self, path: impl AsRef<str>) -> Result<Vec<String>, MemoryFsError> {
        let path = path.as_ref();
        let names = || {
            let entries = self.dir(path)?.read_dir()?;
            entries.map(|entry| Ok(entry?.name)).collect()
        };
        with_path(path, names())
    }

    /// Creates a directory and its parent directories. Existing directories are left unchanged.
    ///
    /// # Errors
    ///
    /// The errno for `path`, and [`Errno::Nospc`] at the limit.
    pub fn create_dir_all(&self, path: impl AsRef<str>) -> Result<(), MemoryFsError> {
        let path = path.as_ref();
        let made = self.make_dirs(path);
        with_path(path, made.and_then(|()| self.dir(path).map(drop)))
    }

    /// Creates a symbolic link at `path`. The target is relative to the directory of the link.
    ///
    /// # Errors
    ///
    /// The errno for `path`, for example [`Errno::Exist`], and [`Errno::Noent`] for an empty
    /// target.
    pub fn symlink(
        &self,
        target: impl AsRef<str>,
        path: impl AsRef<str>,
    ) -> Result<(), MemoryFsError> {
        let (target, path) = (target.as_ref(), path.as_ref());
        if target.is_empty() {
            return with_path(path, Err(Errno::Noent));
        }
        with_path(
            path,
            self.change(path, |dir, name| dir.symlink(name, target)),
        )
    }

    /// Adds a device, a file whose contents are not in this filesystem, and the directories on the
    /// way to it. [`Devices`](crate::fs::Devices) has devices; any other [`File`] works as well.
    ///
    /// Reads and writes go to `file`. It is listed as a character device, opening it with
    /// truncation does nothing, and its bytes do not count against the limit. Hard links to it are
    /// not counted.
    ///
    /// # Errors
    ///
    /// [`Errno::Exist`] if the path exists, another errno if it cannot be a path of this
    /// filesystem, and [`Errno::Nospc`] at the limit of entries.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::fs::{Devices, Dir, MemoryFs, Node};
    /// use rangewatch_wasi::SystemRandom;
    ///
    /// let files = MemoryFs::new();
    /// if let Node::File(null) = Devices::new(SystemRandom::new()).lookup("null")? {
    ///     files.add_device("dev/null", null)?;
    /// }
    /// assert_eq!(files.list("dev")?, ["null"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_device(
        &self,
        path: impl AsRef<str>,
        file: Arc<dyn File>,
    ) -> Result<(), MemoryFsError> {
        let path = path.as_ref();
        if let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') {
            with_path(path, self.make_dirs(parent))?;
        }
        let added = self.change(path, |dir, name| {
            // Every directory of this filesystem is a `MemoryDir`.
            let dir = dir.as_any().downcast_ref::<MemoryDir>();
            dir.ok_or(Errno::Xdev)?.add_device(name, file)
        });
        with_path(path, added)
    }

    /// Removes a file, a symbolic link, a device, or an empty directory.
    ///
    /// # Errors
    ///
    /// The errno for `path`: [`Errno::Noent`], [`Errno::Notempty`] and others.
    pub fn remove(&self, path: impl AsRef<str>) -> Result<(), MemoryFsError> {
        let path = path.as_ref();
        let removed = self.change(path, |dir, name| match dir.remove_file(name) {
            Err(Errno::Isdir) => dir.remove_dir(name),
            result => result,
        });
        with_path(path, removed)
    }

    /// The attributes of a file or directory; those of the link itself if `path` ends in a symbolic
    /// link.
    ///
    /// # Errors
    ///
    /// The errno for `path`: [`Errno::Noent`] and others.
    pub fn metadata(&self, path: impl AsRef<str>) -> Result<Metadata, MemoryFsError> {
        let path = path.as_ref();
        let metadata = || {
            let root = self.root_dir();
            match Walk::new(&root, path, &Work::default())?.last()? {
                LastComponent::Dir(dir) => dir.metadata(),
                LastComponent::Entry { dir, name, .. } => dir.metadata_at(name),
            }
        };
        with_path(path, metadata())
    }

    fn root_dir(&self) -> Arc<dyn Dir> {
        Arc::clone(&self.root) as Arc<dyn Dir>
    }

    fn open(&self, path: &str, options: OpenOptions) -> Result<Node, Errno> {
        Walk::new(&self.root_dir(), path, &Work::default())?.open(options, SymlinkMode::Follow)
    }

    fn dir(&self, path: &str) -> Result<Arc<dyn Dir>, Errno> {
        let options = OpenOptions {
            read: true,
            directory: true,
            ..OpenOptions::default()
        };
        match self.open(path, options)? {
            Node::Dir(dir) => Ok(dir),
            _ => Err(Errno::Notdir),
        }
    }

    /// Creates the directories of `path` as far as possible. Other errors of the path are returned
    /// when it is used.
    fn make_dirs(&self, path: &str) -> Result<(), Errno> {
        let ends = path.match_indices('/').map(|(at, _)| at);
        for end in ends.chain([path.len()]).filter(|end| *end > 0) {
            match self.change(&path[..end], |dir, name| dir.create_dir(name)) {
                Ok(()) | Err(Errno::Exist) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn write_file(&self, path: &str, mut contents: &[u8]) -> Result<(), Errno> {
        let options = OpenOptions {
            write: true,
            create: Create::IfMissing,
            truncate: true,
            ..OpenOptions::default()
        };
        let file = file(self.open(path, options)?)?;
        while !contents.is_empty() {
            let n_bytes = file.append(contents)?;
            contents = contents.get(n_bytes..).unwrap_or_default();
        }
        Ok(())
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let options = OpenOptions {
            read: true,
            ..OpenOptions::default()
        };
        let file = file(self.open(path, options)?)?;
        let size = usize::try_from(file.metadata()?.size_bytes).map_err(|_| Errno::Fbig)?;
        let mut contents = Vec::new();
        // A guest can create a sparse file that is larger than the memory of its host, if the limit
        // is.
        contents.try_reserve_exact(size).map_err(|_| Errno::Nomem)?;
        contents.resize(size, 0);
        let n_bytes = file.read_at(&mut contents, 0)?;
        contents.truncate(n_bytes);
        Ok(contents)
    }

    /// Applies `change` to the last component of `path`.
    fn change(
        &self,
        path: &str,
        change: impl FnOnce(&dyn Dir, &str) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let root = self.root_dir();
        match Walk::new(&root, path, &Work::default())?.last()? {
            LastComponent::Dir(_) => Err(Errno::Exist),
            LastComponent::Entry { dir, name, .. } => change(&**dir, name),
        }
    }
}

fn file(node: Node) -> Result<Arc<dyn File>, Errno> {
    match node {
        Node::File(file) => Ok(file),
        _ => Err(Errno::Isdir),
    }
}

fn with_path<T>(path: &str, result: Result<T, Errno>) -> Result<T, MemoryFsError> {
    result.map_err(|errno| MemoryFsError {
        path: path.to_owned(),
        errno,
    })
}
