//! What one call of a guest may cost the host.

/// The most iovecs that one call may pass; more are [`Errno::Inval`](crate::Errno::Inval).
///
/// Without it, a table that names one byte of memory millions of times makes a single call write for minutes, outside of
/// the engine's fuel. The number is that of Linux (`UIO_MAXIOV`) and of `IOV_MAX` in wasi-libc.
///
/// Source: POSIX `readv`, `writev`: `EINVAL` when `iovcnt` is greater than `IOV_MAX`.
pub const MAX_IOVECS: u32 = 1024;

/// The most bytes that one call reads or writes; a longer request is done in part, as WASI allows, and guests loop.
///
/// Without it, 1,024 iovecs over the same 4 GiB of memory make one call hand 4 TiB to the host's writer, and a captured
/// stream allocate as much. With it, no call makes this crate allocate more than 1 MiB.
pub const MAX_TRANSFER_BYTES: u32 = 512 << 10;

/// The most bytes that one call of `random_get` fills; more are [`Errno::Inval`](crate::Errno::Inval).
///
/// Without it, one call generates 4 GiB, which holds the host's thread for seconds, outside of the engine's fuel. The
/// function cannot answer with a part, so the limit is far above what programs ask for.
pub const MAX_RANDOM_BYTES: u32 = 16 << 20;

/// The most subscriptions that one `poll_oneoff` may pass; more are [`Errno::Inval`](crate::Errno::Inval).
///
/// Without it, one call makes the host look at 89 million subscriptions, and allocate as many events. The number is that
/// of descriptors that a process usually may have open.
pub const MAX_SUBSCRIPTIONS: u32 = 1024;

/// The most bytes that one `sock_recv` looks at without taking them; a longer request is answered in part.
///
/// Without it, a guest that looks at what each of its sockets has received, and takes none of it, makes its host keep
/// [`MAX_TRANSFER_BYTES`] for each.
pub const MAX_PEEK_BYTES: u32 = 64 << 10;

/// How many descriptors a guest may have open unless the host says otherwise, preopens and streams included; one more is
/// [`Errno::Mfile`](crate::Errno::Mfile).
///
/// Without it, a guest that opens one directory in a loop takes all descriptors of the host's process, of which there often
/// are 1,024. One of the guest's may be two of the host's, where a listing is under way, and four in an overlay of two
/// directories of the host. Who runs several guests has a number to choose.
pub const DEFAULT_MAX_DESCRIPTORS: u32 = 256;

/// The longest path that a guest may pass, or that a symbolic link and what is behind it may make, in bytes; a longer one is
/// [`Errno::Nametoolong`](crate::Errno::Nametoolong). The number is that of Linux (`PATH_MAX`).
///
/// Without it, one call walks through as many directories as the guest's memory has room to name.
pub const MAX_PATH_BYTES: u32 = 4096;

/// The longest name of a file, in bytes; a longer one is [`Errno::Nametoolong`](crate::Errno::Nametoolong). The number is
/// that of Linux (`NAME_MAX`).
///
/// Without it, names in memory could cost more than the entries that are counted.
pub const MAX_NAME_BYTES: u32 = 255;

/// How many directories deep one path may lead below its descriptor; a deeper one is
/// [`Errno::Nametoolong`](crate::Errno::Nametoolong). Directories may be nested deeper and reached in several steps.
///
/// Without it, one path of `a/a/a/..` holds 2,048 directories of the host open at once.
pub const MAX_PATH_DEPTH: u32 = 256;

/// How many symbolic links are followed for one path; one more is [`Errno::Loop`](crate::Errno::Loop). The number is that
/// of Linux.
///
/// Without it, a link to itself is followed for ever.
pub const MAX_SYMLINKS: u32 = 40;

/// How many directories are entered for one path, those included that are left again; one more is
/// [`Errno::Loop`](crate::Errno::Loop). A path without links enters at most half of it.
///
/// Without it, forty links that each go in and out of a directory of the host eight hundred times hold the host's thread
/// for a tenth of a second.
pub(crate) const MAX_ENTERED: u32 = 4096;

/// How many bytes of a listing one descriptor remembers, so that a guest can go back in it.
///
/// Without it, a guest that lists one large directory through many descriptors makes its host keep as many copies.
pub(crate) const MAX_LISTING_BYTES: usize = 256 << 10;
