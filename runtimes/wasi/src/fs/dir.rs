//! The trait of an open directory.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Create, File, FileType, Metadata, OpenOptions, ReadDir, SetTimes};
use crate::Errno;

/// An open directory of a filesystem, with the operations on its entries.
///
/// The [module](super) defines which names are passed, and has an example. A directory is held
/// while a guest has it open or a path is walked through it. It stays usable when it is renamed,
/// and stays empty once it is removed.
///
/// The three required methods make a readable filesystem. The other methods have defaults; of
/// these, methods that change something fail with [`Errno::Notsup`].
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Errno;
/// use rangewatch_wasi::fs::{Dir, FileType, Metadata, Node, ReadDir};
///
/// /// A directory without entries.
/// struct Empty;
///
/// impl Dir for Empty {
///     fn metadata(&self) -> Result<Metadata, Errno> {
///         Ok(Metadata::new(FileType::Directory, 1))
///     }
///     fn lookup(&self, _name: &str) -> Result<Node, Errno> {
///         Err(Errno::Noent)
///     }
///     fn read_dir(&self) -> Result<ReadDir, Errno> {
///         Ok(Box::new(std::iter::empty()))
///     }
/// }
///
/// assert_eq!(Empty.create_dir("new"), Err(Errno::Notsup));
/// ```
pub trait Dir: AsAny + Send + Sync + 'static {
    /// The attributes of this directory.
    ///
    /// # Errors
    ///
    /// Any error of the filesystem.
    fn metadata(&self) -> Result<Metadata, Errno>;

    /// Looks up `name`, for reading.
    ///
    /// # Errors
    ///
    /// [`Errno::Noent`] when the name does not exist, and other errors of the filesystem.
    fn lookup(&self, name: &str) -> Result<Node, Errno>;

    /// Lists all entries in any order, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// Any error of the filesystem.
    fn read_dir(&self) -> Result<ReadDir, Errno>;

    /// Like [`lookup`](Self::lookup), when only a directory or a symbolic link is useful: may fail
    /// with [`Errno::Notdir`] for any other file.
    ///
    /// # Errors
    ///
    /// The errors of [`lookup`](Self::lookup).
    fn lookup_dir(&self, name: &str) -> Result<Node, Errno> {
        self.lookup(name)
    }

    /// Looks up several names joined by `/`, as [`lookup_dir`](Self::lookup_dir) would one after
    /// the other, if all of them are directories.
    ///
    /// An override opens several path components in one system call. The default returns `None`:
    /// the context then calls `lookup_dir` for each name.
    ///
    /// # Errors
    ///
    /// The error of [`lookup_dir`](Self::lookup_dir) for the first name that does not exist or is
    /// no directory. Returns `None` for a symbolic link or any other obstacle: the context then
    /// walks name by name.
    fn descend(&self, _names: &str) -> Result<Option<Arc<dyn Dir>>, Errno> {
        Ok(None)
    }

    /// Opens `name` with `options`. A symbolic link is returned, and neither followed nor changed.
    ///
    /// The default opens existing files for reading.
    ///
    /// # Errors
    ///
    /// The errors that [`OpenOptions`] documents, and other errors of the filesystem.
    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        let node = match self.lookup(name) {
            Err(Errno::Noent) if options.create != Create::Never => return Err(Errno::Notsup),
            node => node?,
        };
        match &node {
            _ if options.create == Create::New => Err(Errno::Exist),
            Node::Symlink(_) => Ok(node),
            Node::File(_) if options.directory => Err(Errno::Notdir),
            Node::Dir(_) if options.is_mutating() => Err(Errno::Isdir),
            Node::File(_) if options.write || options.truncate => Err(Errno::Notsup),
            Node::File(_) | Node::Dir(_) => Ok(node),
        }
    }

    /// The attributes of `name`; those of the link itself for a symbolic link.
    ///
    /// # Errors
    ///
    /// The errors of [`lookup`](Self::lookup).
    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        match self.lookup(name)? {
            Node::Dir(dir) => dir.metadata(),
            Node::File(file) => file.metadata(),
            Node::Symlink(target) => {
                let mut metadata = Metadata::new(FileType::SymbolicLink, 1);
                metadata.size_bytes = target.len() as u64;
                Ok(metadata)
            }
        }
    }

    /// The target of the symbolic link `name`, unchanged.
    ///
    /// # Errors
    ///
    /// [`Errno::Inval`] when `name` is no symbolic link, and the errors of
    /// [`lookup`](Self::lookup).
    fn read_link(&self, name: &str) -> Result<String, Errno> {
        match self.lookup(name)? {
            Node::Symlink(target) => Ok(target),
            Node::Dir(_) | Node::File(_) => Err(Errno::Inval),
        }
    }

    /// Creates an empty directory.
    ///
    /// # Errors
    ///
    /// [`Errno::Exist`] when the name exists, and other errors of the filesystem.
    fn create_dir(&self, _name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Creates a symbolic link with the target `target`, which is relative and not empty.
    ///
    /// # Errors
    ///
    /// The errors of [`create_dir`](Self::create_dir).
    fn symlink(&self, _name: &str, _target: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Creates a hard link `to_name` in the directory `to` to `name`. A symbolic link is linked
    /// itself.
    ///
    /// # Errors
    ///
    /// [`Errno::Xdev`] when `to` belongs to another filesystem (check with [`AsAny`]),
    /// [`Errno::Perm`] for a directory, [`Errno::Exist`] when the name exists, and other errors of
    /// the filesystem.
    fn link(&self, _name: &str, _to: &dyn Dir, _to_name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Renames `name` to `to_name` in the directory `to`, and replaces `to_name` if it exists.
    ///
    /// # Errors
    ///
    /// [`Errno::Xdev`] when `to` belongs to another filesystem (check with [`AsAny`]), the errors
    /// of POSIX `rename`, and other errors of the filesystem. On error nothing has changed.
    fn rename(&self, _name: &str, _to: &dyn Dir, _to_name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Removes a name that is not a directory.
    ///
    /// # Errors
    ///
    /// [`Errno::Isdir`] for a directory, and other errors of the filesystem.
    fn remove_file(&self, _name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// [`Errno::Notdir`] when `name` is no directory, [`Errno::Notempty`], and other errors of the
    /// filesystem.
    fn remove_dir(&self, _name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Sets the times of this directory.
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

    /// Sets the times of `name`; those of the link itself for a symbolic link.
    ///
    /// # Errors
    ///
    /// The errors of [`lookup`](Self::lookup).
    fn set_times_at(&self, _name: &str, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Waits until the entries of this directory are stored durably. The default has no effect.
    ///
    /// # Errors
    ///
    /// Any error of the filesystem.
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// The result of looking up a name.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Dir, IntoDir, MemoryFs, Node};
///
/// let root = MemoryFs::with_files([("etc/motd", "hello\n")])?.into_dir();
/// let Node::Dir(etc) = root.lookup("etc")? else { panic!("a directory") };
/// let Node::File(motd) = etc.lookup("motd")? else { panic!("a file") };
/// assert_eq!(motd.metadata()?.size_bytes, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Node {
    /// A directory.
    Dir(Arc<dyn Dir>),
    /// A regular file or a device.
    File(Arc<dyn File>),
    /// A symbolic link with this target. The context resolves it.
    Symlink(String),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(_) => f.write_str("Node::Dir"),
            Self::File(_) => f.write_str("Node::File"),
            Self::Symlink(target) => f.debug_tuple("Node::Symlink").field(target).finish(),
        }
    }
}

/// Access to the concrete type of a directory: [`Dir::rename`] and [`Dir::link`] use it to
/// recognize directories of their own filesystem.
///
/// Every type implements it. Call it on a `&dyn Dir`: on an `Arc` or `Box` it returns the pointer's
/// type.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{AsAny, Dir, Mounts};
///
/// let dir: &dyn Dir = &Mounts::new();
/// assert!(dir.as_any().is::<Mounts>());
/// ```
pub trait AsAny: Any {
    /// `self`, for downcasting.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Any> AsAny for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Types that [`WasiBuilder::preopen`](crate::WasiBuilder::preopen) accepts: a directory, a shared
/// directory, or a filesystem, of which it uses the root.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, Dir, IntoDir, MemoryFs};
///
/// let shared: Arc<dyn Dir> = MemoryFs::new().into_dir();
/// let one = Wasi::builder().preopen("/tmp", shared.clone(), Access::ReadWrite).build()?;
/// let other = Wasi::builder().preopen("/tmp", shared, Access::ReadOnly).build()?;
/// # drop((one, other));
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub trait IntoDir {
    /// Converts to a shared directory.
    fn into_dir(self) -> Arc<dyn Dir>;
}

impl<D: Dir> IntoDir for D {
    fn into_dir(self) -> Arc<dyn Dir> {
        Arc::new(self)
    }
}

impl IntoDir for Arc<dyn Dir> {
    fn into_dir(self) -> Arc<dyn Dir> {
        self
    }
}
