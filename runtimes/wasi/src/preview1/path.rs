//! Paths below a directory. Streams refuse them.

use crate::{Errno, Wasi};

/// Creates a directory.
///
/// Source: WASI preview1 witx, `path_create_directory`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream, not a directory.
pub fn path_create_directory(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _path: i32,
    _path_len: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Writes the attributes of a file or directory.
///
/// Source: WASI preview1 witx, `path_filestat_get`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream, not a directory.
pub fn path_filestat_get(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _flags: i32,
    _path: i32,
    _path_len: i32,
    _stat_out: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Sets the times of a file or directory.
///
/// Source: WASI preview1 witx, `path_filestat_set_times`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream, not a directory.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_filestat_set_times(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _flags: i32,
    _path: i32,
    _path_len: i32,
    _atim: i64,
    _mtim: i64,
    _fst_flags: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Creates a hard link.
///
/// Source: WASI preview1 witx, `path_link`.
///
/// # Errors
///
/// - [`Errno::Badf`]: one of the descriptors is not open.
/// - [`Errno::Notdir`]: both are streams, not directories.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_link(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    old_fd: i32,
    _old_flags: i32,
    _old_path: i32,
    _old_path_len: i32,
    new_fd: i32,
    _new_path: i32,
    _new_path_len: i32,
) -> Result<(), Errno> {
    ctx.descriptors.open(new_fd)?;
    ctx.descriptors.refuse(old_fd, Errno::Notdir)
}

/// Opens a file or directory.
///
/// Source: WASI preview1 witx, `path_open`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream, not a directory.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_open(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _dirflags: i32,
    _path: i32,
    _path_len: i32,
    _oflags: i32,
    _rights_base: i64,
    _rights_inheriting: i64,
    _fdflags: i32,
    _opened_fd_out: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Reads the target of a symbolic link.
///
/// Source: WASI preview1 witx, `path_readlink`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream, not a directory.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_readlink(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _path: i32,
    _path_len: i32,
    _buf: i32,
    _buf_len: i32,
    _bufused_out: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Removes a directory.
///
/// Source: WASI preview1 witx, `path_remove_directory`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream, not a directory.
pub fn path_remove_directory(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _path: i32,
    _path_len: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Renames a file or directory.
///
/// Source: WASI preview1 witx, `path_rename`.
///
/// # Errors
///
/// - [`Errno::Badf`]: one of the descriptors is not open.
/// - [`Errno::Notdir`]: both are streams, not directories.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn path_rename(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _old_path: i32,
    _old_path_len: i32,
    new_fd: i32,
    _new_path: i32,
    _new_path_len: i32,
) -> Result<(), Errno> {
    ctx.descriptors.open(new_fd)?;
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Creates a symbolic link.
///
/// Source: WASI preview1 witx, `path_symlink`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream, not a directory.
pub fn path_symlink(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    _old_path: i32,
    _old_path_len: i32,
    fd: i32,
    _new_path: i32,
    _new_path_len: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}

/// Removes a file.
///
/// Source: WASI preview1 witx, `path_unlink_file`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notdir`]: the descriptor is a stream, not a directory.
pub fn path_unlink_file(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _path: i32,
    _path_len: i32,
) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notdir)
}
