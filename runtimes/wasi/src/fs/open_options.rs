//! Options for opening a name.

/// Whether [`Dir::open`](super::Dir::open) creates a file. The default is [`Never`](Self::Never).
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Errno;
/// use rangewatch_wasi::fs::{Create, Dir, IntoDir, MemoryFs, OpenOptions};
///
/// let root = MemoryFs::new().into_dir();
/// let mut options = OpenOptions::default();
/// options.write = true;
/// assert_eq!(root.open("new", options).err(), Some(Errno::Noent));
/// options.create = Create::New;
/// assert!(root.open("new", options).is_ok());
/// assert_eq!(root.open("new", options).err(), Some(Errno::Exist));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Create {
    /// Opens an existing file; fails with [`Errno::Noent`](crate::Errno::Noent) if there is none.
    #[default]
    Never,
    /// Opens an existing file, or creates an empty one.
    IfMissing,
    /// Creates an empty file; fails with [`Errno::Exist`](crate::Errno::Exist) if the name exists,
    /// also as a symbolic link.
    New,
}

/// Options of [`Dir::open`](super::Dir::open). The default opens neither for reading nor for
/// writing; [`Create`] has an example.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Create, OpenOptions};
///
/// let mut options = OpenOptions::default();
/// options.read = true;
/// assert!(!options.is_mutating());
/// options.create = Create::IfMissing;
/// assert!(options.is_mutating());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The file will be read.
    pub read: bool,
    /// The file will be written or resized. A directory fails with
    /// [`Errno::Isdir`](crate::Errno::Isdir).
    pub write: bool,
    /// Whether a file is created.
    pub create: Create,
    /// Truncates a regular file. A directory fails with [`Errno::Isdir`](crate::Errno::Isdir).
    pub truncate: bool,
    /// Requires a directory: another file, unless it is a symbolic link, fails with
    /// [`Errno::Notdir`](crate::Errno::Notdir) and is not changed. Never set together with
    /// `create`.
    pub directory: bool,
}

impl OpenOptions {
    /// Whether opening with these options can change anything, immediately or through the file.
    #[must_use]
    pub const fn is_mutating(&self) -> bool {
        self.write || self.truncate || !matches!(self.create, Create::Never)
    }
}
