//! What only files and directories can do. Streams refuse it.

use crate::{Errno, Wasi};

/// The greatest member of `advice` and of `whence`.
///
/// Source: WASI preview1 witx, `advice` and `whence`.
const ADVICE_NOREUSE: i32 = 5;
const WHENCE_END: i32 = 2;

/// Streams have no regions to give advice on.
///
/// Source: WASI preview1 witx, `fd_advise`; POSIX `posix_fadvise`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: the advice is unknown, or the region ends past 2^64 - 1.
/// - [`Errno::Spipe`]: the descriptor is a stream.
pub fn fd_advise(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    offset: i64,
    len: i64,
    advice: i32,
) -> Result<(), Errno> {
    ctx.descriptors.open(fd)?;
    if !(0..=ADVICE_NOREUSE).contains(&advice) || (offset as u64).checked_add(len as u64).is_none()
    {
        return Err(Errno::Inval);
    }
    Err(Errno::Spipe)
}

/// Streams have no space to allocate.
///
/// Source: WASI preview1 witx, `fd_allocate`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsup`]: it is open.
pub fn fd_allocate(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _offset: i64,
    _len: i64,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notsup)
}

/// Streams have no size.
///
/// Source: WASI preview1 witx, `fd_filestat_set_size`; POSIX `ftruncate`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: the descriptor is a stream.
pub fn fd_filestat_set_size(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _size: i64,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Inval)
}

/// Streams keep no times.
///
/// Source: WASI preview1 witx, `fd_filestat_set_times`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsup`]: it is open.
pub fn fd_filestat_set_times(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _atim: i64,
    _mtim: i64,
    _fst_flags: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notsup)
}

/// Streams have no offsets to read at.
///
/// Source: WASI preview1 witx, `fd_pread`; POSIX `pread`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Spipe`]: the descriptor is a stream.
pub fn fd_pread(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _iovs: i32,
    _iovs_len: i32,
    _offset: i64,
    _nread_out: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Spipe)
}

/// Streams have no offsets to write at.
///
/// Source: WASI preview1 witx, `fd_pwrite`; POSIX `pwrite`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Spipe`]: the descriptor is a stream.
pub fn fd_pwrite(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _iovs: i32,
    _iovs_len: i32,
    _offset: i64,
    _nwritten_out: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Spipe)
}

/// Streams are not directories.
///
/// Source: WASI preview1 witx, `fd_readdir`; POSIX `readdir`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream.
pub fn fd_readdir(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _buf: i32,
    _buf_len: i32,
    _cookie: i64,
    _bufused_out: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Streams have no position.
///
/// Source: WASI preview1 witx, `fd_seek`; POSIX `lseek`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Inval`]: `whence` is unknown.
/// - [`Errno::Spipe`]: the descriptor is a stream.
pub fn fd_seek(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _offset: i64,
    whence: i32,
    _newoffset_out: i32,
) -> Result<(), Errno> {
    ctx.descriptors.open(fd)?;
    if !(0..=WHENCE_END).contains(&whence) {
        return Err(Errno::Inval);
    }
    Err(Errno::Spipe)
}

/// Streams have no position.
///
/// Source: WASI preview1 witx, `fd_tell`; POSIX `lseek`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Spipe`]: the descriptor is a stream.
pub fn fd_tell(ctx: &mut Wasi, _memory: &mut [u8], fd: i32, _offset_out: i32) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Spipe)
}
