//! The relay between a socket in memory and an asynchronous stream.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::MemorySocket;
use crate::stdio::async_io::poll_interrupted;
use crate::{Errno, PipeReader, PipeWriter};

/// The size of the copy buffer per direction, besides the buffers of the pipes.
const CHUNK_BYTES: usize = 16 << 10;

impl MemorySocket {
    /// Copies bytes between this end and `stream`, in both directions, until both have ended: the
    /// stream gets what the guest at the other end sends, and the guest gets what the stream
    /// receives.
    ///
    /// Spawn it as a task per connection, beside the guest. Bytes that a guest has sent before it
    /// ended are still written to the stream. The end of one direction is forwarded to the other
    /// side. When the guest's end is dropped, the stream is closed; the future drops it. Convert
    /// streams of tokio with `tokio_util::compat`: `socket.relay(tcp.compat())`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future closes the connection, and bytes in the copy buffers
    /// are lost.
    ///
    /// # Errors
    ///
    /// The first error of the stream, which ends the connection. The guest gets it as well, after
    /// the bytes that have arrived.
    ///
    /// # Examples
    ///
    /// A host calls this for each connection that it accepts, in a separate task:
    ///
    /// ```
    /// use std::io;
    ///
    /// use futures_io::{AsyncRead, AsyncWrite};
    /// use rangewatch_wasi::net::Connector;
    ///
    /// async fn forward<S>(connector: &Connector, stream: S) -> io::Result<()>
    /// where
    ///     S: AsyncRead + AsyncWrite,
    /// {
    ///     connector.connect().await?.relay(stream).await
    /// }
    /// ```
    pub async fn relay(self, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let (from_guest, to_guest) = self.split();
        let mut stream = pin!(stream);
        let mut incoming = Incoming {
            to_guest: Some(to_guest),
            chunk: Chunk::new(),
        };
        let mut outgoing = Outgoing {
            from_guest,
            chunk: Chunk::new(),
            step: Step::Relay,
        };
        let moved = poll_fn(|cx| {
            // Poll both: each registers its own wakers.
            let received = incoming.poll(stream.as_mut(), cx)?;
            let sent = outgoing.poll(stream.as_mut(), cx)?;
            match (received, sent) {
                (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
                _ => Poll::Pending,
            }
        });
        let result: io::Result<()> = moved.await;
        if let (Err(error), Some(to_guest)) = (&result, incoming.to_guest) {
            to_guest.fail(Errno::from(io::Error::from(error.kind())));
        }
        result
    }
}

/// Bytes that have been read and not yet written.
struct Chunk {
    room: Box<[u8]>,
    rest: Range<usize>,
}

impl Chunk {
    fn new() -> Self {
        Self {
            room: vec![0; CHUNK_BYTES].into(),
            rest: 0..0,
        }
    }

    fn rest(&self) -> &[u8] {
        &self.room[self.rest.clone()]
    }

    fn written(&mut self, n_bytes: usize) {
        self.rest.start += n_bytes;
    }

    /// Replaces the contents by the result of `read`. Returns the number of bytes.
    fn poll_fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let read = read(&mut self.room);
        if let Poll::Ready(Ok(n_bytes)) = read {
            // A faulty stream may report more bytes than the buffer holds.
            self.rest = 0..n_bytes.min(self.room.len());
        }
        read
    }
}

/// The direction from the stream to the guest.
struct Incoming {
    /// `None` at the end.
    to_guest: Option<PipeWriter>,
    chunk: Chunk,
}

impl Incoming {
    fn poll<S: AsyncRead>(
        &mut self,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(to_guest) = &self.to_guest {
            if self.chunk.rest().is_empty() {
                let is_abandoned = to_guest.poll_closed(cx).is_ready();
                let is_over = is_abandoned || {
                    let read = self
                        .chunk
                        .poll_fill(|buf| poll_interrupted(|| stream.as_mut().poll_read(cx, buf)));
                    ready!(read)? == 0
                };
                if is_over {
                    self.to_guest = None;
                }
            } else {
                match ready!(to_guest.poll_write_pipe(cx, self.chunk.rest())) {
                    Ok(n_bytes) => self.chunk.written(n_bytes),
                    // The guest's end is closed.
                    Err(_) => self.to_guest = None,
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The direction from the guest to the stream.
struct Outgoing {
    from_guest: PipeReader,
    chunk: Chunk,
    step: Step,
}

enum Step {
    Relay,
    /// Bytes have been written since the last flush.
    Flush,
    Close,
    Done,
}

impl Outgoing {
    fn poll<S: AsyncWrite>(
        &mut self,
        mut stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.step {
                Step::Done => return Poll::Ready(Ok(())),
                Step::Close => {
                    ready!(poll_interrupted(|| stream.as_mut().poll_close(cx)))?;
                    self.step = Step::Done;
                }
                Step::Relay | Step::Flush if !self.chunk.rest().is_empty() => {
                    let rest = self.chunk.rest();
                    let written = poll_interrupted(|| stream.as_mut().poll_write(cx, rest));
                    let n_bytes = ready!(written)?.min(rest.len());
                    if n_bytes == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    self.chunk.written(n_bytes);
                    self.step = Step::Flush;
                }
                Step::Relay | Step::Flush => {
                    let from_guest = &self.from_guest;
                    let read = self
                        .chunk
                        .poll_fill(|buf| from_guest.poll_read_pipe(cx, buf));
                    match read {
                        Poll::Ready(Ok(0) | Err(_)) => self.step = Step::Close,
                        Poll::Ready(Ok(_)) => {}
                        Poll::Pending if matches!(self.step, Step::Flush) => {
                            ready!(poll_interrupted(|| stream.as_mut().poll_flush(cx)))?;
                            self.step = Step::Relay;
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
    }
}
