//! Adapters of asynchronous readers and writers.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::net::Readiness;
use crate::stdio::input::Input;
use crate::stdio::output::{Output, WriteMode};
use crate::{MAX_TRANSFER_BYTES, PipeReader, PipeWriter, Stdin, Stdout};

/// The maximum number of bytes that are read ahead, or copied of a write that waits.
const MAX_BUFFERED_BYTES: usize = 64 << 10;

impl Stdin {
    /// Reads from `reader`. While the guest waits for input, it holds no thread.
    ///
    /// The reader is polled for as many bytes as the guest requests, and for up to 4 KiB ahead when
    /// the guest polls its input with `poll_oneoff`. The task that wakes the reader must run
    /// concurrently with the guest: a single-threaded executor whose thread
    /// [blocks](crate::Wasi::block) on a guest never does. Convert readers of tokio with
    /// `tokio_util::compat`.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_io::AsyncRead;
    /// use rangewatch_wasi::{Stdin, Wasi, WasiBuildError};
    ///
    /// fn context(reader: impl AsyncRead + Send + 'static) -> Result<Wasi, WasiBuildError> {
    ///     Wasi::builder().stdin(Stdin::async_reader(reader)).build()
    /// }
    /// ```
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
    /// Writes to `writer`. While the guest waits for the writer, it holds no thread.
    ///
    /// An `fd_write` completes when the writer has accepted the bytes and has been flushed, so that
    /// nothing is buffered when the guest ends. If the guest has set `NONBLOCK`, `fd_write` does
    /// not wait for the flush, which continues with the next write. The writer is dropped with the
    /// guest and not closed. `poll_oneoff` reports it as always ready. For the rest, see
    /// [`Stdin::async_reader`].
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_io::AsyncWrite;
    /// use rangewatch_wasi::{Stdout, Wasi, WasiBuildError};
    ///
    /// fn context(writer: impl AsyncWrite + Send + 'static) -> Result<Wasi, WasiBuildError> {
    ///     Wasi::builder().stdout(Stdout::async_writer(writer)).build()
    /// }
    /// ```
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
    /// The end or error of the last read, returned to the guest once.
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
            buf.resize(MAX_BUFFERED_BYTES.min(n_bytes as usize).max(1), 0);
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

/// The state of the write that the guest waits for.
enum Writing {
    Nothing,
    /// A copy of the start of the bytes.
    Bytes(Vec<u8>),
    /// The writer has accepted so many bytes and is being flushed.
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
            // By the contract of `Write`, 0 means that the writer accepts no more bytes. Returning
            // 0 to the guest would make it retry without end.
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
                // The flush continues with the next write.
                (Poll::Pending, WriteMode::NonBlocking) => Poll::Ready(Ok(n_bytes)),
                (Poll::Pending, WriteMode::Wait) => {
                    self.write = Writing::Flushing(n_bytes);
                    Poll::Pending
                }
            },
            (Poll::Ready(Err(error)), _) => Poll::Ready(Err(error)),
            (Poll::Pending, WriteMode::NonBlocking) => Poll::Pending,
            (Poll::Pending, WriteMode::Wait) => {
                let buffered = &bytes[..bytes.len().min(MAX_BUFFERED_BYTES)];
                self.write = Writing::Bytes(buffered.to_owned());
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

/// Like [`retry_interrupted`](crate::stdio::input::retry_interrupted), for a poll function.
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

    /// Nothing to do: written bytes are in the pipe, where the reader finds them.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: the pipe is closed when the writer is dropped.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
