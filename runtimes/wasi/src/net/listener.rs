//! The trait of a listening socket.

use std::io;
use std::task::{Context, Poll};

use super::Socket;

/// A listening stream socket that the host grants to a guest.
///
/// As with a [`Socket`], [`accept`](Self::accept) does not block; a guest that waits is suspended
/// until the listener is ready. [`MemoryListener`](super::MemoryListener) is a listener in memory.
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::task::{Context, Poll};
///
/// use rangewatch_wasi::net::{Listener, Socket, socket_pair};
/// use rangewatch_wasi::{Errno, Wasi};
///
/// /// Accepts one connection and closes.
/// struct Once(Option<Box<dyn Socket>>);
///
/// impl Listener for Once {
///     fn accept(&mut self) -> Poll<io::Result<Box<dyn Socket>>> {
///         Poll::Ready(self.0.take().ok_or_else(|| Errno::Inval.into()))
///     }
///     fn poll_acceptable(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
///         Poll::Ready(())
///     }
/// }
///
/// let (of_guest, of_host) = socket_pair(64 << 10);
/// let ctx = Wasi::builder().listener(Once(Some(Box::new(of_guest)))).build()?;
/// # drop((ctx, of_host));
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub trait Listener: Send {
    /// Accepts the oldest pending connection. Pending when there is none.
    ///
    /// # Errors
    ///
    /// The error for the guest. [`Errno::Inval`](crate::Errno::Inval) means that the listener is
    /// closed.
    fn accept(&mut self) -> Poll<io::Result<Box<dyn Socket>>>;

    /// Ready when [`accept`](Self::accept) would not be pending, also when it would fail. Otherwise
    /// registers the waker of `cx`. Accepts no connection.
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
