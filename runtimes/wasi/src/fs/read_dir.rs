//! The entries of a directory.

use super::FileType;
use crate::Errno;

/// The result of [`Dir::read_dir`](super::Dir::read_dir): the entries of one directory without `.`
/// and `..`.
///
/// The context takes entries as the guest reads them. An entry that is created or removed meanwhile
/// may or may not be returned; every other entry must be returned exactly once.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Dir, IntoDir, MemoryFs};
///
/// let root = MemoryFs::new().into_dir();
/// root.create_dir("a")?;
/// root.create_dir("b")?;
/// let mut names = Vec::new();
/// for entry in root.read_dir()? {
///     names.push(entry?.name);
/// }
/// assert_eq!(names, ["a", "b"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type ReadDir = Box<dyn Iterator<Item = Result<DirEntry, Errno>> + Send>;

/// One entry of a directory.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{DirEntry, FileType};
///
/// let entry = DirEntry::new("motd", FileType::RegularFile, 12);
/// assert_eq!((entry.name.as_str(), entry.ino), ("motd", 12));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DirEntry {
    /// The name, as [`Dir::lookup`](super::Dir::lookup) accepts it.
    pub name: String,
    /// The type of the file; for a symbolic link, the type of the link itself.
    pub file_type: FileType,
    /// The inode number; see [`Metadata::ino`](super::Metadata::ino).
    pub ino: u64,
}

impl DirEntry {
    /// Makes an entry.
    #[must_use]
    pub fn new(name: impl Into<String>, file_type: FileType, ino: u64) -> Self {
        Self {
            name: name.into(),
            file_type,
            ino,
        }
    }
}
