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
