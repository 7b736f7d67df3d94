//! Descriptors as such: what they are, how they behave, when they end.

use crate::descriptor::fdflags;
use crate::{Errno, Wasi, memory};

/// Source: WASI preview1 witx, `fdstat` and `filestat`: 24 and 64 bytes.
const FDSTAT_BYTES: u32 = 24;
const FILESTAT_BYTES: u32 = 64;

/// Closes `fd`. Output is flushed first.
///
/// Source: WASI preview1 witx, `fd_close`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - Whatever the host's writer fails to flush with; the descriptor is closed all the same, as POSIX `close` does.
pub fn fd_close(ctx: &mut Wasi, _memory: &mut [u8], fd: i32) -> Result<(), Errno> {
    Ok(ctx.descriptors.close(fd)?.flush()?)
}

/// Flushes an output stream; for an input stream there is nothing to do.
///
/// Source: WASI preview1 witx, `fd_datasync`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - Whatever the host's writer fails with.
pub fn fd_datasync(ctx: &mut Wasi, _memory: &mut [u8], fd: i32) -> Result<(), Errno> {
    Ok(ctx.descriptors.open(fd)?.flush()?)
}

/// Flushes an output stream; for an input stream there is nothing to do.
///
/// Source: WASI preview1 witx, `fd_sync`.
///
/// # Errors
///
/// As [`fd_datasync`].
pub fn fd_sync(ctx: &mut Wasi, memory: &mut [u8], fd: i32) -> Result<(), Errno> {
    fd_datasync(ctx, memory, fd)
}

/// Writes the attributes of `fd`: its type, its flags and its rights.
///
/// The type of a standard stream is `CHARACTER_DEVICE` when it is an inherited terminal, from which a libc concludes
/// `isatty`, and `UNKNOWN` otherwise. The rights are what works: reading or writing, `fd_sync`, `fd_datasync`,
/// `fd_fdstat_set_flags` and `fd_filestat_get`. Nothing is inherited, as nothing can be opened through a stream.
///
/// Source: WASI preview1 witx, `fd_fdstat_get`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Fault`]: the result does not lie in memory; nothing is written.
pub fn fd_fdstat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    stat_out: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.open(fd)?;
    let stat = memory::slice_mut(memory, stat_out as u32, FDSTAT_BYTES)?;
    stat.fill(0);
    stat[0] = descriptor.file_type() as u8;
    stat[2..4].copy_from_slice(&descriptor.flags.to_le_bytes());
    stat[8..16].copy_from_slice(&descriptor.rights().to_le_bytes());
    Ok(())
}

/// Sets the flags of `fd`: any of `APPEND` and `NONBLOCK`.
///
/// They are kept and shown by [`fd_fdstat_get`]. A standard stream appends with or without the flag; for `NONBLOCK`, see
/// [`fd_read`](super::fd_read).
///
/// Source: WASI preview1 witx, `fd_fdstat_set_flags`.
///
/// # Errors
///
/// The flags are as before then.
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: a flag that WASI does not know.
/// - [`Errno::Notsup`]: `DSYNC`, `RSYNC` or `SYNC`.
pub fn fd_fdstat_set_flags(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    flags: i32,
) -> Result<(), Errno> {
    const SWITCHABLE: u16 = fdflags::APPEND | fdflags::NONBLOCK;
    const KNOWN: u16 = SWITCHABLE | fdflags::DSYNC | fdflags::RSYNC | fdflags::SYNC;
    let descriptor = ctx.descriptors.open(fd)?;
    let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
    if flags & !KNOWN != 0 {
        return Err(Errno::Inval);
    }
    if flags & !SWITCHABLE != 0 {
        return Err(Errno::Notsup);
    }
    descriptor.flags = flags;
    Ok(())
}

/// Not supported on streams.
///
/// Source: WASI preview1 witx, `fd_fdstat_set_rights`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsup`]: it is open.
pub fn fd_fdstat_set_rights(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _rights_base: i64,
    _rights_inheriting: i64,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notsup)
}

/// Writes the attributes of the file behind `fd`. For a stream, all but the type are 0.
///
/// Source: WASI preview1 witx, `fd_filestat_get`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Fault`]: the result does not lie in memory; nothing is written.
pub fn fd_filestat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    stat_out: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.open(fd)?;
    let stat = memory::slice_mut(memory, stat_out as u32, FILESTAT_BYTES)?;
    stat.fill(0);
    stat[16] = descriptor.file_type() as u8;
    Ok(())
}

/// Moves `fd` to the number `to`, which is closed first. Nothing happens when they are the same.
///
/// Source: WASI preview1 witx, `fd_renumber`.
///
/// # Errors
///
/// [`Errno::Badf`]: one of the two is not open; nothing has changed. What the closed stream fails to flush with is lost,
/// as in POSIX `dup2`.
pub fn fd_renumber(ctx: &mut Wasi, _memory: &mut [u8], fd: i32, to: i32) -> Result<(), Errno> {
    if let Some(mut closed) = ctx.descriptors.renumber(fd, to)? {
        let _ = closed.flush();
    }
    Ok(())
}

/// No descriptor is a preopened directory, so that the loop with which a libc collects them ends at its first call.
///
/// Source: WASI preview1 witx, `fd_prestat_get`.
///
/// # Errors
///
/// [`Errno::Badf`], always.
pub fn fd_prestat_get(
    _ctx: &mut Wasi,
    _memory: &mut [u8],
    _fd: i32,
    _prestat_out: i32,
) -> Result<(), Errno> {
    Err(Errno::Badf)
}

/// No descriptor is a preopened directory.
///
/// Source: WASI preview1 witx, `fd_prestat_dir_name`.
///
/// # Errors
///
/// [`Errno::Badf`], always.
pub fn fd_prestat_dir_name(
    _ctx: &mut Wasi,
    _memory: &mut [u8],
    _fd: i32,
    _path: i32,
    _path_len: i32,
) -> Result<(), Errno> {
    Err(Errno::Badf)
}
