//! Sockets. Streams refuse them.

use crate::{Errno, Interrupt, Wasi};

/// Accepts a connection.
///
/// Source: WASI preview1 witx, `sock_accept`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsock`]: the descriptor is a stream, not a socket.
pub fn sock_accept(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _flags: i32,
    _fd_out: i32,
) -> Result<(), Interrupt> {
    Ok(ctx.descriptors.refuse(fd, Errno::Notsock)?)
}

/// Receives from a socket.
///
/// Source: WASI preview1 witx, `sock_recv`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsock`]: the descriptor is a stream, not a socket.
#[expect(
    clippy::too_many_arguments,
    reason = "the signature is that of the specification"
)]
pub fn sock_recv(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _ri_data: i32,
    _ri_data_len: i32,
    _ri_flags: i32,
    _ro_datalen_out: i32,
    _ro_flags_out: i32,
) -> Result<(), Interrupt> {
    Ok(ctx.descriptors.refuse(fd, Errno::Notsock)?)
}

/// Sends on a socket.
///
/// Source: WASI preview1 witx, `sock_send`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsock`]: the descriptor is a stream, not a socket.
pub fn sock_send(
    ctx: &mut Wasi,
    _memory: &mut [u8],
    fd: i32,
    _si_data: i32,
    _si_data_len: i32,
    _si_flags: i32,
    _so_datalen_out: i32,
) -> Result<(), Interrupt> {
    Ok(ctx.descriptors.refuse(fd, Errno::Notsock)?)
}

/// Shuts a socket down.
///
/// Source: WASI preview1 witx, `sock_shutdown`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open.
/// - [`Errno::Notsock`]: the descriptor is a stream, not a socket.
pub fn sock_shutdown(ctx: &mut Wasi, _memory: &mut [u8], fd: i32, _how: i32) -> Result<(), Errno> {
    ctx.descriptors.refuse(fd, Errno::Notsock)
}
