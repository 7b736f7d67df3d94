//! What a guest may do with a descriptor.

use crate::Errno;
use crate::fs::FileType;

/// How the rights of descriptors are treated. The default is [`Compat`](Self::Compat).
///
/// A right says whether one function may be called on one descriptor. Those that a directory is to hand down are
/// requested by each `path_open`, and guests disagree about what that means: libcs ask for what they need, while programs
/// that were only ever run on hosts without rights ask for nothing and expect everything.
///
/// Source: WASI preview1 witx, `rights`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RightsMode {
    /// As specified: a descriptor has what was requested, and requesting more than the directory hands down is
    /// [`Errno::Notcapable`].
    Strict,
    /// A descriptor has all that the directory hands down, but reads only if reading was requested and writes only if
    /// writing was; a request for nothing at all is one for everything. Rights that the guest drops are gone.
    #[default]
    Compat,
    /// As [`Compat`](Self::Compat), and rights cannot be dropped: `fd_fdstat_set_rights` is [`Errno::Notsup`]. Directories do
    /// not show `PATH_FILESTAT_SET_SIZE` then, which stands for truncating all the same: guests that see it expect to be
    /// able to drop it.
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

/// What works on streams of either direction.
pub(crate) const STREAM: u64 = FD_DATASYNC | FD_SYNC | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET;

/// What works on files.
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

/// What works on directories.
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

/// What works on connected sockets.
const SOCKET: u64 =
    FD_READ | FD_WRITE | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE | SOCK_SHUTDOWN;

/// What works on sockets that accept connections. To be polled for one, a listener has to have `FD_READ`.
const LISTENER: u64 =
    FD_READ | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE | SOCK_ACCEPT;

/// What only a descriptor that is open for reading, or for writing, has any use for.
const READING: u64 = FD_READ | FD_READDIR;
pub(crate) const WRITING: u64 = FD_WRITE | FD_ALLOCATE | FD_FILESTAT_SET_SIZE;

/// The rights of one descriptor: its own, and those that it hands down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) base: u64,
    pub(crate) inheriting: u64,
}

impl Rights {
    /// Those of a preopened directory, which is all.
    pub(crate) fn preopened(mode: RightsMode) -> Self {
        Self {
            base: DIRECTORY & mode.known(),
            inheriting: (DIRECTORY | FILE) & mode.known(),
        }
    }

    /// Those of a connected socket that the host has opened. Nothing can be opened through it.
    pub(crate) const CONNECTED: Self = Self {
        base: SOCKET,
        inheriting: 0,
    };

    /// Those of a listener that the host has opened, which hands down what works on connected sockets.
    pub(crate) const LISTENING: Self = Self {
        base: LISTENER,
        inheriting: SOCKET,
    };

    /// Those of a socket that was accepted by a listener with these.
    pub(crate) fn accepted(self) -> Self {
        Self {
            base: self.inheriting & SOCKET,
            inheriting: 0,
        }
    }

    /// What a guest wants to be left with; bits that WASI does not know mean nothing.
    pub(crate) fn wanted(base: i64, inheriting: i64) -> Self {
        const ALL: u64 = DIRECTORY | FILE | SOCKET | LISTENER;
        Self {
            base: base as u64 & ALL,
            inheriting: inheriting as u64 & ALL,
        }
    }

    /// What a guest asks for of a file or directory; bits that mean nothing there are left out.
    pub(crate) fn requested(base: i64, inheriting: i64) -> Self {
        Self {
            base: base as u64 & (DIRECTORY | FILE),
            inheriting: inheriting as u64 & (DIRECTORY | FILE),
        }
    }

    /// Whether the rights include all of `rights`.
    pub(crate) fn include(self, rights: u64) -> bool {
        self.base & rights == rights
    }

    /// Whether a descriptor with these rights needs its file open for reading, and for writing.
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

    /// What is left of the rights on something of this type.
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

    /// These rights, if `wanted` takes some of them away; a right that was not there cannot be had.
    pub(crate) fn dropped_to(self, wanted: Self) -> Result<Self, Errno> {
        let more = wanted.base & !self.base | wanted.inheriting & !self.inheriting;
        if more != 0 {
            return Err(Errno::Notcapable);
        }
        Ok(wanted)
    }
}

impl RightsMode {
    /// The rights that there are.
    pub(crate) fn known(self) -> u64 {
        match self {
            Self::Strict | Self::Compat => DIRECTORY | FILE,
            Self::Off => (DIRECTORY | FILE) & !PATH_FILESTAT_SET_SIZE,
        }
    }

    /// The rights of what is opened through a directory that hands down `inheriting`.
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
            // Go requests to change the size of all that it opens, also of what it opens for reading: that alone must not
            // make a file one that can be written.
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
    fn a_request_to_change_sizes_is_none_to_write() {
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
                .expect("all is handed down")
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
