//! Limits on what one call of a guest may cost the host.

/// The maximum number of iovecs per call; more fail with [`Errno::Inval`](crate::Errno::Inval).
///
/// Without this limit, a table that names one byte of memory millions of times makes a single call
/// write for minutes. The number is that of Linux (`UIO_MAXIOV`) and
/// of `IOV_MAX` in wasi-libc.
///
/// Source: POSIX `readv`, `writev`: `EINVAL` when `iovcnt` is greater than `IOV_MAX`.
pub const MAX_IOVECS: u32 = 1024;

/// The maximum number of buffers that one call reads from a file or writes to one. The rest is left
/// for the next call, as WASI allows.
///
/// Without this limit, a thousand buffers of one byte are as many system calls for a file of the
/// host: 8 ms on a disk.
pub(crate) const MAX_FILE_IOVECS: usize = 128;

/// The maximum number of bytes that one call reads or writes. A longer request is done in part, as
/// WASI allows, and guests retry with the rest.
///
/// Without this limit, 1,024 iovecs over the same 4 GiB of memory make one call pass 4 TiB to the
/// host's writer, and a captured stream allocate as much. With it, no call makes this crate
/// allocate more than 1 MiB.
pub const MAX_TRANSFER_BYTES: u32 = 512 << 10;

/// The maximum number of bytes that one call of `random_get` fills; more fail with
/// [`Errno::Inval`](crate::Errno::Inval).
///
/// Without this limit, one call generates 4 GiB, which takes seconds. `random_get` cannot return a
/// part of the bytes, so the limit is far above what programs request.
pub const MAX_RANDOM_BYTES: u32 = 16 << 20;

/// The maximum number of subscriptions of one `poll_oneoff`; more fail with
/// [`Errno::Inval`](crate::Errno::Inval).
///
/// Without this limit, one call makes the host check 89 million subscriptions, and allocate as many
/// events. The number is the usual limit of open descriptors of a process.
pub const MAX_SUBSCRIPTIONS: u32 = 1024;

/// The maximum number of bytes that one `sock_recv` returns with `RECV_PEEK`; a longer request
/// returns a part.
///
/// Without this limit, a guest that peeks at each of its sockets and receives nothing makes its
/// host buffer [`MAX_TRANSFER_BYTES`] for each.
pub const MAX_PEEK_BYTES: u32 = 64 << 10;

/// The maximum size of the arguments, and that of the environment, in bytes, with 16 bytes more for
/// each string. Linux limits both together to 2 MiB, pointers included.
///
/// Without this limit, one call copies what the host gave, at any size.
pub const MAX_STRINGS_BYTES: u32 = 1 << 20;

/// The default for [`WasiBuilder::max_descriptors`](crate::WasiBuilder::max_descriptors): how many
/// descriptors a guest may have open at a time, preopens and streams included. Opening one more
/// fails with [`Errno::Mfile`](crate::Errno::Mfile).
///
/// Without this limit, a guest that opens one directory in a loop uses up the descriptors of the
/// host's process, whose limit is often 1,024. One descriptor of the guest may be two of the host's
/// while a listing is open, and four in an overlay of two host directories. A host that runs
/// several guests chooses a lower number.
pub const DEFAULT_MAX_DESCRIPTORS: u32 = 256;

/// The maximum length of a path in bytes, for a path from the guest and for a symbolic link's
/// target joined with the rest of the path. A longer one fails with
/// [`Errno::Nametoolong`](crate::Errno::Nametoolong). The number is that of Linux (`PATH_MAX`).
///
/// Without this limit, one call walks through as many directories as fit into the guest's memory by
/// name.
pub const MAX_PATH_BYTES: u32 = 4096;

/// The maximum length of a file name in bytes; a longer one fails with
/// [`Errno::Nametoolong`](crate::Errno::Nametoolong). The number is that of Linux (`NAME_MAX`).
///
/// Without this limit, names in a memory filesystem could cost more than the entries that are
/// counted.
pub const MAX_NAME_BYTES: u32 = 255;

/// The maximum depth of one path below its descriptor, in directories; a deeper one fails with
/// [`Errno::Nametoolong`](crate::Errno::Nametoolong). Deeper directories can be reached in several
/// steps.
///
/// Without this limit, one path of `a/a/a/..` holds 2,048 directories of the host open at once.
pub const MAX_PATH_DEPTH: u32 = 256;

/// The maximum number of symbolic links that one path follows; one more fails with
/// [`Errno::Loop`](crate::Errno::Loop). The number is that of Linux.
///
/// Without this limit, a link to itself is followed without end.
pub const MAX_SYMLINKS: u32 = 40;

/// The maximum number of directories that the paths of one call enter, counting each entry; one
/// more fails with [`Errno::Loop`](crate::Errno::Loop). One path without symbolic links enters
/// fewer.
///
/// Without this limit, forty links that each enter and leave a directory of the host eight hundred
/// times hold the host's thread for a tenth of a second.
pub(crate) const MAX_ENTERED: u32 = 1024;

/// The maximum depth at which a directory of a memory filesystem can be renamed, or replaced by a
/// rename; a deeper one fails with [`Errno::Nametoolong`](crate::Errno::Nametoolong).
///
/// Without this limit, a rename below 200,000 nested directories looks at each of them: 70 ms.
pub(crate) const MAX_ANCESTORS: u32 = 1024;

/// After so many units of work, a removal in a memory filesystem frees no further page: those of 4
/// MiB. The others are charged until later calls free them.
///
/// Without this limit, removing a file of 256 MiB holds the host's thread for 100 ms.
pub(crate) const MAX_FREED_UNITS: u64 = 25_600;

/// After so many units of work, an attempt to list a directory ends and the guest yields.
///
/// Without this limit, a guest that lists a directory of 100,000 entries at once, or goes back to
/// its middle, holds the host's thread for 40 ms.
pub(crate) const MAX_LISTING_UNITS: u64 = 90_000;

/// The maximum number of bytes of a listing that one descriptor buffers, for guests that seek back
/// to an earlier cookie.
///
/// Without this limit, a guest that lists one large directory through many descriptors makes its
/// host buffer as many copies.
pub(crate) const MAX_LISTING_BYTES: usize = 256 << 10;

/// How many entries that a listing has passed are remembered by a hash of their names, at 8 bytes
/// each. A guest that goes back beyond them in a larger directory may miss entries, or see them
/// twice, if others were removed meanwhile.
///
/// Without this limit, a guest that lists a large directory makes its host store 8 bytes per entry.
pub(crate) const MAX_LISTING_HASHES: usize = 32 << 10;
