//! `fd_read` and `fd_write`.

use std::task::{Context, Waker};

use super::{file, socket};
use crate::memory::iovec::Iovecs;
use crate::net::open_socket::Receive;
use crate::stdio::output::WriteMode;
use crate::wait::{Awaited, Wait};
use crate::{Errno, Interrupt, Wasi, memory};

/// Reads into the `iovs_len` buffers at `iovs`, in order, until the input ends or would block, and
/// writes the number of bytes. 0 is the end of the input, unless all buffers are empty.
///
/// A file is read at the position of the descriptor, which advances; a socket as by
/// [`sock_recv`](super::sock_recv) without flags. At most
/// [`MAX_TRANSFER_BYTES`](crate::MAX_TRANSFER_BYTES) are read. Where buffers overlap, the later one
/// wins.
///
/// Source: WASI preview1 witx, `fd_read`; POSIX `readv`.
///
/// # Errors
///
/// On any error nothing has been read.
///
/// - [`Errno::Badf`]: the descriptor is not open for reading.
/// - [`Errno::Inval`]: more than [`MAX_IOVECS`](crate::MAX_IOVECS) buffers.
/// - [`Errno::Fault`]: the table, a buffer or the result is outside of the memory.
/// - [`Errno::Isdir`]: the descriptor is a directory.
/// - [`Errno::Notconn`]: the descriptor is a listener.
/// - [`Errno::Notcapable`]: the right `FD_READ` is missing.
/// - [`Errno::Again`]: no bytes are available, and the descriptor is `NONBLOCK`.
/// - [`Interrupt::Wait`]: no bytes are available.
/// - [`Interrupt::Exit`], or the errno of the [budget](crate::Stdin::budget): the budget is used
///   up.
/// - The error of the host's reader or of the filesystem.
pub fn fd_read(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    iovs: i32,
    iovs_len: i32,
    nread_out: i32,
) -> Result<(), Interrupt> {
    ctx.work.begin();
    drop(ctx.take_wait());
    let descriptor = ctx.descriptors.get_mut(fd)?;
    if descriptor.is_in_filesystem() {
        return Ok(file::fd_read(
            &ctx.work, descriptor, memory, iovs, iovs_len, nread_out,
        )?);
    }
    if descriptor.is_socket() {
        return socket::receive(
            ctx,
            memory,
            fd,
            (iovs, iovs_len),
            Receive::Available,
            nread_out,
        );
    }
    let is_nonblocking = descriptor.is_nonblocking();
    let input = descriptor.input()?;
    let iovecs = Iovecs::read(&ctx.work, memory, iovs, iovs_len)?;
    let nread_out = nread_out as u32;
    memory::slice(memory, nread_out, 4)?;
    let read = input.read(memory, &iovecs);
    ctx.work
        .add_bytes(iovecs.staged_bytes() + read.unwrap_or(0) as usize);
    let nread = match read {
        Err(Interrupt::Wait) if is_nonblocking => {
            // Starts a fetch, so that a later retry finds bytes.
            ctx.work.add_bytes(iovecs.total_bytes() as usize);
            let mut cx = Context::from_waker(Waker::noop());
            let _ = input.poll_readable(&mut cx, iovecs.total_bytes());
            return Err(Errno::Again.into());
        }
        Err(Interrupt::Wait) => {
            let n_bytes = iovecs.total_bytes();
            return Err(ctx.wait_for(Wait::for_stream(Awaited::Read { fd, n_bytes })));
        }
        result => result.inspect_err(|interrupt| flush_at_exit(ctx, interrupt))?,
    };
    Ok(memory::write_u32(memory, nread_out, nread)?)
}

/// Writes the `iovs_len` buffers at `iovs`, in order, until one is accepted in part, and writes the
/// number of bytes.
///
/// A file is written at the position of the descriptor, or at its end with `APPEND`, and the
/// position is set to the end of the written bytes; a socket as by [`sock_send`](super::sock_send).
/// At most [`MAX_TRANSFER_BYTES`](crate::MAX_TRANSFER_BYTES) are written. After the first bytes, an
/// error ends the call with success and the number of bytes, so that the guest does not write them
/// twice; the next call returns the error.
///
/// Source: WASI preview1 witx, `fd_write`; POSIX `writev`.
///
/// # Errors
///
/// On any error nothing has been written.
///
/// - [`Errno::Badf`]: the descriptor is not open for writing.
/// - [`Errno::Inval`]: more than [`MAX_IOVECS`](crate::MAX_IOVECS) buffers.
/// - [`Errno::Fault`]: the table, a buffer or the result is outside of the memory.
/// - [`Errno::Notconn`]: the descriptor is a listener.
/// - [`Errno::Notcapable`]: the right `FD_WRITE` is missing.
/// - [`Errno::Fbig`]: the file would be longer than the filesystem allows.
/// - [`Errno::Nospc`]: the host's buffer or the filesystem is full, or the writer accepts no more
///   bytes.
/// - [`Errno::Again`]: the stream is full, and the descriptor is `NONBLOCK`.
/// - [`Interrupt::Wait`]: the stream is full.
/// - [`Interrupt::Exit`], or the errno of the [budget](crate::Stdout::budget): the budget is used
///   up.
/// - [`Errno::Pipe`], or another error of the host's writer or of the filesystem.
pub fn fd_write(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    iovs: i32,
    iovs_len: i32,
    nwritten_out: i32,
) -> Result<(), Interrupt> {
    ctx.work.begin();
    drop(ctx.take_wait());
    let descriptor = ctx.descriptors.get_mut(fd)?;
    if descriptor.is_in_filesystem() {
        return Ok(file::fd_write(
            &ctx.work,
            descriptor,
            memory,
            iovs,
            iovs_len,
            nwritten_out,
        )?);
    }
    if descriptor.is_socket() {
        return socket::send(ctx, memory, fd, (iovs, iovs_len), nwritten_out);
    }
    let mode = if descriptor.is_nonblocking() {
        WriteMode::NonBlocking
    } else {
        WriteMode::Wait
    };
    let output = descriptor.output()?;
    let iovecs = Iovecs::read(&ctx.work, memory, iovs, iovs_len)?;
    let nwritten_out = nwritten_out as u32;
    memory::slice(memory, nwritten_out, 4)?;
    let written = output.write(memory, &iovecs, mode);
    ctx.work
        .add_bytes(iovecs.staged_bytes() + written.unwrap_or(0) as usize);
    let nwritten = match written {
        Err(Interrupt::Wait) if mode == WriteMode::NonBlocking => return Err(Errno::Again.into()),
        Err(Interrupt::Wait) => {
            return Err(ctx.wait_for(Wait::for_stream(Awaited::Writable { fd })));
        }
        result => result.inspect_err(|interrupt| flush_at_exit(ctx, interrupt))?,
    };
    Ok(memory::write_u32(memory, nwritten_out, nwritten)?)
}

/// Flushes the output of a guest that exits because a budget is used up.
fn flush_at_exit(ctx: &mut Wasi, interrupt: &Interrupt) {
    if let Interrupt::Exit(_) = interrupt {
        let _ = ctx.flush();
    }
}
