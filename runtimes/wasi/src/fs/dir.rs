//! What a directory can do.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Create, File, FileType, Metadata, OpenOptions, ReadDir, SetTimes};
use crate::Errno;

/// An open directory, and everything that can be done to the names in it.
///
/// The [module](super) says what names are. A directory is held for as long as a guest has it open or a path is being
/// walked through it; it stays usable when it is renamed, and is empty for ever once it is removed.
///
/// The first three methods make a filesystem that can be read. The others have defaults: those that change something
/// answer [`Errno::Notsup`].
pub trait Dir: AsAny + Send + Sync + 'static {
    /// The attributes of this directory.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn metadata(&self) -> Result<Metadata, Errno>;

    /// What `name` stands for, ready to be read.
    ///
    /// # Errors
    ///
    /// [`Errno::Noent`] when there is no such name, and whatever else the filesystem fails with.
    fn lookup(&self, name: &str) -> Result<Node, Errno>;

    /// All entries, in any order, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn read_dir(&self) -> Result<ReadDir, Errno>;

    /// As [`lookup`](Self::lookup), when only a directory or a symbolic link is of use: anything else may be refused with
    /// [`Errno::Notdir`].
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    fn lookup_dir(&self, name: &str) -> Result<Node, Errno> {
        self.lookup(name)
    }

    /// The directory to which `names` lead, which are several names joined by `/`: what [`lookup_dir`](Self::lookup_dir) finds
    /// for one after the other, if all of them are directories.
    ///
    /// A filesystem that can do so in one step is faster for it; the default cannot.
    ///
    /// # Errors
    ///
    /// What [`lookup_dir`](Self::lookup_dir) says of the first name that is not there or no directory. For a symbolic link,
    /// and whatever else is in the way, the answer is `None`, and the context goes step by step.
    fn descend(&self, _names: &str) -> Result<Option<Arc<dyn Dir>>, Errno> {
        Ok(None)
    }

    /// Opens `name` as `options` say. A symbolic link is answered, not followed, and not touched.
    ///
    /// The default opens what is there for reading.
    ///
    /// # Errors
    ///
    /// Those that [`OpenOptions`] names, and whatever else the filesystem fails with.
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

    /// The attributes of what `name` stands for; of the link itself for a symbolic link.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
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

    /// The target of the symbolic link `name`, as it was given.
    ///
    /// # Errors
    ///
    /// [`Errno::Inval`] when `name` is something else, and as [`lookup`](Self::lookup).
    fn read_link(&self, name: &str) -> Result<String, Errno> {
        match self.lookup(name)? {
            Node::Symlink(target) => Ok(target),
            Node::Dir(_) | Node::File(_) => Err(Errno::Inval),
        }
    }

    /// Makes an empty directory.
    ///
    /// # Errors
    ///
    /// [`Errno::Exist`] when there is such a name, and whatever else the filesystem fails with.
    fn create_dir(&self, _name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Makes a symbolic link with the target `target`, which is relative and not empty, and otherwise anything.
    ///
    /// # Errors
    ///
    /// As [`create_dir`](Self::create_dir).
    fn symlink(&self, _name: &str, _target: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Gives what `name` stands for, a symbolic link included, a second name `to_name` in the directory `to`.
    ///
    /// # Errors
    ///
    /// [`Errno::Xdev`] when `to` is not of this filesystem ([`AsAny`] tells), [`Errno::Perm`] for a directory,
    /// [`Errno::Exist`] when there is such a name, and whatever else the filesystem fails with.
    fn link(&self, _name: &str, _to: &dyn Dir, _to_name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Moves `name` to the name `to_name` in the directory `to`, over what is there.
    ///
    /// # Errors
    ///
    /// [`Errno::Xdev`] when `to` is not of this filesystem ([`AsAny`] tells), those of POSIX `rename`, and whatever else
    /// the filesystem fails with. Nothing has changed then.
    fn rename(&self, _name: &str, _to: &dyn Dir, _to_name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Removes a name that is not a directory's.
    ///
    /// # Errors
    ///
    /// [`Errno::Isdir`] for a directory, and whatever else the filesystem fails with.
    fn remove_file(&self, _name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// [`Errno::Notdir`] for anything else, [`Errno::Notempty`], and whatever else the filesystem fails with.
    fn remove_dir(&self, _name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Changes the times of this directory.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn set_times(&self, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Changes the times of what `name` stands for; of the link itself for a symbolic link.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    fn set_times_at(&self, _name: &str, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Waits until the names in this directory are stored durably. There is nothing to do unless overridden.
    ///
    /// # Errors
    ///
    /// Whatever the filesystem fails with.
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// What a name stands for.
#[derive(Clone)]
#[non_exhaustive]
pub enum Node {
    /// A directory.
    Dir(Arc<dyn Dir>),
    /// A regular file or a device.
    File(Arc<dyn File>),
    /// A symbolic link with this target. The context follows it.
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

/// A directory as its own type, with which [`Dir::rename`] and [`Dir::link`] recognize directories of their filesystem.
///
/// Everything implements it; there is nothing to write. Mind to call it on a `&dyn Dir`, not on an `Arc` or `Box`.
pub trait AsAny: Any {
    /// `self`, to be downcast.
    fn as_any(&self) -> &dyn Any;
}

impl<T: Any> AsAny for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What [`WasiBuilder::preopen`](crate::WasiBuilder::preopen) takes: a directory, shared or not, or a filesystem with one
/// at its root.
pub trait IntoDir {
    /// The directory.
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
