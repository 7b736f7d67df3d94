//! Sockets in the memory of the host.

use std::io::{self, Read, Write};
use std::net::Shutdown;
#[cfg(feature = "futures-io")]
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "futures-io")]
use futures_io::{AsyncRead, AsyncWrite};

use super::{Readiness, Socket};
use crate::stdio::input::Input;
use crate::stdio::output::{Output, WriteMode};
use crate::{PipeReader, PipeWriter, pipe};

/// Makes two connected sockets. Each direction buffers up to `capacity_bytes`, at least 1.
///
/// The host keeps one end and grants the other to a guest with
/// [`WasiBuilder::socket`](crate::WasiBuilder::socket), or grants both to guests.
///
/// # Examples
///
/// ```
/// use std::io::Write;
///
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::net::socket_pair;
///
/// let (of_guest, mut of_host) = socket_pair(64 << 10);
/// let ctx = Wasi::builder().socket(of_guest).build()?; // as descriptor 3
/// of_host.write_all(b"one question\n")?;
/// # drop(ctx);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn socket_pair(capacity_bytes: usize) -> (MemorySocket, MemorySocket) {
    let (to_second, from_first) = pipe(capacity_bytes);
    let (to_first, from_second) = pipe(capacity_bytes);
    let first = MemorySocket::from((from_second, to_second));
    (first, MemorySocket::from((from_first, to_first)))
}

/// One end of a connection in memory: a pipe per direction.
///
/// It is made by [`socket_pair`], by a [`Connector`](super::Connector), or from two pipes. The host
/// [splits](Self::split) it into the ends of the pipes and awaits, polls or blocks on them; or uses
/// it whole, as a blocking [`Read`] and [`Write`], with the feature `futures-io` as an `AsyncRead`
/// and `AsyncWrite`, or relayed to a network stream.
///
/// Dropping the sending end closes a direction: the receiver gets the buffered bytes and then the
/// end. Dropping the receiving end closes it, too: the sender gets
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe). A [shutdown](Socket::shutdown) closes one or both
/// directions in the same way.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::net::{MemorySocket, socket_pair};
///
/// let (of_guest, of_host) = socket_pair(64 << 10);
/// let ctx = Wasi::builder().socket(of_guest).build()?;
/// let (mut answers, mut questions) = of_host.split();
/// questions.try_send(b"one question\n")?;
/// assert!(answers.try_recv().is_err()); // no answer yet
/// let whole = MemorySocket::from((answers, questions));
/// # drop((ctx, whole));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemorySocket {
    /// `None` after a shutdown.
    incoming: Option<PipeReader>,
    outgoing: Option<PipeWriter>,
}

impl MemorySocket {
    /// Splits the socket into its receiving and its sending end, which are closed separately.
    #[must_use]
    pub fn split(self) -> (PipeReader, PipeWriter) {
        // A direction that was shut down becomes a pipe whose other end is dropped.
        (
            self.incoming.unwrap_or_else(|| pipe(1).1),
            self.outgoing.unwrap_or_else(|| pipe(1).0),
        )
    }
}

impl From<(PipeReader, PipeWriter)> for MemorySocket {
    fn from((incoming, outgoing): (PipeReader, PipeWriter)) -> Self {
        Self {
            incoming: Some(incoming),
            outgoing: Some(outgoing),
        }
    }
}

impl Socket for MemorySocket {
    fn receive(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.incoming {
            Some(incoming) => Input::read(incoming, buf),
            None => Poll::Ready(Ok(0)),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.outgoing {
            Some(outgoing) => Output::write(outgoing, bytes, WriteMode::NonBlocking),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.incoming = None;
        }
        if how != Shutdown::Read {
            self.outgoing = None;
        }
        Ok(())
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        match &mut self.incoming {
            Some(incoming) => incoming.poll_readable(cx, u32::MAX),
            None => Poll::Ready(Readiness::END),
        }
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        match &mut self.outgoing {
            Some(outgoing) => outgoing.poll_writable(cx),
            None => Poll::Ready(Readiness::END),
        }
    }
}

/// Blocks the thread until there is something to receive.
impl Read for MemorySocket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.incoming {
            Some(incoming) => Read::read(incoming, buf),
            None => Ok(0),
        }
    }
}

/// Blocks the thread while the buffer is full.
impl Write for MemorySocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.outgoing {
            Some(outgoing) => Write::write(outgoing, bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "futures-io")]
impl AsyncRead for MemorySocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_read(cx, buf),
            None => Poll::Ready(Ok(0)),
        }
    }
}

#[cfg(feature = "futures-io")]
impl AsyncWrite for MemorySocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.outgoing {
            Some(outgoing) => Pin::new(outgoing).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Nothing to do: sent bytes are in the pipe, where the receiver finds them.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts down the sending direction.
    fn poll_close(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing = None;
        Poll::Ready(Ok(()))
    }
}
