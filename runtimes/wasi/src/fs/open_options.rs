//! How a name is to be opened.

/// What happens when there is nothing under a name, or something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Create {
    /// Opens what is there; nothing is [`Errno::Noent`](crate::Errno::Noent).
    #[default]
    Never,
    /// Opens what is there, and makes an empty file if nothing is.
    IfMissing,
    /// Makes an empty file; something, a symbolic link included, is [`Errno::Exist`](crate::Errno::Exist).
    New,
}

/// How [`Dir::open`](super::Dir::open) opens a name. The default is for neither reading nor writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The file will be read.
    pub read: bool,
    /// The file will be written or resized. A directory is [`Errno::Isdir`](crate::Errno::Isdir).
    pub write: bool,
    /// Whether a file is made.
    pub create: Create,
    /// A regular file loses its contents. A directory is [`Errno::Isdir`](crate::Errno::Isdir).
    pub truncate: bool,
    /// Anything but a directory or a symbolic link is [`Errno::Notdir`](crate::Errno::Notdir), and is not touched. Never
    /// together with `create`.
    pub directory: bool,
}

impl OpenOptions {
    /// Whether an opening with these options can change anything, now or through the file.
    #[must_use]
    pub const fn is_mutating(&self) -> bool {
        self.write || self.truncate || !matches!(self.create, Create::Never)
    }
}
