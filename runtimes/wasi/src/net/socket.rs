//! The trait of a connected socket.

use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

use super::Readiness;

/// A connected stream socket that the host grants to a guest. The [module](super) has an example.
///
/// [`receive`](Self::receive) and [`send`](Self::send) do not block and register no waker. A guest
/// that waits is suspended until [`poll_readable`](Self::poll_readable) or
/// [`poll_writable`](Self::poll_writable) is ready, and then the operation is retried. A socket
/// therefore stores nothing for a call that waits, and a call that the host abandons has had no
/// effect. The context implements peeking, waiting for all bytes, scattered buffers, rights,
/// `NONBLOCK`, and calls after a shutdown.
///
/// An [`io::Error`] becomes the guest's [`Errno`](crate::Errno); `io::Error::from(errno)` selects
/// it. Do not use [`WouldBlock`](io::ErrorKind::WouldBlock) or
/// [`Interrupted`](io::ErrorKind::Interrupted) to report that nothing is available: return
/// [`Poll::Pending`].
///
/// Readiness must be exact: if an operation is pending although the socket is ready, the guest
/// retries in a busy loop.
///
/// Dropping the socket closes it. [`MemorySocket`](super::MemorySocket) is a socket in memory.
///
/// # Examples
///
/// ```
/// use std::net::Shutdown;
/// use std::task::Poll;
///
/// use rangewatch_wasi::net::{Socket, socket_pair};
///
/// let (mut one, mut other) = socket_pair(64);
/// assert!(matches!(one.send(b"hello"), Poll::Ready(Ok(5))));
/// assert!(matches!(other.receive(&mut [0; 16]), Poll::Ready(Ok(5))));
/// one.shutdown(Shutdown::Write)?;
/// assert!(matches!(other.receive(&mut [0; 16]), Poll::Ready(Ok(0))));
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Socket: Send {
    /// Receives the available bytes into the start of `buf`, which is not empty, and returns their
    /// number; 0 when the peer sends no more, then and from then on. Pending when nothing is
    /// available.
    ///
    /// # Errors
    ///
    /// The error for the guest. No bytes were received.
    fn receive(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Sends bytes from the start of `bytes`, which is not empty, as many as fit, and returns their
    /// number. Pending when none fit. Must not return 0, which the guest gets as
    /// [`Errno::Pipe`](crate::Errno::Pipe).
    ///
    /// # Errors
    ///
    /// The error for the guest; [`BrokenPipe`](io::ErrorKind::BrokenPipe) when the peer receives no
    /// more. No bytes were sent.
    fn send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Shuts down one or both directions. The context shuts down each direction at most once, and
    /// neither sends nor receives in it afterwards.
    ///
    /// # Errors
    ///
    /// The error for the guest. The direction counts as open.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()>;

    /// Ready when [`receive`](Self::receive) would not be pending: with bytes, at the end, or with
    /// an error. Otherwise registers the waker of `cx`. Consumes no bytes.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness>;

    /// Ready when [`send`](Self::send) would not be pending, also when it would fail. Otherwise
    /// registers the waker of `cx`.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness>;
}

impl<S: Socket + ?Sized> Socket for Box<S> {
    fn receive(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        (**self).receive(buf)
    }

    fn send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        (**self).send(bytes)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        (**self).shutdown(how)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        (**self).poll_readable(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        (**self).poll_writable(cx)
    }
}
