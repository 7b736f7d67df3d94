//! Rights of descriptors.

use crate::Errno;
use crate::fs::FileType;

/// How the rights of descriptors are enforced. The default is [`Compat`](Self::Compat).
///
/// A right allows one function to be called on one descriptor. Each `path_open` requests the rights
/// that the new descriptor inherits from its directory, and guests disagree about the request:
/// libcs request what they need, while programs that only ever ran on hosts without rights request
/// none and expect all.
///
/// Source: WASI preview1 witx, `rights`.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::fs::{Access, MemoryFs};
/// use rangewatch_wasi::{RightsMode, Wasi};
///
/// let ctx = Wasi::builder()
///     .preopen("/data", MemoryFs::new(), Access::ReadWrite)
///     .rights(RightsMode::Strict)
///     .build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RightsMode {
    /// As specified: a descriptor has the rights that were requested. Requesting a right that the
    /// directory does not pass on fails with [`Errno::Notcapable`].
    Strict,
    /// A descriptor has all rights that the directory passes on, except that it reads only if
    /// reading was requested and writes only if writing was. A request for no rights at all counts
    /// as a request for all. Rights that the guest drops are gone.
    #[default]
    Compat,
    /// Like [`Compat`](Self::Compat), but rights cannot be dropped: `fd_fdstat_set_rights` fails
    /// with [`Errno::Notsup`]. Directories then do not report `PATH_FILESTAT_SET_SIZE`, because
    /// guests that see it expect to be able to drop it; truncating works all the same.
    Off,
}

pub(crate) const FD_DATASYNC: u64 = 1 << 0;
pub(crate) const FD_READ: u64 = 1 << 1;
pub(crate) const FD_SEEK: u64 = 1 << 2;
pub(crate) const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
pub(crate) const FD_SYNC: u64 = 1 << 4;
pub(crate) const FD_TELL: u64 = 1 << 5;
pub(crate) const FD_WRITE: u64 = 1 << 6;
pub(crate) const FD_ADVISE: u64 = 1 << 7;
pub(crate) const FD_ALLOCATE: u64 = 1 << 8;
pub(crate) const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
pub(crate) const PATH_CREATE_FILE: u64 = 1 << 10;
pub(crate) const PATH_LINK_SOURCE: u64 = 1 << 11;
pub(crate) const PATH_LINK_TARGET: u64 = 1 << 12;
pub(crate) const PATH_OPEN: u64 = 1 << 13;
pub(crate) const FD_READDIR: u64 = 1 << 14;
pub(crate) const PATH_READLINK: u64 = 1 << 15;
pub(crate) const PATH_RENAME_SOURCE: u64 = 1 << 16;
pub(crate) const PATH_RENAME_TARGET: u64 = 1 << 17;
pub(crate) const PATH_FILESTAT_GET: u64 = 1 << 18;
pub(crate) const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
pub(crate) const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
pub(crate) const FD_FILESTAT_GET: u64 = 1 << 21;
pub(crate) const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
pub(crate) const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
pub(crate) const PATH_SYMLINK: u64 = 1 << 24;
pub(crate) const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
pub(crate) const PATH_UNLINK_FILE: u64 = 1 << 26;
pub(crate) const POLL_FD_READWRITE: u64 = 1 << 27;
pub(crate) const SOCK_SHUTDOWN: u64 = 1 << 28;
pub(crate) const SOCK_ACCEPT: u64 = 1 << 29;

/// Rights that apply to streams of either direction.
pub(crate) const STREAM: u64 = FD_DATASYNC | FD_SYNC | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET;

/// Rights that apply to files.
const FILE: u64 = FD_DATASYNC
    | FD_READ
    | FD_SEEK
    | FD_FDSTAT_SET_FLAGS
    | FD_SYNC
    | FD_TELL
    | FD_WRITE
    | FD_ADVISE
    | FD_ALLOCATE
    | FD_FILESTAT_GET
    | FD_FILESTAT_SET_SIZE
    | FD_FILESTAT_SET_TIMES
    | POLL_FD_READWRITE;

/// Rights that apply to directories.
const DIRECTORY: u64 = FD_DATASYNC
    | FD_FDSTAT_SET_FLAGS
    | FD_SYNC
    | PATH_CREATE_DIRECTORY
    | PATH_CREATE_FILE
    | PATH_LINK_SOURCE
    | PATH_LINK_TARGET
    | PATH_OPEN
    | FD_READDIR
    | PATH_READLINK
    | PATH_RENAME_SOURCE
    | PATH_RENAME_TARGET
    | PATH_FILESTAT_GET
    | PATH_FILESTAT_SET_SIZE
    | PATH_FILESTAT_SET_TIMES
    | FD_FILESTAT_GET
    | FD_FILESTAT_SET_TIMES
    | PATH_SYMLINK
    | PATH_REMOVE_DIRECTORY
    | PATH_UNLINK_FILE;

/// Rights that apply to connected sockets.
const SOCKET: u64 =
    FD_READ | FD_WRITE | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE | SOCK_SHUTDOWN;

/// Rights that apply to listeners. Polling one for a connection requires `FD_READ`.
const LISTENER: u64 =
    FD_READ | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE | SOCK_ACCEPT;

/// Rights that require the file to be open for reading, and for writing.
const READING: u64 = FD_READ | FD_READDIR;
pub(crate) const WRITING: u64 = FD_WRITE | FD_ALLOCATE | FD_FILESTAT_SET_SIZE;

/// The rights of one descriptor: its own, and those that it passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) base: u64,
    pub(crate) inheriting: u64,
}

impl Rights {
    /// The rights of a preopened directory: all that are known in `mode`.
    pub(crate) fn preopened(mode: RightsMode) -> Self {
        Self {
            base: DIRECTORY & mode.known(),
            inheriting: (DIRECTORY | FILE) & mode.known(),
        }
    }

    /// The rights of a connected socket that the host has granted. Nothing can be opened through
    /// it.
    pub(crate) const CONNECTED: Self = Self {
        base: SOCKET,
        inheriting: 0,
    };

    /// The rights of a listener that the host has granted. It passes on those of connected sockets.
    pub(crate) const LISTENING: Self = Self {
        base: LISTENER,
        inheriting: SOCKET,
    };

    /// The rights of a socket that a listener with these rights has accepted.
    pub(crate) fn accepted(self) -> Self {
        Self {
            base: self.inheriting & SOCKET,
            inheriting: 0,
        }
    }

    /// The rights that a guest wants to keep; unknown bits are ignored.
    pub(crate) fn wanted(base: i64, inheriting: i64) -> Self {
        const ALL: u64 = DIRECTORY | FILE | SOCKET | LISTENER;
        Self {
            base: base as u64 & ALL,
            inheriting: inheriting as u64 & ALL,
        }
    }

    /// The rights that a guest requests for a file or directory; bits that apply to neither are
    /// ignored.
    pub(crate) fn requested(base: i64, inheriting: i64) -> Self {
        Self {
            base: base as u64 & (DIRECTORY | FILE),
            inheriting: inheriting as u64 & (DIRECTORY | FILE),
        }
    }

    /// Whether all of `rights` are granted.
    pub(crate) fn include(self, rights: u64) -> bool {
        self.base & rights == rights
    }

    /// Whether a descriptor with these rights needs its file open for reading;
    /// [`writes`](Self::writes) is the same for writing.
    pub(crate) fn reads(self) -> bool {
        self.base & READING != 0
    }

    pub(crate) fn writes(self) -> bool {
        self.base & WRITING != 0
    }

    pub(crate) fn without_writing(self) -> Self {
        Self {
            base: self.base & !WRITING,
            ..self
        }
    }

    /// The rights that apply to an object of this type.
    pub(crate) fn for_type(self, file_type: FileType) -> Self {
        match file_type {
            FileType::Directory => Self {
                base: self.base & DIRECTORY,
                ..self
            },
            _ => Self {
                base: self.base & FILE,
                ..self
            },
        }
    }

    /// Reduces the rights to `wanted`; fails if `wanted` has a right that is not granted.
    pub(crate) fn dropped_to(self, wanted: Self) -> Result<Self, Errno> {
        let more = wanted.base & !self.base | wanted.inheriting & !self.inheriting;
        if more != 0 {
            return Err(Errno::Notcapable);
        }
        Ok(wanted)
    }
}

impl RightsMode {
    /// The rights that exist in this mode.
    pub(crate) fn known(self) -> u64 {
        match self {
            Self::Strict | Self::Compat => DIRECTORY | FILE,
            Self::Off => (DIRECTORY | FILE) & !PATH_FILESTAT_SET_SIZE,
        }
    }

    /// The rights of an object that is opened through a directory that passes on `inheriting`.
    pub(crate) fn grant(self, requested: Rights, inheriting: u64) -> Result<Rights, Errno> {
        if self == Self::Strict {
            let more = (requested.base | requested.inheriting) & !inheriting;
            if more != 0 {
                return Err(Errno::Notcapable);
            }
            return Ok(requested);
        }
        let mut base = inheriting;
        if requested.base != 0 {
            if !requested.reads() {
                base &= !FD_READ;
            }
            // Go requests the right to change the size of every file, also of those it opens for
            // reading: that right alone must not open a file for writing.
            if !requested.include(FD_WRITE) {
                base &= !WRITING | requested.base;
            }
        }
        Ok(Rights { base, inheriting })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_to_set_the_size_does_not_grant_writing() {
        let all = DIRECTORY | FILE;
        for mode in [RightsMode::Strict, RightsMode::Compat, RightsMode::Off] {
            let grant = |base| {
                mode.grant(
                    Rights {
                        base,
                        inheriting: 0,
                    },
                    all,
                )
                .expect("all rights are passed on")
            };
            let read = grant(FD_READ | FD_FILESTAT_SET_SIZE);
            assert!(
                !read.include(FD_WRITE) && !read.include(FD_ALLOCATE),
                "{mode:?}"
            );
            assert!(read.include(FD_FILESTAT_SET_SIZE), "{mode:?}");
            assert!(
                !grant(FD_READ).writes() && grant(FD_WRITE).include(FD_WRITE),
                "{mode:?}"
            );
        }
    }
}
