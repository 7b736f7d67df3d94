//! Attributes of a file.

/// The type of a file, with the numbers of WASI.
///
/// Source: WASI preview1 witx, `filetype`.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Dir, FileType, IntoDir, MemoryFs};
///
/// let root = MemoryFs::with_files([("file", "text")])?.into_dir();
/// assert_eq!(root.metadata()?.file_type, FileType::Directory);
/// assert_eq!(root.metadata_at("file")?.file_type, FileType::RegularFile);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum FileType {
    /// Unknown, or none of the others.
    Unknown = 0,
    /// A block device.
    BlockDevice = 1,
    /// A character device, such as a terminal.
    CharacterDevice = 2,
    /// A directory.
    Directory = 3,
    /// A regular file.
    RegularFile = 4,
    /// A datagram socket.
    SocketDgram = 5,
    /// A stream socket.
    SocketStream = 6,
    /// A symbolic link.
    SymbolicLink = 7,
}

/// The attributes of a file or directory.
///
/// Times are nanoseconds since 1970-01-01T00:00:00Z; times outside of the range saturate.
///
/// Source: WASI preview1 witx, `filestat`.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{FileType, Metadata};
///
/// let mut metadata = Metadata::new(FileType::RegularFile, 7);
/// metadata.size_bytes = 1_000;
/// assert_eq!((metadata.ino, metadata.n_links), (7, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Metadata {
    /// The type of the file.
    pub file_type: FileType,
    /// The device number: identifies the filesystem. Two files are the same if both `dev` and `ino`
    /// are equal.
    pub dev: u64,
    /// The inode number: the same for all hard links of a file, and unchanged by a rename. Never 0:
    /// Go treats a directory entry with inode number 0 as removed.
    pub ino: u64,
    /// The hard link count.
    pub n_links: u64,
    /// The size in bytes; for a symbolic link, the length of its target.
    pub size_bytes: u64,
    /// The time of the last read, if the filesystem tracks it.
    pub accessed_ns: u64,
    /// The time of the last change of the contents.
    pub modified_ns: u64,
    /// The time of the last change of contents or attributes.
    pub changed_ns: u64,
    /// The permission bits of the host, in `0..=0o777`, if the filesystem has any. A guest does not
    /// see them; an `Overlay` copies them.
    pub permissions: Option<u32>,
}

impl Metadata {
    /// The attributes of an empty file with one hard link, whose times are 0.
    #[must_use]
    pub const fn new(file_type: FileType, ino: u64) -> Self {
        Self {
            file_type,
            dev: 0,
            ino,
            n_links: 1,
            size_bytes: 0,
            accessed_ns: 0,
            modified_ns: 0,
            changed_ns: 0,
            permissions: None,
        }
    }
}
