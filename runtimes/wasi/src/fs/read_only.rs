//! A read-only view of a filesystem.

use std::fmt;
use std::sync::Arc;

use super::{Create, Dir, File, IntoDir, Metadata, Node, OpenOptions, ReadDir, SetTimes};
use crate::Errno;

/// The access that a guest gets to a preopened directory.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs};
///
/// let files = MemoryFs::with_files([("app.toml", "verbose = true\n")])?;
/// let ctx = Wasi::builder().preopen("/etc", files, Access::ReadOnly).build()?;
/// # drop(ctx);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// The guest can read everything and change nothing; see [`ReadOnly`].
    ReadOnly,
    /// The guest can use every operation of the filesystem.
    ReadWrite,
}

/// A read-only view of a directory and everything below it.
///
/// Operations that change something fail with [`Errno::Rofs`], including opening with truncation,
/// and including a hard link from here into a directory where the file could be written. The
/// underlying filesystem may change.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Errno;
/// use rangewatch_wasi::fs::{Dir, MemoryFs, ReadOnly};
///
/// let dir = ReadOnly::new(MemoryFs::with_files([("file", "text")])?);
/// assert!(dir.lookup("file").is_ok());
/// assert_eq!(dir.remove_file("file"), Err(Errno::Rofs));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReadOnly {
    inner: Arc<dyn Dir>,
}

impl ReadOnly {
    /// Makes a read-only view of `dir`.
    #[must_use]
    pub fn new(dir: impl IntoDir) -> Self {
        Self {
            inner: dir.into_dir(),
        }
    }
}

impl Dir for ReadOnly {
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.inner.metadata()
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        self.inner.lookup(name).map(read_only)
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        self.inner.read_dir()
    }

    fn lookup_dir(&self, name: &str) -> Result<Node, Errno> {
        self.inner.lookup_dir(name).map(read_only)
    }

    fn descend(&self, names: &str) -> Result<Option<Arc<dyn Dir>>, Errno> {
        let dir = self.inner.descend(names)?;
        Ok(dir.map(|inner| Arc::new(Self { inner }) as Arc<dyn Dir>))
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        if !options.is_mutating() {
            return self.inner.open(name, options).map(read_only);
        }
        // The existing file decides which errno is correct, and whether the context has to follow a
        // symbolic link.
        match self.inner.metadata_at(name) {
            Ok(_) if options.create == Create::New => Err(Errno::Exist),
            Ok(_) => match self.inner.lookup(name)? {
                link @ Node::Symlink(_) => Ok(link),
                Node::Dir(_) => Err(Errno::Isdir),
                Node::File(_) if options.directory => Err(Errno::Notdir),
                Node::File(_) if options.write || options.truncate => Err(Errno::Rofs),
                file @ Node::File(_) => Ok(read_only(file)),
            },
            Err(Errno::Noent) if options.create != Create::Never => Err(Errno::Rofs),
            Err(errno) => Err(errno),
        }
    }

    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        self.inner.metadata_at(name)
    }

    fn read_link(&self, name: &str) -> Result<String, Errno> {
        self.inner.read_link(name)
    }

    fn create_dir(&self, name: &str) -> Result<(), Errno> {
        self.refuse_new(name)
    }

    fn symlink(&self, name: &str, _target: &str) -> Result<(), Errno> {
        self.refuse_new(name)
    }

    fn link(&self, _name: &str, _to: &dyn Dir, _to_name: &str) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn rename(&self, _name: &str, _to: &dyn Dir, _to_name: &str) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn remove_file(&self, _name: &str) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn remove_dir(&self, _name: &str) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn set_times(&self, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn set_permissions(&self, _bits: u32) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn set_times_at(&self, _name: &str, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.inner.sync()
    }
}

impl ReadOnly {
    /// An existing name fails with `EEXIST`, as on a read-only filesystem of Linux. `mkdir -p`
    /// depends on it.
    fn refuse_new(&self, name: &str) -> Result<(), Errno> {
        match self.inner.metadata_at(name) {
            Ok(_) => Err(Errno::Exist),
            Err(_) => Err(Errno::Rofs),
        }
    }
}

impl fmt::Debug for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnly").finish_non_exhaustive()
    }
}

fn read_only(node: Node) -> Node {
    match node {
        Node::Dir(inner) => Node::Dir(Arc::new(ReadOnly { inner })),
        Node::File(inner) => Node::File(Arc::new(ReadOnlyFile { inner })),
        link @ Node::Symlink(_) => link,
    }
}

struct ReadOnlyFile {
    inner: Arc<dyn File>,
}

impl File for ReadOnlyFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.inner.metadata()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, _buf: &[u8], _offset: u64) -> Result<usize, Errno> {
        Err(Errno::Rofs)
    }

    fn append(&self, _buf: &[u8]) -> Result<usize, Errno> {
        Err(Errno::Rofs)
    }

    fn set_size(&self, _size_bytes: u64) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn allocate(&self, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn set_times(&self, _times: SetTimes) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn set_permissions(&self, _bits: u32) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.inner.sync()
    }

    fn sync_data(&self) -> Result<(), Errno> {
        self.inner.sync_data()
    }
}
