//! Functions of sockets.

use std::net::Shutdown;
use std::task::Poll;

use crate::descriptor::fdflags;
use crate::descriptor::rights;
use crate::memory::iovec::Iovecs;
use crate::net::open_socket::Receive;
use crate::wait::{Awaited, Wait};
use crate::{Errno, Interrupt, Wasi, memory};

/// Source: WASI preview1 witx, `riflags`.
const RECV_PEEK: i32 = 1;
const RECV_WAITALL: i32 = 2;

/// Source: WASI preview1 witx, `sdflags`.
const SHUT_READ: i32 = 1;
const SHUT_WRITE: i32 = 2;

/// Accepts the oldest pending connection, and writes its descriptor: the lowest free number.
///
/// `flags` are the flags of the new descriptor; only `NONBLOCK` is allowed. The descriptor gets the
/// rights that the listener passes on.
///
/// Source: WASI preview1 witx, `sock_accept`; POSIX `accept`.
///
/// # Errors
///
/// On any error no connection has been accepted.
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsock`]: the descriptor is not a socket.
/// - [`Errno::Inval`]: the descriptor is a connected socket, another flag is set, or the host has
///   closed the listener.
/// - [`Errno::Notcapable`]: the right `SOCK_ACCEPT` is missing.
/// - [`Errno::Fault`]: the result is outside of the memory.
/// - [`Errno::Mfile`]: the guest has reached its [limit](crate::WasiBuilder::max_descriptors) of
///   open descriptors.
/// - [`Errno::Again`]: no connection is pending, and the listener is `NONBLOCK`.
/// - [`Interrupt::Wait`]: no connection is pending.
/// - Any other error of the host's listener.
pub fn sock_accept(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    flags: i32,
    fd_out: i32,
) -> Result<(), Interrupt> {
    ctx.work.begin();
    drop(ctx.take_wait());
    ctx.descriptors.get_mut(fd)?.listener()?;
    let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
    if flags & !fdflags::NONBLOCK != 0 {
        return Err(Errno::Inval.into());
    }
    let fd_out = fd_out as u32;
    memory::slice(memory, fd_out, 4)?;
    if !ctx.descriptors.is_below_limit() {
        return Err(Errno::Mfile.into());
    }
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let accepted = match descriptor.listener()?.accept() {
        Poll::Ready(Ok(socket)) => descriptor.accepted(socket, flags),
        Poll::Ready(Err(error)) => return Err(Errno::from(error).into()),
        Poll::Pending if descriptor.is_nonblocking() => return Err(Errno::Again.into()),
        Poll::Pending => return Err(ctx.wait_for(Wait::for_stream(Awaited::Readable { fd }))),
    };
    let accepted = ctx.descriptors.insert(accepted)?;
    Ok(memory::write_u32(memory, fd_out, accepted)?)
}

/// Receives the available bytes into the `ri_data_len` buffers at `ri_data`, in order, and writes
/// the number of bytes. 0 means that the peer sends no more or that the direction is shut down,
/// unless all buffers are empty.
///
/// The flag `PEEK` of `ri_flags` leaves the bytes in the socket, and returns at most
/// [`MAX_PEEK_BYTES`](crate::MAX_PEEK_BYTES). `WAITALL` waits until the buffers are full, up to
/// [`MAX_TRANSFER_BYTES`](crate::MAX_TRANSFER_BYTES), or the peer sends no more; as POSIX allows,
/// it has no effect together with `PEEK`, or on a `NONBLOCK` descriptor. The flags that are written
/// are 0, because a stream socket never truncates a message.
///
/// Source: WASI preview1 witx, `sock_recv`; POSIX `recvmsg`.
///
/// # Errors
///
/// On any error nothing has been received.
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsock`]: the descriptor is not a socket.
/// - [`Errno::Notconn`]: the descriptor is a listener.
/// - [`Errno::Notcapable`]: the right `FD_READ` is missing.
/// - [`Errno::Inval`]: an unknown flag, or more than [`MAX_IOVECS`](crate::MAX_IOVECS) buffers.
/// - [`Errno::Fault`]: the table, a buffer or a result is outside of the memory.
/// - [`Errno::Again`]: no bytes are available, and the descriptor is `NONBLOCK`.
/// - [`Interrupt::Wait`]: no bytes are available, or fewer than `WAITALL` waits for.
/// - [`Errno::Connreset`], or another error of the host's socket.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn sock_recv(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    ri_data: i32,
    ri_data_len: i32,
    ri_flags: i32,
    ro_datalen_out: i32,
    ro_flags_out: i32,
) -> Result<(), Interrupt> {
    ctx.work.begin();
    drop(ctx.take_wait());
    let descriptor = ctx.descriptors.get_mut(fd)?;
    descriptor.socket(rights::FD_READ, Errno::Notsock)?;
    let which = match ri_flags {
        0 => Receive::Available,
        RECV_WAITALL => Receive::All,
        flags if flags & !(RECV_PEEK | RECV_WAITALL) == 0 => Receive::Peek,
        _ => return Err(Errno::Inval.into()),
    };
    let ro_flags_out = ro_flags_out as u32;
    memory::slice(memory, ro_flags_out, 2)?;
    receive(
        ctx,
        memory,
        fd,
        (ri_data, ri_data_len),
        which,
        ro_datalen_out,
    )?;
    memory::slice_mut(memory, ro_flags_out, 2)?.fill(0);
    Ok(())
}

/// Receives from a connected socket.
pub(super) fn receive(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    (iovs, iovs_len): (i32, i32),
    which: Receive,
    nread_out: i32,
) -> Result<(), Interrupt> {
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let is_nonblocking = descriptor.is_nonblocking();
    let socket = descriptor.socket(rights::FD_READ, Errno::Badf)?;
    let which = match which {
        Receive::All if is_nonblocking => Receive::Available,
        which => which,
    };
    let iovecs = Iovecs::read(&ctx.work, memory, iovs, iovs_len)?;
    let nread_out = nread_out as u32;
    memory::slice(memory, nread_out, 4)?;
    let received = socket.receive(memory, &iovecs, which);
    let n_buffered = match which {
        Receive::Available => iovecs.staged_bytes(),
        Receive::Peek | Receive::All => socket.n_buffered(),
    };
    ctx.work
        .add_bytes(n_buffered + received.unwrap_or(0) as usize);
    let nread = match received {
        Err(Interrupt::Wait) if is_nonblocking => return Err(Errno::Again.into()),
        Err(Interrupt::Wait) => {
            let n_bytes = iovecs.total_bytes();
            let awaited = match which {
                Receive::All => Awaited::ReceiveAll { fd, n_bytes },
                Receive::Available | Receive::Peek => Awaited::Readable { fd },
            };
            return Err(ctx.wait_for(Wait::for_stream(awaited)));
        }
        result => result?,
    };
    Ok(memory::write_u32(memory, nread_out, nread)?)
}

/// Sends the `si_data_len` buffers at `si_data`, in order, as many bytes as fit, and writes the
/// number of bytes.
///
/// At most [`MAX_TRANSFER_BYTES`](crate::MAX_TRANSFER_BYTES) are sent. After the first bytes, an
/// error ends the call with success and the number of bytes; the next call returns the error. No
/// `SIGPIPE` is raised: the guest gets an errno when the peer receives no more.
///
/// Source: WASI preview1 witx, `sock_send`; POSIX `sendmsg`.
///
/// # Errors
///
/// On any error nothing has been sent.
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsock`]: the descriptor is not a socket.
/// - [`Errno::Notconn`]: the descriptor is a listener.
/// - [`Errno::Notcapable`]: the right `FD_WRITE` is missing.
/// - [`Errno::Inval`]: `si_flags` are not 0, or more than [`MAX_IOVECS`](crate::MAX_IOVECS)
///   buffers.
/// - [`Errno::Fault`]: the table, a buffer or the result is outside of the memory.
/// - [`Errno::Again`]: the stream is full, and the descriptor is `NONBLOCK`.
/// - [`Interrupt::Wait`]: the stream is full.
/// - [`Errno::Pipe`]: the direction is shut down, or the peer receives no more.
/// - Any other error of the host's socket.
pub fn sock_send(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    si_data: i32,
    si_data_len: i32,
    si_flags: i32,
    so_datalen_out: i32,
) -> Result<(), Interrupt> {
    ctx.work.begin();
    drop(ctx.take_wait());
    let descriptor = ctx.descriptors.get_mut(fd)?;
    descriptor.socket(rights::FD_WRITE, Errno::Notsock)?;
    if si_flags != 0 {
        return Err(Errno::Inval.into());
    }
    send(ctx, memory, fd, (si_data, si_data_len), so_datalen_out)
}

/// Sends to a connected socket.
pub(super) fn send(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    (iovs, iovs_len): (i32, i32),
    nwritten_out: i32,
) -> Result<(), Interrupt> {
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let is_nonblocking = descriptor.is_nonblocking();
    let socket = descriptor.socket(rights::FD_WRITE, Errno::Badf)?;
    let iovecs = Iovecs::read(&ctx.work, memory, iovs, iovs_len)?;
    let nwritten_out = nwritten_out as u32;
    memory::slice(memory, nwritten_out, 4)?;
    let sent = socket.send(memory, &iovecs);
    ctx.work.add_bytes(sent.unwrap_or(0) as usize);
    let nwritten = match sent {
        Err(Interrupt::Wait) if is_nonblocking => return Err(Errno::Again.into()),
        Err(Interrupt::Wait) => {
            return Err(ctx.wait_for(Wait::for_stream(Awaited::Writable { fd })));
        }
        result => result?,
    };
    Ok(memory::write_u32(memory, nwritten_out, nwritten)?)
}

/// Shuts down the directions in `how`: `RD`, `WR` or both. Has no effect on a direction that is
/// shut down already.
///
/// After `RD` the guest receives nothing, not even bytes that have arrived. After `WR` the peer
/// receives the bytes that were sent and then the end.
///
/// Source: WASI preview1 witx, `sock_shutdown`; POSIX `shutdown`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsock`]: the descriptor is not a socket.
/// - [`Errno::Notconn`]: the descriptor is a listener.
/// - [`Errno::Notcapable`]: the right `SOCK_SHUTDOWN` is missing.
/// - [`Errno::Inval`]: `how` has no flag, or an unknown one.
/// - Any other error of the host's socket; the direction stays open.
pub fn sock_shutdown(ctx: &mut Wasi, _memory: &mut [u8], fd: i32, how: i32) -> Result<(), Errno> {
    ctx.work.begin();
    const SHUT_BOTH: i32 = SHUT_READ | SHUT_WRITE;
    let descriptor = ctx.descriptors.get_mut(fd)?;
    let socket = descriptor.socket(rights::SOCK_SHUTDOWN, Errno::Notsock)?;
    let how = match how {
        SHUT_READ => Shutdown::Read,
        SHUT_WRITE => Shutdown::Write,
        SHUT_BOTH => Shutdown::Both,
        _ => return Err(Errno::Inval),
    };
    Ok(socket.shutdown(how)?)
}
