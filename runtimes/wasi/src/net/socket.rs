//! What a connected socket has to be able to do.

use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

use super::Readiness;

/// A connected stream socket of the host, which a guest is given.
///
/// [`receive`](Self::receive) and [`send`](Self::send) are attempts: they never wait and wake nobody. A guest that has to
/// wait is suspended until [`poll_readable`](Self::poll_readable) or [`poll_writable`](Self::poll_writable) is ready, and
/// then the attempt is made again. So a socket holds nothing of a call that waits, and a call that the host gives up has
/// done nothing. The context does the rest: peeking, waiting for all, scattered buffers, rights, `NONBLOCK`, and what is
/// answered after a shutdown.
///
/// An [`io::Error`] becomes the guest's [`Errno`](crate::Errno); `io::Error::from(errno)` chooses it exactly.
/// [`WouldBlock`](io::ErrorKind::WouldBlock) and [`Interrupted`](io::ErrorKind::Interrupted) are no way to say that there
/// is nothing yet: that is [`Poll::Pending`].
///
/// Who says to be ready must be: a guest whose attempt is pending all the same tries again at once.
///
/// Dropping the socket closes it. A socket in memory is a [`MemorySocket`](super::MemorySocket).
pub trait Socket: Send {
    /// Receives what is there into the start of `buf`, which is not empty, and answers how many bytes those are; 0 when the
    /// other end sends no more, then and from then on. Pending when there is nothing yet.
    ///
    /// # Errors
    ///
    /// What the guest is to be told. Nothing has been received then.
    fn receive(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Takes as much from the start of `bytes`, which are not empty, as there is room for, and answers how many bytes those
    /// are. Pending when there is no room; 0 is no answer, and tells the guest [`Errno::Pipe`](crate::Errno::Pipe).
    ///
    /// # Errors
    ///
    /// What the guest is to be told; [`BrokenPipe`](io::ErrorKind::BrokenPipe) when nobody receives any more. Nothing has been
    /// taken then.
    fn send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Tells the other end what the guest will not do any more. Each direction is shut down at most once, and nothing is
    /// sent or received in a direction that is.
    ///
    /// # Errors
    ///
    /// What the guest is to be told. The direction counts as open then.
    fn shutdown(&mut self, how: Shutdown) -> io::Result<()>;

    /// Ready when [`receive`](Self::receive) would be: with bytes, at the end, or with an error. Else the waker of `cx` is
    /// woken when that may have changed. No byte is taken from what is received later.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness>;

    /// Ready when [`send`](Self::send) would be, also if with an error. Else the waker of `cx` is woken when that may have
    /// changed.
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
