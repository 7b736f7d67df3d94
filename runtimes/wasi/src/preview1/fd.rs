//! Functions for descriptors of any kind: attributes, flags, rights, closing.

use super::filestat;
use crate::costs::{FILE, SYNC};
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
/// - The error of the host's writer when flushing. The descriptor is closed even then, as by POSIX
///   `close`.
pub fn fd_close(ctx: &mut Wasi, _memory: &mut [u8], fd: i32) -> Result<(), Errno> {
    ctx.work.begin();
    ctx.work.add(FILE);
    Ok(ctx.descriptors.close(fd)?.flush()?)
}

/// Waits until the contents of a file are stored durably, or flushes an output stream. Has no
/// effect on an input stream.
///
/// Source: WASI preview1 witx, `fd_datasync`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: the descriptor is a socket.
/// - [`Errno::Notcapable`]: the right `FD_DATASYNC` is missing.
/// - Any error of the filesystem or of the host's writer.
pub fn fd_datasync(ctx: &mut Wasi, _memory: &mut [u8], fd: i32) -> Result<(), Errno> {
    ctx.work.begin();
    sync(ctx, fd, rights::FD_DATASYNC, |file| file.sync_data())
}

/// Waits until the contents and attributes of a file are stored durably, or flushes an output
/// stream. Has no effect on an input stream.
///
/// Source: WASI preview1 witx, `fd_sync`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: the descriptor is a socket.
/// - [`Errno::Notcapable`]: the right `FD_SYNC` is missing.
/// - Any error of the filesystem or of the host's writer.
pub fn fd_sync(ctx: &mut Wasi, _memory: &mut [u8], fd: i32) -> Result<(), Errno> {
    ctx.work.begin();
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
    ctx.work.add(SYNC);
    match &descriptor.object {
        Object::File(open) => sync_file(&*open.file),
        Object::Dir(open) => open.dir.sync(),
        _ => Ok(descriptor.flush()?),
    }
}

/// Writes the attributes of `fd`: its type, its flags and its rights.
///
/// The type of a standard stream is `CHARACTER_DEVICE` for an inherited terminal, which a libc
/// reports as `isatty`, and `UNKNOWN` otherwise; that of a socket is `SOCKET_STREAM`. The rights
/// list the functions that work on the descriptor. The inheriting rights of a stream and of a
/// connected socket are empty, because nothing can be opened through them; those of a listener are
/// the rights of the sockets that it accepts.
///
/// Source: WASI preview1 witx, `fd_fdstat_get`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Fault`]: the result is outside of the memory; nothing is written.
/// - Any error of the filesystem.
pub fn fd_fdstat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    stat_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let stat = memory::slice_mut(memory, stat_out as u32, FDSTAT_BYTES)?;
    ctx.work.add(FILE);
    let file_type = descriptor.file_type()?;
    stat.fill(0);
    stat[0] = file_type as u8;
    stat[2..4].copy_from_slice(&descriptor.flags.to_le_bytes());
    stat[8..16].copy_from_slice(&descriptor.rights.base.to_le_bytes());
    stat[16..24].copy_from_slice(&descriptor.rights.inheriting.to_le_bytes());
    Ok(())
}

/// Sets the flags of `fd`: `APPEND` and `NONBLOCK`, and for files also `DSYNC`, `RSYNC` and `SYNC`.
///
/// [`fd_fdstat_get`] returns the flags. Standard streams and sockets always append, so `APPEND` has
/// no effect on them. [`fd_read`](super::fd_read) documents `NONBLOCK`. With `DSYNC` or `SYNC`,
/// each write waits until it is stored durably.
///
/// Source: WASI preview1 witx, `fd_fdstat_set_flags`.
///
/// # Errors
///
/// On error the flags are unchanged.
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: an unknown flag.
/// - [`Errno::Notcapable`]: the right `FD_FDSTAT_SET_FLAGS` is missing.
/// - [`Errno::Notsup`]: `DSYNC`, `RSYNC` or `SYNC` for a stream, a socket or a directory.
pub fn fd_fdstat_set_flags(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    flags: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    const FOR_ANY_OBJECT: u16 = fdflags::APPEND | fdflags::NONBLOCK;
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
    if flags & !fdflags::KNOWN != 0 {
        return Err(Errno::Inval);
    }
    descriptor.require(rights::FD_FDSTAT_SET_FLAGS)?;
    if flags & !FOR_ANY_OBJECT != 0 && !matches!(descriptor.object, Object::File(_)) {
        return Err(Errno::Notsup);
    }
    descriptor.flags = flags;
    Ok(())
}

/// Drops rights of `fd`. Takes effect immediately and on this descriptor only. Unknown bits are
/// ignored.
///
/// Source: WASI preview1 witx, `fd_fdstat_set_rights`.
///
/// # Errors
///
/// On error the rights are unchanged.
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notcapable`]: the guest requests a right that the descriptor does not have.
/// - [`Errno::Notsup`]: the context is built with [`RightsMode::Off`].
pub fn fd_fdstat_set_rights(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    rights_base: i64,
    rights_inheriting: i64,
) -> Result<(), Errno> {
    ctx.work.begin();
    let mode = ctx.descriptors.mode();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    if mode == RightsMode::Off {
        return Err(Errno::Notsup);
    }
    let wanted = Rights::wanted(rights_base, rights_inheriting);
    descriptor.rights = descriptor.rights.dropped_to(wanted)?;
    Ok(())
}

/// Writes the attributes of the file that `fd` refers to. For a stream or a socket, all but the
/// type are 0.
///
/// Source: WASI preview1 witx, `fd_filestat_get`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Fault`]: the result is outside of the memory; nothing is written.
/// - [`Errno::Notcapable`]: the right `FD_FILESTAT_GET` is missing.
/// - Any error of the filesystem.
pub fn fd_filestat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    stat_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let stat = filestat::slice(memory, stat_out)?;
    descriptor.require(rights::FD_FILESTAT_GET)?;
    ctx.work.add(FILE);
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
    filestat::write(stat, ctx.device_numbers.number(metadata.dev), &metadata);
    Ok(())
}

/// Moves the descriptor `fd` to the number `to`, and closes the descriptor that `to` was. Has no
/// effect when the two are equal. A preopened directory stays one.
///
/// Source: WASI preview1 witx, `fd_renumber`.
///
/// # Errors
///
/// [`Errno::Badf`]: one of the two is not open; nothing has changed. An error of flushing the
/// closed stream is ignored, as by POSIX `dup2`.
pub fn fd_renumber(ctx: &mut Wasi, _memory: &mut [u8], fd: i32, to: i32) -> Result<(), Errno> {
    ctx.work.begin();
    ctx.work.add(FILE);
    if let Some(mut closed) = ctx.descriptors.renumber(fd, to)? {
        let _ = closed.flush();
    }
    Ok(())
}
