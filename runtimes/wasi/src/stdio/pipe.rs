//! Pipes between a guest and its host, or between two guests.

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

/// Makes a pipe that buffers up to `capacity_bytes`, at least 1, and returns its two ends.
///
/// Either end may be a guest's: a [`PipeReader`] converts into a [`Stdin`](crate::Stdin), a
/// [`PipeWriter`] into a [`Stdout`](crate::Stdout). A guest that reads from an empty pipe or writes
/// to a full one waits; neither needs a thread. The host awaits its end ([`PipeWriter::send`],
/// [`PipeReader::recv`]), polls it ([`PipeWriter::try_send`], [`PipeReader::try_recv`]), or blocks
/// on it ([`Write`], [`Read`]).
///
/// Dropping an end closes the pipe. The reader then gets the buffered bytes and the end; the writer
/// gets [`BrokenPipe`](io::ErrorKind::BrokenPipe), which a guest sees as
/// [`Errno::Pipe`](crate::Errno::Pipe).
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
/// feed.write_all(b"one line\n")?;
/// drop(feed); // the end of the guest's input
///
/// drop(ctx); // closes the guest's end of `lines`
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

/// The end of a [`pipe`] that writes. Dropping it closes the pipe.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::pipe;
///
/// let (mut writer, mut reader) = pipe(4);
/// assert_eq!(writer.try_send(b"123456")?, 4); // the pipe is full
/// assert_eq!(reader.try_recv()?, b"1234");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PipeWriter {
    shared: Arc<Shared>,
}

/// The end of a [`pipe`] that reads. Dropping it closes the pipe.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{TryRecvError, pipe};
///
/// let (writer, mut reader) = pipe(64);
/// assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
/// drop(writer);
/// assert_eq!(reader.try_recv(), Err(TryRecvError::Closed));
/// ```
pub struct PipeReader {
    shared: Arc<Shared>,
}

/// Why [`PipeReader::try_recv`] returned no bytes.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{TryRecvError, pipe};
///
/// let (_writer, mut reader) = pipe(64);
/// match reader.try_recv() {
///     Ok(bytes) => println!("{} bytes", bytes.len()),
///     Err(TryRecvError::Empty) => println!("nothing yet"),
///     Err(error) => println!("the end: {error}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// The pipe is empty and open.
    #[error("the pipe is empty; retry later, its writer is open")]
    Empty,
    /// The writer is dropped, and all its bytes have been received.
    #[error("the pipe is empty and its writer is dropped")]
    Closed,
    /// The other end [failed](PipeWriter::fail), and everything it wrote before has been received.
    /// Returned once; after it the pipe is [`Closed`](Self::Closed).
    #[error("the source of the pipe failed: {0}")]
    Failed(Errno),
}

/// Why [`PipeReader::recv`] returned no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PipeRecvError {
    /// The other end is gone, and everything it wrote has been received.
    #[error("the pipe is empty and its other end is gone")]
    Closed,
    /// The other end [failed](PipeWriter::fail), and everything it wrote before has been received.
    /// Returned once; after it the pipe is [`Closed`](Self::Closed).
    #[error("the source of the pipe failed: {0}")]
    Failed(Errno),
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
    /// The error that the reader gets once, after the buffered bytes and before the end.
    failure: Option<Errno>,
}

impl PipeWriter {
    /// Writes all of `bytes`. Waits while the pipe is full.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: when the future is dropped, some of the bytes may have been written.
    ///
    /// # Errors
    ///
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe): the reader is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::PipeWriter;
    ///
    /// async fn ask(feed: &mut PipeWriter) -> std::io::Result<()> {
    ///     feed.send(b"one question\n").await
    /// }
    /// ```
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let n_bytes = poll_fn(|cx| self.shared.poll_write(cx, rest)).await?;
            rest = &rest[n_bytes..];
        }
        Ok(())
    }

    /// Writes as much of `bytes` as fits, and returns the number of bytes.
    ///
    /// # Errors
    ///
    /// - [`WouldBlock`](io::ErrorKind::WouldBlock): the pipe is full.
    /// - [`BrokenPipe`](io::ErrorKind::BrokenPipe): the reader is dropped.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.shared.write(bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Closes the pipe with an error. The reader, a guest or the host, gets the bytes that are in
    /// the pipe, then the error once, then the end. For a source that broke off, so that the reader
    /// does not take a part for the whole.
    pub fn fail(self, errno: Errno) {
        self.shared.lock().failure = Some(errno);
    }

    /// Ready when the reader is dropped.
    #[cfg(all(feature = "futures-io", feature = "net"))]
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

    /// Whether the reader is dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().is_reader_gone
    }
}

impl PipeReader {
    /// Waits until there are bytes in the pipe, and returns all of them: at least one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// [`PipeRecvError`], when the pipe is empty and the other end is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::{PipeReader, PipeRecvError};
    ///
    /// async fn read_all(answers: &mut PipeReader) -> Result<Vec<u8>, PipeRecvError> {
    ///     let mut all = Vec::new();
    ///     loop {
    ///         match answers.recv().await {
    ///             Ok(bytes) => all.extend(bytes),
    ///             Err(PipeRecvError::Closed) => return Ok(all),
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    /// }
    /// ```
    pub async fn recv(&mut self) -> Result<Vec<u8>, PipeRecvError> {
        poll_fn(|cx| self.shared.poll_readable(cx)).await;
        self.try_recv().map_err(|error| match error {
            TryRecvError::Failed(errno) => PipeRecvError::Failed(errno),
            // The pipe is not empty, or the other end is gone: this reader is the only one.
            TryRecvError::Empty | TryRecvError::Closed => PipeRecvError::Closed,
        })
    }

    #[cfg(feature = "futures-io")]
    pub(crate) fn poll_read_pipe(
        &self,
        cx: &Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_read(cx, buf)
    }

    /// Returns all bytes in the pipe.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`]: the pipe is empty.
    pub fn try_recv(&mut self) -> Result<Vec<u8>, TryRecvError> {
        let mut state = self.shared.lock();
        if state.bytes.is_empty() {
            if !state.is_writer_gone {
                return Err(TryRecvError::Empty);
            }
            return Err(state
                .failure
                .take()
                .map_or(TryRecvError::Closed, TryRecvError::Failed));
        }
        let bytes = mem::take(&mut state.bytes);
        state.wake_writer_unlocked();
        Ok(bytes.into())
    }
}

/// Blocks the thread while the pipe is full. On a target without threads a write to a full pipe
/// fails with [`io::ErrorKind::Deadlock`].
impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        block_on(|cx| self.shared.poll_write(cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Blocks the thread while the pipe is empty. On a target without threads a read from an empty pipe
/// fails with [`io::ErrorKind::Deadlock`].
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
        // No foreign code runs under the lock and the code under it cannot panic, so a poisoned
        // lock guards consistent data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes an end after it releases the lock: a waker is foreign code.
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
