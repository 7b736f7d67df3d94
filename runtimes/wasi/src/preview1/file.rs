//! Functions for files: position, size, times.

use super::filestat;
use crate::costs::{FILE, SYNC, Work};
use crate::descriptor::rights;
use crate::descriptor::{Descriptor, NotFileErrnos, Object, fdflags};
use crate::fs::File;
use crate::limits::MAX_FILE_IOVECS;
use crate::memory::iovec::Iovecs;
use crate::{Allocate, Errno, Wasi, memory};

/// Source: WASI preview1 witx, `whence`.
const WHENCE_SET: i32 = 0;
const WHENCE_CUR: i32 = 1;
const WHENCE_END: i32 = 2;

/// The greatest value of `advice`.
///
/// Source: WASI preview1 witx, `advice`.
const ADVICE_NOREUSE: i32 = 5;

/// The greatest offset in a file: POSIX offsets are signed.
const MAX_OFFSET: u64 = i64::MAX as u64;

/// The errnos for objects without a position.
const NO_POSITION: NotFileErrnos = NotFileErrnos {
    directory: Errno::Badf,
    stream: Errno::Spipe,
};

/// Announces how a part of a file will be used. Has no effect.
///
/// Source: WASI preview1 witx, `fd_advise`; POSIX `posix_fadvise`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open, or is a directory.
/// - [`Errno::Inval`]: the advice is unknown, or the region ends past 2^64 - 1.
/// - [`Errno::Spipe`]: the descriptor is a stream.
/// - [`Errno::Notcapable`]: the right `FD_ADVISE` is missing.
pub fn fd_advise(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    offset: i64,
    len: i64,
    advice: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    if !(0..=ADVICE_NOREUSE).contains(&advice) || (offset as u64).checked_add(len as u64).is_none()
    {
        return Err(Errno::Inval);
    }
    descriptor.regular(rights::FD_ADVISE, NO_POSITION).map(drop)
}

/// Extends a file with zeros so that its size is at least `offset + len`, if the context is built
/// with [`Allocate::Extend`].
///
/// Source: WASI preview1 witx, `fd_allocate`; POSIX `posix_fallocate`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open, is a directory, or is not open for writing.
/// - [`Errno::Notcapable`]: the right `FD_ALLOCATE` is missing.
/// - [`Errno::Notsup`]: the context is built with [`Allocate::Refuse`], the default; the descriptor
///   is a stream; or the filesystem does not support it.
/// - [`Errno::Inval`]: the length is 0, or it or the offset exceeds 2^63 - 1.
/// - [`Errno::Fbig`], [`Errno::Nospc`] and other errors of the filesystem.
pub fn fd_allocate(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    offset: i64,
    len: i64,
) -> Result<(), Errno> {
    ctx.work.begin();
    const NOT_A_FILE: NotFileErrnos = NotFileErrnos {
        directory: Errno::Badf,
        stream: Errno::Notsup,
    };
    let allocate = ctx.allocate;
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let open = descriptor.regular(rights::FD_ALLOCATE, NOT_A_FILE)?;
    if allocate == Allocate::Refuse {
        return Err(Errno::Notsup);
    }
    let (offset, len) = (self::offset(offset)?, self::offset(len)?);
    match offset.checked_add(len) {
        _ if len == 0 => Err(Errno::Inval),
        Some(end) if end <= MAX_OFFSET => {
            ctx.work.add(FILE);
            open.file.allocate(offset, len)
        }
        _ => Err(Errno::Fbig),
    }
}

/// Sets the size of a file: truncates it, or extends it with zeros.
///
/// Source: WASI preview1 witx, `fd_filestat_set_size`; POSIX `ftruncate`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open, or not for writing.
/// - [`Errno::Isdir`]: the descriptor is a directory.
/// - [`Errno::Inval`]: the descriptor is a stream, or the size exceeds 2^63 - 1.
/// - [`Errno::Notcapable`]: the right `FD_FILESTAT_SET_SIZE` is missing.
/// - [`Errno::Fbig`], [`Errno::Nospc`] and other errors of the filesystem.
pub fn fd_filestat_set_size(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    size: i64,
) -> Result<(), Errno> {
    ctx.work.begin();
    const NOT_A_FILE: NotFileErrnos = NotFileErrnos {
        directory: Errno::Isdir,
        stream: Errno::Inval,
    };
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let open = descriptor.regular(rights::FD_FILESTAT_SET_SIZE, NOT_A_FILE)?;
    ctx.work.add(FILE);
    open.file.set_size(offset(size)?)
}

/// Sets the times of a file or directory. Each time is set to the given value or to the current
/// time, or stays unchanged.
///
/// Source: WASI preview1 witx, `fd_filestat_set_times`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsup`]: the descriptor is a stream, or the filesystem does not store times.
/// - [`Errno::Inval`]: an unknown flag, or both flags of one time.
/// - [`Errno::Notcapable`]: the right `FD_FILESTAT_SET_TIMES` is missing.
/// - Any other error of the filesystem.
pub fn fd_filestat_set_times(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    atim: i64,
    mtim: i64,
    fst_flags: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let times = filestat::set_times(atim, mtim, fst_flags);
    let allowed = descriptor.require(rights::FD_FILESTAT_SET_TIMES);
    ctx.work.add(FILE);
    match &descriptor.object {
        Object::Input(_) | Object::Output(_) | Object::Socket(_) | Object::Listener(_) => {
            Err(Errno::Notsup)
        }
        Object::File(open) => allowed.and_then(|()| open.file.set_times(times?)),
        Object::Dir(open) => allowed.and_then(|()| open.dir.set_times(times?)),
    }
}

/// Reads at `offset` and leaves the position unchanged. In other respects the same as
/// [`fd_read`](super::fd_read).
///
/// Source: WASI preview1 witx, `fd_pread`; POSIX `preadv`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open for reading.
/// - [`Errno::Isdir`], [`Errno::Spipe`]: the descriptor is a directory, or a stream.
/// - [`Errno::Notcapable`]: the right `FD_READ` or `FD_SEEK` is missing.
/// - [`Errno::Inval`]: more than [`MAX_IOVECS`](crate::MAX_IOVECS) buffers, or an offset past 2^63
///   - 1.
/// - [`Errno::Fault`]: the table, a buffer or the result is outside of the memory.
/// - Any error of the filesystem.
pub fn fd_pread(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    iovs: i32,
    iovs_len: i32,
    offset: i64,
    nread_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    const NOT_A_FILE: NotFileErrnos = NotFileErrnos {
        directory: Errno::Isdir,
        stream: Errno::Spipe,
    };
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let open = descriptor.regular(rights::FD_READ | rights::FD_SEEK, NOT_A_FILE)?;
    let iovecs = Iovecs::read(&ctx.work, memory, iovs, iovs_len)?;
    memory::slice(memory, nread_out as u32, 4)?;
    let nread = read_at(
        &ctx.work,
        &*open.file,
        memory,
        &iovecs,
        self::offset(offset)?,
    )?;
    memory::write_u32(memory, nread_out as u32, nread)
}

/// Writes at `offset`, also with `APPEND`, and leaves the position unchanged. In other respects the
/// same as [`fd_write`](super::fd_write).
///
/// Source: WASI preview1 witx, `fd_pwrite`; POSIX `pwritev`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open for writing, or is a directory.
/// - [`Errno::Spipe`]: the descriptor is a stream.
/// - [`Errno::Notcapable`]: the right `FD_WRITE` or `FD_SEEK` is missing.
/// - [`Errno::Inval`]: more than [`MAX_IOVECS`](crate::MAX_IOVECS) buffers, or an offset past 2^63
///   - 1.
/// - [`Errno::Fault`]: the table, a buffer or the result is outside of the memory.
/// - [`Errno::Fbig`], [`Errno::Nospc`] and other errors of the filesystem.
pub fn fd_pwrite(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    iovs: i32,
    iovs_len: i32,
    offset: i64,
    nwritten_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let flags = descriptor.flags;
    let open = descriptor.regular(rights::FD_WRITE | rights::FD_SEEK, NO_POSITION)?;
    let iovecs = Iovecs::read(&ctx.work, memory, iovs, iovs_len)?;
    memory::slice(memory, nwritten_out as u32, 4)?;
    let start = self::offset(offset)?;
    let file = &*open.file;
    let nwritten = write_all(&ctx.work, memory, &iovecs, |buf, n_bytes| {
        write_within(file, buf, start, n_bytes)
    })?;
    store(&ctx.work, file, flags)?;
    memory::write_u32(memory, nwritten_out as u32, nwritten)
}

/// Sets the position of a file to `offset` bytes from its start, from the position or from its end,
/// and writes the new position, which may be past the end.
///
/// Source: WASI preview1 witx, `fd_seek`; POSIX `lseek`.
///
/// # Errors
///
/// On error the position is unchanged.
///
/// - [`Errno::Badf`]: the descriptor is not open, or is a directory.
/// - [`Errno::Inval`]: `whence` is unknown, or the position would be negative or exceed 2^63 - 1.
/// - [`Errno::Spipe`]: the descriptor is a stream.
/// - [`Errno::Notcapable`]: the right `FD_SEEK` is missing; `FD_TELL` suffices to query the
///   position.
/// - [`Errno::Fault`]: the result is outside of the memory.
pub fn fd_seek(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    offset: i64,
    whence: i32,
    newoffset_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let is_query =
        whence == WHENCE_CUR && offset == 0 && descriptor.rights.include(rights::FD_TELL);
    let right = if is_query {
        rights::FD_TELL
    } else {
        rights::FD_SEEK
    };
    if !(WHENCE_SET..=WHENCE_END).contains(&whence) {
        return Err(Errno::Inval);
    }
    let open = descriptor.regular(right, NO_POSITION)?;
    memory::slice(memory, newoffset_out as u32, 8)?;
    let from = match whence {
        WHENCE_SET => 0,
        WHENCE_CUR => open.position,
        _ => {
            ctx.work.add(FILE);
            open.file.metadata()?.size_bytes
        }
    };
    let position = from.checked_add_signed(offset).ok_or(Errno::Inval)?;
    if position > MAX_OFFSET {
        return Err(Errno::Inval);
    }
    open.position = position;
    memory::write_u64(memory, newoffset_out as u32, position)
}

/// Writes the position of a file.
///
/// Source: WASI preview1 witx, `fd_tell`; POSIX `lseek`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open, or is a directory.
/// - [`Errno::Spipe`]: the descriptor is a stream.
/// - [`Errno::Notcapable`]: the right `FD_TELL` is missing.
/// - [`Errno::Fault`]: the result is outside of the memory.
pub fn fd_tell(ctx: &mut Wasi, memory: &mut [u8], fd: i32, offset_out: i32) -> Result<(), Errno> {
    ctx.work.begin();
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let open = descriptor.regular(rights::FD_TELL, NO_POSITION)?;
    memory::write_u64(memory, offset_out as u32, open.position)
}

/// [`fd_read`](super::fd_read) for files: reads at the position and advances it.
pub(super) fn fd_read(
    work: &Work,
    descriptor: &mut Descriptor,
    memory: &mut [u8],
    iovs: i32,
    iovs_len: i32,
    nread_out: i32,
) -> Result<(), Errno> {
    const NOT_A_FILE: NotFileErrnos = NotFileErrnos {
        directory: Errno::Isdir,
        stream: Errno::Badf,
    };
    let open = descriptor.regular(rights::FD_READ, NOT_A_FILE)?;
    let iovecs = Iovecs::read(work, memory, iovs, iovs_len)?;
    memory::slice(memory, nread_out as u32, 4)?;
    let nread = read_at(work, &*open.file, memory, &iovecs, open.position)?;
    open.position = open.position.saturating_add(u64::from(nread));
    memory::write_u32(memory, nread_out as u32, nread)
}

/// [`fd_write`](super::fd_write) for files: writes at the position, or at the end with `APPEND`,
/// and sets the position to the end of the written bytes.
pub(super) fn fd_write(
    work: &Work,
    descriptor: &mut Descriptor,
    memory: &mut [u8],
    iovs: i32,
    iovs_len: i32,
    nwritten_out: i32,
) -> Result<(), Errno> {
    const NOT_A_FILE: NotFileErrnos = NotFileErrnos {
        directory: Errno::Badf,
        stream: Errno::Badf,
    };
    let flags = descriptor.flags;
    let open = descriptor.regular(rights::FD_WRITE, NOT_A_FILE)?;
    let iovecs = Iovecs::read(work, memory, iovs, iovs_len)?;
    memory::slice(memory, nwritten_out as u32, 4)?;
    let file = &*open.file;
    let nwritten = if flags & fdflags::APPEND != 0 {
        let nwritten = write_all(work, memory, &iovecs, |buf, _| file.append(buf))?;
        if nwritten > 0 {
            let end = open.position.saturating_add(u64::from(nwritten));
            // The bytes are written: with an error here, the guest would append them twice.
            open.position = file.metadata().map_or(end, |found| found.size_bytes);
        }
        nwritten
    } else {
        let start = open.position;
        let nwritten = write_all(work, memory, &iovecs, |buf, n_bytes| {
            write_within(file, buf, start, n_bytes)
        })?;
        open.position = start.saturating_add(u64::from(nwritten));
        nwritten
    };
    store(work, file, flags)?;
    memory::write_u32(memory, nwritten_out as u32, nwritten)
}

/// Fills the buffers in order until one is filled in part. An error after the first bytes ends the
/// call, which succeeds.
fn read_at(
    work: &Work,
    file: &dyn File,
    memory: &mut [u8],
    iovecs: &Iovecs,
    start: u64,
) -> Result<u32, Errno> {
    let mut n_bytes = 0;
    for iovec in iovecs.as_slice().iter().take(MAX_FILE_IOVECS) {
        work.add(FILE);
        // No file reaches past `MAX_OFFSET`, and the host would fail with `EINVAL`.
        let at = start.saturating_add(u64::from(n_bytes)).min(MAX_OFFSET);
        let len = clipped(iovec.len, at);
        let buf = memory::slice_mut(memory, iovec.ptr, len)?;
        match file.read_at(buf, at) {
            Ok(read) => {
                let read = clamp_reported(read, iovec.len);
                work.add_bytes(read as usize);
                n_bytes += read;
                if read < iovec.len {
                    break;
                }
            }
            Err(_) if n_bytes > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(n_bytes)
}

/// Writes the buffers in order until one is written in part. An error after the first bytes ends
/// the call, which succeeds. `write` gets the number of bytes written before.
fn write_all(
    work: &Work,
    memory: &[u8],
    iovecs: &Iovecs,
    mut write: impl FnMut(&[u8], u32) -> Result<usize, Errno>,
) -> Result<u32, Errno> {
    let mut n_bytes = 0;
    for iovec in iovecs.as_slice().iter().take(MAX_FILE_IOVECS) {
        work.add(FILE);
        let buf = memory::slice(memory, iovec.ptr, iovec.len)?;
        match write(buf, n_bytes) {
            // Returning 0 would make the guest retry without end.
            Ok(0) if n_bytes == 0 => return Err(Errno::Nospc),
            Ok(written) => {
                let written = clamp_reported(written, iovec.len);
                work.add_bytes(written as usize);
                n_bytes += written;
                if written < iovec.len {
                    break;
                }
            }
            Err(_) if n_bytes > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(n_bytes)
}

/// Clamps the byte count that a filesystem reports: a faulty one may report more bytes than it was
/// given.
fn clamp_reported(n_bytes: usize, len: u32) -> u32 {
    u32::try_from(n_bytes).unwrap_or(u32::MAX).min(len)
}

/// Waits until the written bytes are stored durably, if the flags require it.
fn store(work: &Work, file: &dyn File, flags: u16) -> Result<(), Errno> {
    if flags & (fdflags::SYNC | fdflags::DSYNC) != 0 {
        work.add(SYNC);
    }
    if flags & fdflags::SYNC != 0 {
        file.sync()
    } else if flags & fdflags::DSYNC != 0 {
        file.sync_data()
    } else {
        Ok(())
    }
}

/// Checks an offset or a size from the guest, which POSIX counts in signed numbers.
fn offset(given: i64) -> Result<u64, Errno> {
    u64::try_from(given).map_err(|_| Errno::Inval)
}

/// How many of `len` bytes at `at` lie within `MAX_OFFSET`.
fn clipped(len: u32, at: u64) -> u32 {
    u32::try_from(MAX_OFFSET - at).unwrap_or(len).min(len)
}

/// Writes after the `n_bytes` that were written at `start`, up to `MAX_OFFSET`.
fn write_within(file: &dyn File, buf: &[u8], start: u64, n_bytes: u32) -> Result<usize, Errno> {
    let at = start.checked_add(u64::from(n_bytes)).ok_or(Errno::Fbig)?;
    let room = MAX_OFFSET.checked_sub(at).filter(|room| *room > 0);
    let room = usize::try_from(room.ok_or(Errno::Fbig)?).unwrap_or(usize::MAX);
    file.write_at(&buf[..buf.len().min(room)], at)
}
