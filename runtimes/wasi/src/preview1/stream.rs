//! Reading and writing.

use super::file;
use crate::iovec::Iovecs;
use crate::{Errno, Wasi, memory};

/// Reads into the `iovs_len` buffers at `iovs`, in order, until the input ends or would have to be waited for, and writes
/// the number of bytes. 0 is the end of the input, unless the buffers are empty.
///
/// A file is read at the position of the descriptor, which moves along. At most
/// [`MAX_TRANSFER_BYTES`](crate::MAX_TRANSFER_BYTES) are read. Whether there is waiting is the host's choice, by
/// the [`Stdin`](crate::Stdin) it gave. Where buffers overlap, the later one wins.
///
/// DIFFERENCE: `FDFLAG_NONBLOCK` does not keep a reader of the host that blocks from blocking, as nothing but the reader
/// knows whether it would.
///
/// Source: WASI preview1 witx, `fd_read`; POSIX `readv`.
///
/// # Errors
///
/// Nothing has been read when one of the first three is answered.
///
/// - [`Errno::Badf`]: the descriptor is not open for reading.
/// - [`Errno::Inval`]: more than [`MAX_IOVECS`](crate::MAX_IOVECS) buffers.
/// - [`Errno::Fault`]: the table, a buffer or the result does not lie in memory.
/// - [`Errno::Isdir`]: the descriptor is a directory.
/// - [`Errno::Notcapable`]: the right `FD_READ` is missing.
/// - [`Errno::Again`], or whatever else the host's reader or the filesystem fails with.
pub fn fd_read(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    iovs: i32,
    iovs_len: i32,
    nread_out: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.open(fd)?;
    if descriptor.is_in_filesystem() {
        return file::fd_read(descriptor, memory, iovs, iovs_len, nread_out);
    }
    let input = descriptor.input()?;
    let iovecs = Iovecs::read(memory, iovs, iovs_len)?;
    let nread_out = nread_out as u32;
    memory::slice(memory, nread_out, 4)?;
    let nread = input.read(memory, &iovecs)?;
    memory::write_u32(memory, nread_out, nread)
}

/// Writes the `iovs_len` buffers at `iovs`, in order, until one is not taken whole, and writes the number of bytes.
///
/// A file is written at the position of the descriptor, or at its end with `APPEND`, and the position moves behind what was
/// written. At most [`MAX_TRANSFER_BYTES`](crate::MAX_TRANSFER_BYTES) are written. An error after the first bytes ends the call
/// with success and their number, so that nothing is written twice; the next call meets the error again.
///
/// Source: WASI preview1 witx, `fd_write`; POSIX `writev`.
///
/// # Errors
///
/// Nothing has been written when one of the first three is answered.
///
/// - [`Errno::Badf`]: the descriptor is not open for writing.
/// - [`Errno::Inval`]: more than [`MAX_IOVECS`](crate::MAX_IOVECS) buffers.
/// - [`Errno::Fault`]: the table, a buffer or the result does not lie in memory.
/// - [`Errno::Notcapable`]: the right `FD_WRITE` is missing.
/// - [`Errno::Nospc`]: the host's buffer or the filesystem is full, or the host's writer takes no more.
/// - [`Errno::Fbig`]: the file would be longer than the filesystem allows.
/// - [`Errno::Pipe`], or whatever else the host's writer or the filesystem fails with.
pub fn fd_write(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    iovs: i32,
    iovs_len: i32,
    nwritten_out: i32,
) -> Result<(), Errno> {
    let descriptor = ctx.descriptors.open(fd)?;
    if descriptor.is_in_filesystem() {
        return file::fd_write(descriptor, memory, iovs, iovs_len, nwritten_out);
    }
    let output = descriptor.output()?;
    let iovecs = Iovecs::read(memory, iovs, iovs_len)?;
    let nwritten_out = nwritten_out as u32;
    memory::slice(memory, nwritten_out, 4)?;
    let nwritten = output.write(memory, &iovecs)?;
    memory::write_u32(memory, nwritten_out, nwritten)
}
