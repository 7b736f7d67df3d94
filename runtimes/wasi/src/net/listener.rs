//! What a socket that accepts connections has to be able to do.

use std::io;
use std::task::{Context, Poll};

use super::Socket;

/// A listening stream socket of the host, which a guest is given.
///
/// As with a [`Socket`], an attempt never waits, and a guest that has to wait is suspended until the listener is ready. A
/// listener in memory is a [`MemoryListener`](super::MemoryListener).
pub trait Listener: Send {
    /// Accepts the connection that has waited longest. Pending when there is none.
    ///
    /// # Errors
    ///
    /// What the guest is to be told. [`Errno::Inval`](crate::Errno::Inval) says that there will be no connections any more.
    fn accept(&mut self) -> Poll<io::Result<Box<dyn Socket>>>;

    /// Ready when [`accept`](Self::accept) would be, also if with an error. Else the waker of `cx` is woken when that may have
    /// changed. No connection is accepted.
    fn poll_acceptable(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl<L: Listener + ?Sized> Listener for Box<L> {
    fn accept(&mut self) -> Poll<io::Result<Box<dyn Socket>>> {
        (**self).accept()
    }

    fn poll_acceptable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        (**self).poll_acceptable(cx)
    }
}
