//! Descriptors as such: what they are, how they behave, when they end.

use super::filestat;
use crate::descriptor::rights::{self, Rights};
use crate::descriptor::{Object, fdflags};
use crate::fs::{File, Metadata};
use crate::{Errno, RightsMode, Wasi, memory};

/// Source: WASI preview1 witx, `fdstat`: 24 bytes.
const FDSTAT_BYTES: u32 = 24;

/// Closes `fd`. Output is flushed first; a socket is shut down in both directions.
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

/// Waits until the contents of a file are stored; flushes an output stream; for an input stream there is nothing to do.
///
/// Source: WASI preview1 witx, `fd_datasync`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: the descriptor is a socket.
/// - [`Errno::Notcapable`]: the right `FD_DATASYNC` is missing.
/// - Whatever the filesystem or the host's writer fails with.
pub fn fd_datasync(ctx: &mut Wasi, _memory: &mut [u8], fd: i32) -> Result<(), Errno> {
    sync(ctx, fd, rights::FD_DATASYNC, |file| file.sync_data())
}

/// Waits until the contents and attributes of a file are stored; flushes an output stream; for an input stream there is
/// nothing to do.
///
/// Source: WASI preview1 witx, `fd_sync`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: the descriptor is a socket.
/// - [`Errno::Notcapable`]: the right `FD_SYNC` is missing.
/// - Whatever the filesystem or the host's writer fails with.
pub fn fd_sync(ctx: &mut Wasi, _memory: &mut [u8], fd: i32) -> Result<(), Errno> {
    sync(ctx, fd, rights::FD_SYNC, |file| file.sync())
}

fn sync(
    ctx: &mut Wasi,
    fd: i32,
    right: u64,
    sync_file: impl FnOnce(&dyn File) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get_mut(fd)?;
    if descriptor.is_socket() {
        return Err(Errno::Inval);
    }
    descriptor.require(right)?;
    match &descriptor.object {
        Object::File(open) => sync_file(&*open.file),
        Object::Dir(open) => open.dir.sync(),
        _ => Ok(descriptor.flush()?),
    }
}

/// Writes the attributes of `fd`: its type, its flags and its rights.
///
/// The type of a standard stream is `CHARACTER_DEVICE` when it is an inherited terminal, from which a libc concludes
/// `isatty`, and `UNKNOWN` otherwise; that of a socket is `SOCKET_STREAM`. The rights are what works. Nothing is inherited
/// from a stream or a connected socket, as nothing can be opened through it; a listener hands down the rights of the sockets
/// that it accepts.
///
/// Source: WASI preview1 witx, `fd_fdstat_get`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Fault`]: the result does not lie in memory; nothing is written.
/// - Whatever the filesystem fails with.
pub fn fd_fdstat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    stat_out: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let stat = memory::slice_mut(memory, stat_out as u32, FDSTAT_BYTES)?;
    let file_type = descriptor.file_type()?;
    stat.fill(0);
    stat[0] = file_type as u8;
    stat[2..4].copy_from_slice(&descriptor.flags.to_le_bytes());
    stat[8..16].copy_from_slice(&descriptor.rights.base.to_le_bytes());
    stat[16..24].copy_from_slice(&descriptor.rights.inheriting.to_le_bytes());
    Ok(())
}

/// Sets the flags of `fd`: any of `APPEND` and `NONBLOCK`, and for files also `DSYNC`, `RSYNC` and `SYNC`.
///
/// They are kept and shown by [`fd_fdstat_get`]. A standard stream appends with or without the flag, and so does a socket; for
/// `NONBLOCK`, see [`fd_read`](super::fd_read). With `DSYNC` or `SYNC`, each write waits until it is stored.
///
/// Source: WASI preview1 witx, `fd_fdstat_set_flags`.
///
/// # Errors
///
/// The flags are as before then.
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: a flag that WASI does not know.
/// - [`Errno::Notcapable`]: the right `FD_FDSTAT_SET_FLAGS` is missing.
/// - [`Errno::Notsup`]: `DSYNC`, `RSYNC` or `SYNC` for a stream, a socket or a directory.
pub fn fd_fdstat_set_flags(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    flags: i32,
) -> Result<(), Errno> {
    const OF_ALL: u16 = fdflags::APPEND | fdflags::NONBLOCK;
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
    if flags & !fdflags::KNOWN != 0 {
        return Err(Errno::Inval);
    }
    descriptor.require(rights::FD_FDSTAT_SET_FLAGS)?;
    if flags & !OF_ALL != 0 && !matches!(descriptor.object, Object::File(_)) {
        return Err(Errno::Notsup);
    }
    descriptor.flags = flags;
    Ok(())
}

/// Takes rights away from `fd`, at once, and not from other descriptors of the same file. Bits that WASI does not know mean
/// nothing.
///
/// Source: WASI preview1 witx, `fd_fdstat_set_rights`.
///
/// # Errors
///
/// The rights are as before then.
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notcapable`]: a right that the descriptor does not have.
/// - [`Errno::Notsup`]: the context is built with [`RightsMode::Off`].
pub fn fd_fdstat_set_rights(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    rights_base: i64,
    rights_inheriting: i64,
) -> Result<(), Errno> {
    let mode = ctx.descriptors.mode();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    if mode == RightsMode::Off {
        return Err(Errno::Notsup);
    }
    let wanted = Rights::wanted(rights_base, rights_inheriting);
    descriptor.rights = descriptor.rights.dropped_to(wanted)?;
    Ok(())
}

/// Writes the attributes of the file behind `fd`. For a stream or a socket, all but the type are 0.
///
/// Source: WASI preview1 witx, `fd_filestat_get`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Fault`]: the result does not lie in memory; nothing is written.
/// - [`Errno::Notcapable`]: the right `FD_FILESTAT_GET` is missing.
/// - Whatever the filesystem fails with.
pub fn fd_filestat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    stat_out: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let stat = filestat::place(memory, stat_out)?;
    descriptor.require(rights::FD_FILESTAT_GET)?;
    let metadata = match &descriptor.object {
        Object::File(open) => open.file.metadata()?,
        Object::Dir(open) => open.dir.metadata()?,
        Object::Input(_) | Object::Output(_) | Object::Socket(_) | Object::Listener(_) => {
            let mut metadata = Metadata::new(descriptor.file_type()?, 0);
            metadata.n_links = 0;
            filestat::write(stat, 0, &metadata);
            return Ok(());
        }
    };
    filestat::write(stat, ctx.devices.number(metadata.dev), &metadata);
    Ok(())
}

/// Moves `fd` to the number `to`, which is closed first. Nothing happens when they are the same. What is moved stays what it
/// is, a preopened directory included.
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
