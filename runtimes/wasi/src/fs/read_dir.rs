//! The entries of a directory.

use super::FileType;
use crate::Errno;

/// The entries of one directory, as [`Dir::read_dir`](super::Dir::read_dir) answers them: without `.` and `..`.
///
/// The context takes entries as the guest asks for them. Entries that are made or removed meanwhile may or may not be
/// there; all others must come exactly once.
pub type ReadDir = Box<dyn Iterator<Item = Result<DirEntry, Errno>> + Send>;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DirEntry {
    /// The name, which is what [`Dir::lookup`](super::Dir::lookup) finds it by.
    pub name: String,
    /// The kind of what the name stands for; that of the link itself for a symbolic link.
    pub file_type: FileType,
    /// As in [`Metadata::ino`](super::Metadata::ino).
    pub ino: u64,
}

impl DirEntry {
    /// An entry.
    #[must_use]
    pub fn new(name: impl Into<String>, file_type: FileType, ino: u64) -> Self {
        Self {
            name: name.into(),
            file_type,
            ino,
        }
    }
}
