//! What is known about a file.

/// The kind of a file, with the numbers of WASI.
///
/// Source: WASI preview1 witx, `filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum FileType {
    /// Not known, or none of the others.
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
/// Times are nanoseconds since 1970-01-01T00:00:00Z; what lies outside of the range saturates.
///
/// Source: WASI preview1 witx, `filestat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Metadata {
    /// The kind of the file.
    pub file_type: FileType,
    /// The filesystem that the file is in. Two files are the same if both `dev` and `ino` are.
    pub dev: u64,
    /// The number of the file in its filesystem: the same through all its names, and kept when it is renamed. Never 0:
    /// Go takes an entry of a directory without a number for a removed one.
    pub ino: u64,
    /// How many names the file has.
    pub n_links: u64,
    /// The size in bytes; of a symbolic link, the length of its target.
    pub size_bytes: u64,
    /// When the file was last read, if the filesystem cares.
    pub accessed_ns: u64,
    /// When the contents were last changed.
    pub modified_ns: u64,
    /// When the file was last changed in any way.
    pub changed_ns: u64,
}

impl Metadata {
    /// The attributes of an empty file with one name, whose times are all 0.
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
        }
    }
}
