//! Bytes between a guest and its host, or between two guests.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::Errno;
use crate::net::Readiness;
use crate::stdio::input::Input;
use crate::stdio::output::{Output, WriteMode};
use crate::wait::park::block_on;

/// A pipe that holds up to `capacity_bytes`, at least 1, and its two ends.
///
/// Either end may be a guest's: a [`PipeReader`] converts into a [`Stdin`](crate::Stdin), a [`PipeWriter`] into a
/// [`Stdout`](crate::Stdout). A guest that reads from an empty pipe waits, as does one that writes to a full one; neither
/// needs a thread. The host's end is awaited ([`PipeWriter::send`], [`PipeReader::recv`]), asked
/// ([`PipeWriter::try_send`], [`PipeReader::try_recv`]), or blocks its thread ([`Write`], [`Read`]).
///
/// An end that is dropped closes the pipe: the reader gets what is in the pipe and is then at the end, the writer gets
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe), which a guest sees as [`Errno::Pipe`](crate::Errno::Pipe).
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
///
/// use rangewatch_wasi::{Wasi, pipe};
///
/// let (mut feed, stdin) = pipe(64 << 10);
/// let (stdout, mut lines) = pipe(64 << 10);
/// let ctx = Wasi::builder().stdin(stdin).stdout(stdout).build()?;
/// feed.write_all(b"one more line\n")?;
/// drop(feed); // the end of the guest's input
///
/// drop(ctx); // the guest ends, and with it its output
/// let mut text = String::new();
/// lines.read_to_string(&mut text)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn pipe(capacity_bytes: usize) -> (PipeWriter, PipeReader) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        capacity_bytes: capacity_bytes.max(1),
    });
    let writer = PipeWriter {
        shared: shared.clone(),
    };
    (writer, PipeReader { shared })
}

/// The end of a [`pipe`] that takes bytes in. Dropping it closes the pipe.
pub struct PipeWriter {
    shared: Arc<Shared>,
}

/// The end of a [`pipe`] that gives bytes out. Dropping it closes the pipe.
pub struct PipeReader {
    shared: Arc<Shared>,
}

/// Why there is nothing to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing is in the pipe at the moment.
    #[error("the pipe is empty; more may come")]
    Empty,
    /// The other end is gone, and everything it wrote has been received.
    #[error("the pipe is empty and its other end is gone")]
    Closed,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    capacity_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    is_reader_gone: bool,
    is_writer_gone: bool,
    /// What the reader is told behind the bytes, once, before it is at the end.
    failure: Option<Errno>,
}

impl PipeWriter {
    /// Writes all of `bytes`, and waits for room as often as it must.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: when the future is dropped, some of the bytes may be in the pipe.
    ///
    /// # Errors
    ///
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe): the other end is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let n_bytes = poll_fn(|cx| self.shared.poll_write(cx, rest)).await?;
            rest = &rest[n_bytes..];
        }
        Ok(())
    }

    /// Writes as much of `bytes` as there is room for, and answers how much.
    ///
    /// # Errors
    ///
    /// - [`WouldBlock`](io::ErrorKind::WouldBlock): there is no room.
    /// - [`BrokenPipe`](io::ErrorKind::BrokenPipe): the other end is gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.shared.write(bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Closes the pipe with an error, which a guest that reads is told behind the bytes that are in the pipe, once. For a
    /// host whose source has broken off, so that the guest does not take what there was for all.
    pub fn fail(self, errno: Errno) {
        self.shared.lock().failure = Some(errno);
    }

    /// Ready when the other end is gone.
    #[cfg(feature = "futures-io")]
    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if state.is_reader_gone {
            return Poll::Ready(());
        }
        let former = state.writer.replace(cx.waker().clone());
        drop(state);
        drop(former);
        Poll::Pending
    }

    #[cfg(feature = "futures-io")]
    pub(crate) fn poll_write_pipe(
        &self,
        cx: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_write(cx, bytes)
    }

    /// Whether the other end is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().is_reader_gone
    }
}

impl PipeReader {
    /// Everything that is in the pipe, which is at least one byte; `None` when the other end is gone and nothing is left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn recv(&mut self) -> Option<Vec<u8>> {
        poll_fn(|cx| self.shared.poll_readable(cx)).await;
        self.try_recv().ok()
    }

    #[cfg(feature = "futures-io")]
    pub(crate) fn poll_read_pipe(
        &self,
        cx: &Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_read(cx, buf)
    }

    /// As [`recv`](Self::recv), of what is there now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`], when that is nothing.
    pub fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        let mut state = self.shared.lock();
        if state.bytes.is_empty() {
            return Err(if state.is_writer_gone {
                TryRecvError::Closed
            } else {
                TryRecvError::Empty
            });
        }
        let bytes = mem::take(&mut state.bytes);
        state.wake_writer_unlocked();
        Ok(bytes.into())
    }
}

/// Blocks the thread while the pipe is full.
impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        block_on(|cx| self.shared.poll_write(cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Blocks the thread while the pipe is empty.
impl Read for PipeReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        block_on(|cx| self.shared.poll_read(cx, buf))
    }
}

impl Output for PipeWriter {
    fn write(&mut self, bytes: &[u8], _mode: WriteMode) -> Poll<io::Result<usize>> {
        self.shared.write(bytes)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        self.shared.poll_writable(cx)
    }
}

impl Input for PipeReader {
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.shared.read(buf)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>, _n_bytes: u32) -> Poll<Readiness> {
        self.shared.poll_readable(cx)
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_writer_gone = true;
        let own = state.writer.take();
        state.wake_reader_unlocked();
        drop(own);
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_reader_gone = true;
        let own = state.reader.take();
        let unread = mem::take(&mut state.bytes);
        state.wake_writer_unlocked();
        drop((own, unread));
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt_end("PipeWriter", f)
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt_end("PipeReader", f)
    }
}

impl Shared {
    fn write(&self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.is_reader_gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n_bytes = bytes.len().min(self.capacity_bytes - state.bytes.len());
        if n_bytes == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        state.bytes.extend(&bytes[..n_bytes]);
        state.wake_reader_unlocked();
        Poll::Ready(Ok(n_bytes))
    }

    fn poll_write(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_writable(cx) {
            Poll::Ready(_) => self.write(bytes),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_writable(&self, cx: &Context<'_>) -> Poll<Readiness> {
        let mut state = self.lock();
        if state.is_reader_gone {
            return Poll::Ready(Readiness::END);
        }
        let room_bytes = self.capacity_bytes - state.bytes.len();
        if room_bytes > 0 {
            return Poll::Ready(Readiness::bytes(room_bytes as u64));
        }
        let former = state.writer.replace(cx.waker().clone());
        drop(state);
        drop(former);
        Poll::Pending
    }

    fn read(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if state.bytes.is_empty() && !state.is_writer_gone && !buf.is_empty() {
            return Poll::Pending;
        }
        if state.bytes.is_empty() && !buf.is_empty() {
            if let Some(errno) = state.failure.take() {
                return Poll::Ready(Err(errno.into()));
            }
        }
        let result = state.bytes.read(buf);
        state.wake_writer_unlocked();
        Poll::Ready(result)
    }

    fn poll_read(&self, cx: &Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.poll_readable(cx) {
            Poll::Ready(_) => self.read(buf),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_readable(&self, cx: &Context<'_>) -> Poll<Readiness> {
        let mut state = self.lock();
        if !state.bytes.is_empty() {
            return Poll::Ready(Readiness {
                n_bytes: state.bytes.len() as u64,
                is_hung_up: state.is_writer_gone,
            });
        }
        if state.is_writer_gone {
            return Poll::Ready(Readiness::END);
        }
        let former = state.reader.replace(cx.waker().clone());
        drop(state);
        drop(former);
        Poll::Pending
    }

    fn fmt_end(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_bytes = self.lock().bytes.len();
        f.debug_struct(name)
            .field("n_bytes", &n_bytes)
            .field("capacity_bytes", &self.capacity_bytes)
            .finish()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock and nothing in there panics half way, so a poisoned pipe is intact.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes an end after the lock is released: a waker is code of others.
trait WakeUnlocked {
    fn wake_reader_unlocked(self);
    fn wake_writer_unlocked(self);
}

impl WakeUnlocked for MutexGuard<'_, State> {
    fn wake_reader_unlocked(mut self) {
        let waker = self.reader.take();
        drop(self);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wake_writer_unlocked(mut self) {
        let waker = self.writer.take();
        drop(self);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
