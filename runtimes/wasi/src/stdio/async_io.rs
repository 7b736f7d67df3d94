//! Asynchronous readers and writers of the host.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::net::Readiness;
use crate::stdio::input::Input;
use crate::stdio::output::{Output, WriteMode};
use crate::{MAX_TRANSFER_BYTES, PipeReader, PipeWriter, Stdin, Stdout};

/// The most bytes that are read ahead, or kept of a write that waits.
const MAX_KEPT_BYTES: usize = 64 << 10;

impl Stdin {
    /// What `reader` reads. The guest waits for it, and nobody holds a thread.
    ///
    /// The reader is polled for as many bytes as the guest asks for, and for up to 4 KiB ahead when the guest asks
    /// `poll_oneoff` about its input. Whatever wakes the reader has to run beside the guest: an executor whose only thread
    /// lets a guest [block](crate::Wasi::block) does not. Readers of tokio come with `tokio_util::compat`.
    #[must_use]
    pub fn async_reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self::stream(AsyncInput {
            reader: Box::pin(reader),
            fetched: Vec::new(),
            position: 0,
            end: None,
        })
    }
}

impl Stdout {
    /// Hands what the guest writes to `writer`. The guest waits for it, and nobody holds a thread.
    ///
    /// An `fd_write` is done when the writer has taken the bytes and has been flushed, so that nothing is on its way when
    /// the guest ends, unless the guest has made the stream `NONBLOCK`: the flush then goes on with the next write. The writer
    /// is dropped with the guest, not closed. To `poll_oneoff` it is always ready. For the rest, see [`Stdin::async_reader`].
    #[must_use]
    pub fn async_writer(writer: impl AsyncWrite + Send + 'static) -> Self {
        Self::stream(AsyncOutput {
            writer: Box::pin(writer),
            write: Writing::Nothing,
        })
    }
}

struct AsyncInput {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    fetched: Vec<u8>,
    position: usize,
    /// How the last read ended, if not with bytes, told to the guest once.
    end: Option<io::Result<()>>,
}

impl AsyncInput {
    fn rest(&self) -> &[u8] {
        &self.fetched[self.position..]
    }
}

impl Input for AsyncInput {
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut rest = self.rest();
        if !rest.is_empty() {
            let n_bytes = io::Read::read(&mut rest, buf)?;
            self.position += n_bytes;
            return Poll::Ready(Ok(n_bytes));
        }
        if let Some(end) = self.end.take() {
            return Poll::Ready(end.map(|()| 0));
        }
        poll_interrupted(|| {
            let mut cx = Context::from_waker(Waker::noop());
            self.reader.as_mut().poll_read(&mut cx, buf)
        })
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<Readiness> {
        if self.rest().is_empty() && self.end.is_none() {
            self.position = 0;
            self.fetched.clear();
            let mut buf = mem::take(&mut self.fetched);
            buf.resize(MAX_KEPT_BYTES.min(n_bytes as usize).max(1), 0);
            match ready!(poll_interrupted(|| self
                .reader
                .as_mut()
                .poll_read(cx, &mut buf)))
            {
                Ok(0) => self.end = Some(Ok(())),
                Ok(n_bytes) => {
                    buf.truncate(n_bytes);
                    self.fetched = buf;
                }
                Err(error) => self.end = Some(Err(error)),
            }
        }
        Poll::Ready(match self.rest().len() {
            0 => Readiness::END,
            n_bytes => Readiness::bytes(n_bytes as u64),
        })
    }
}

struct AsyncOutput {
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    write: Writing,
}

/// The write that the guest waits for.
enum Writing {
    Nothing,
    /// A copy of the start of what it writes.
    Bytes(Vec<u8>),
    /// So many bytes are with the writer.
    Flushing(usize),
    Done(io::Result<usize>),
}

impl AsyncOutput {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(poll_interrupted(|| self
            .writer
            .as_mut()
            .poll_write(cx, bytes)));
        Poll::Ready(match written {
            // "No longer able to accept bytes", by the contract of `Write`. A guest that is told 0 tries forever.
            Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::StorageFull.into()),
            Ok(n_bytes) => Ok(n_bytes.min(bytes.len())),
            Err(error) => Err(error),
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_interrupted(|| self.writer.as_mut().poll_flush(cx))
    }
}

impl Output for AsyncOutput {
    fn write(&mut self, bytes: &[u8], mode: WriteMode) -> Poll<io::Result<usize>> {
        if let Writing::Done(result) = mem::replace(&mut self.write, Writing::Nothing) {
            return Poll::Ready(result);
        }
        let mut cx = Context::from_waker(Waker::noop());
        match (self.poll_write(&mut cx, bytes), mode) {
            (Poll::Ready(Ok(n_bytes)), _) => match (self.poll_flush(&mut cx), mode) {
                (Poll::Ready(result), _) => Poll::Ready(result.map(|()| n_bytes)),
                // The flush goes on with the next write.
                (Poll::Pending, WriteMode::NonBlocking) => Poll::Ready(Ok(n_bytes)),
                (Poll::Pending, WriteMode::Wait) => {
                    self.write = Writing::Flushing(n_bytes);
                    Poll::Pending
                }
            },
            (Poll::Ready(Err(error)), _) => Poll::Ready(Err(error)),
            (Poll::Pending, WriteMode::NonBlocking) => Poll::Pending,
            (Poll::Pending, WriteMode::Wait) => {
                let kept = &bytes[..bytes.len().min(MAX_KEPT_BYTES)];
                self.write = Writing::Bytes(kept.to_owned());
                Poll::Pending
            }
        }
    }

    fn gathers(&self) -> bool {
        true
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        loop {
            match mem::replace(&mut self.write, Writing::Nothing) {
                Writing::Nothing => break,
                Writing::Bytes(bytes) => match self.poll_write(cx, &bytes) {
                    Poll::Pending => {
                        self.write = Writing::Bytes(bytes);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(n_bytes)) => self.write = Writing::Flushing(n_bytes),
                    Poll::Ready(Err(error)) => self.write = Writing::Done(Err(error)),
                },
                Writing::Flushing(n_bytes) => match self.poll_flush(cx) {
                    Poll::Pending => {
                        self.write = Writing::Flushing(n_bytes);
                        return Poll::Pending;
                    }
                    Poll::Ready(result) => self.write = Writing::Done(result.map(|()| n_bytes)),
                },
                done @ Writing::Done(_) => {
                    self.write = done;
                    break;
                }
            }
        }
        Poll::Ready(Readiness::bytes(MAX_TRANSFER_BYTES.into()))
    }
}

/// As [`retry_interrupted`](crate::stdio::input::retry_interrupted), of what may be pending.
pub(crate) fn poll_interrupted<R>(
    mut poll: impl FnMut() -> Poll<io::Result<R>>,
) -> Poll<io::Result<R>> {
    loop {
        match poll() {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            polled => return polled,
        }
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_pipe(cx, buf)
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_pipe(cx, bytes)
    }

    /// What is written is in the pipe, where the other end finds it.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: the pipe is closed when the writer is dropped.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
