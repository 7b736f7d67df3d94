//! Sources of a guest's standard input.

use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::task::{Context, Poll};

use crate::memory::iovec::Iovecs;
use crate::net::Readiness;
use crate::stdio::blocking_reader::BlockingReader;
use crate::stdio::budget::Budget;
use crate::stdio::input::{Input, retry_interrupted};
#[cfg(unix)]
use crate::stdio::process_stdin::ProcessStdin;
use crate::{Interrupt, OverBudget, PipeReader, StreamKind};

/// The standard input of a guest.
///
/// Text, bytes and a [`PipeReader`] convert into one: `.stdin("alice\nbob\n")`. After the last byte
/// the guest gets the end of the file. The default is an empty input.
///
/// # Examples
///
/// ```
/// use std::io::Cursor;
///
/// use rangewatch_wasi::{Stdin, Wasi};
///
/// let text = Wasi::builder().stdin("alice\n").build()?;
/// let owned = Wasi::builder().stdin(vec![0, 159, 146, 150]).build()?;
/// let shared = Wasi::builder().stdin(Stdin::bytes(b"not copied")).build()?;
/// let stream = Wasi::builder().stdin(Stdin::reader(Cursor::new("any Read"))).build()?;
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub struct Stdin {
    source: Source,
    kind: StreamKind,
    budget: Option<Budget>,
}

enum Source {
    Bytes {
        bytes: Box<dyn AsRef<[u8]> + Send>,
        position: usize,
    },
    Stream(Box<dyn Input>),
}

impl Stdin {
    /// An empty input: the guest gets the end of the file immediately.
    #[must_use]
    pub fn empty() -> Self {
        Self::bytes([])
    }

    /// Reads `bytes` without copying them: a `&'static [u8]`, an `Arc<[u8]>`, a `bytes::Bytes`.
    #[must_use]
    pub fn bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self::from_source(Source::Bytes {
            bytes: Box::new(bytes),
            position: 0,
        })
    }

    /// Reads from the blocking reader `reader`.
    ///
    /// A read of the guest returns what one successful [`Read::read`] returned, without waiting for
    /// more. [`WouldBlock`](io::ErrorKind::WouldBlock) becomes
    /// [`Errno::Again`](crate::Errno::Again); [`Interrupted`](io::ErrorKind::Interrupted) is
    /// retried.
    ///
    /// The next read may block. A host that [awaits](crate::Wasi::poll_ready) its guests therefore
    /// calls the reader on a separate thread, started by the guest's first read, with a buffer of 4
    /// to 64 KiB; small reads of the guest are served from this buffer. Bytes that were read ahead
    /// belong to the context: they are lost to other users of the reader. A host that
    /// [blocks](crate::Wasi::block) on its guests calls the reader on the guest's thread, for at
    /// most the requested number of bytes, unless the guest asks `poll_oneoff` about the input: the
    /// thread then starts, as only a read can determine readiness. `poll_oneoff` with a timeout of
    /// 0 reports an input as not ready until the thread has read. If the guest is dropped while the
    /// reader blocks, the thread ends when the reader returns. Use [`bytes`](Self::bytes) for bytes
    /// that are in memory.
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self::stream(BlockingReader::new(reader))
    }

    /// Reads from the standard input of the host's process. The guest sees a terminal as a
    /// character device.
    ///
    /// Up to 16 KiB are read ahead. They belong to the context: they are lost to other contexts and
    /// to the host. Bytes that the host has buffered in [`io::stdin`] are read first.
    ///
    /// On Unix, readiness is that of `poll(2)`, so `poll_oneoff` with a timeout of 0 reports input
    /// that is available in a pipe, file or terminal. Reads do not block the guest's thread, unless
    /// the host reads from [`io::stdin`] at the same time. While a guest waits, nothing is read. On
    /// other systems, and for terminals on Apple's, which `poll(2)` does not support, this is a
    /// [`reader`](Self::reader).
    #[must_use]
    pub fn inherit() -> Self {
        let stdin = io::stdin();
        let is_terminal = stdin.is_terminal();
        let kind = StreamKind::of(is_terminal);
        #[cfg(unix)]
        if !(cfg!(target_vendor = "apple") && is_terminal) {
            return Self::stream(ProcessStdin::new()).seen_as(kind);
        }
        Self::reader(stdin).seen_as(kind)
    }

    /// Calls `read` for each read of the guest, on the guest's thread. It must not block.
    ///
    /// `read` fills the start of the slice, which is not empty, and returns the number of bytes; 0
    /// is the end of the input. [`WouldBlock`](io::ErrorKind::WouldBlock) becomes
    /// [`Errno::Again`](crate::Errno::Again). `poll_oneoff` reports such an input as always ready;
    /// use a [`pipe`](crate::pipe) for an input that has to be waited for.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::{Stdin, Wasi};
    ///
    /// let yes = Stdin::from_fn(|buf| {
    ///     buf.fill(b'y');
    ///     Ok(buf.len())
    /// });
    /// let ctx = Wasi::builder().stdin(yes).build()?;
    /// # drop(ctx);
    /// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
    /// ```
    #[must_use]
    pub fn from_fn(read: impl FnMut(&mut [u8]) -> io::Result<usize> + Send + 'static) -> Self {
        Self::stream(Producer(read))
    }

    /// Sets the file type that the guest sees; the default is [`StreamKind::Pipe`], except for an
    /// inherited terminal.
    #[must_use]
    pub fn seen_as(mut self, kind: StreamKind) -> Self {
        self.kind = kind;
        self
    }

    /// Limits the input to `bytes` in total; `over` decides about reads beyond the limit. The
    /// default is no limit.
    #[must_use]
    pub fn budget(mut self, bytes: u64, over: OverBudget) -> Self {
        self.budget = Some(Budget::new(bytes, over));
        self
    }

    pub(crate) fn stream(input: impl Input + 'static) -> Self {
        Self::from_source(Source::Stream(Box::new(input)))
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            kind: StreamKind::Pipe,
            budget: None,
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.kind == StreamKind::Terminal
    }

    /// Fills `iovecs` in order until the input ends or would block. Returns the number of bytes.
    pub(crate) fn read(&mut self, memory: &mut [u8], iovecs: &Iovecs) -> Result<u32, Interrupt> {
        let Some(budget) = &mut self.budget else {
            return self.source.read(memory, iovecs);
        };
        let within = budget.within(iovecs.total_bytes());
        if within == 0 && iovecs.total_bytes() > 0 {
            return budget.refuse(0);
        }
        let n_bytes = self.source.read(memory, &iovecs.first(within))?;
        budget.spend(n_bytes);
        Ok(n_bytes)
    }

    /// Ready when a read of up to `n_bytes` would not block.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<Readiness> {
        match self.budget {
            None => self.source.poll_readable(cx, n_bytes),
            Some(budget) if budget.is_used_up() => Poll::Ready(Readiness::END),
            Some(budget) => {
                let polled = self.source.poll_readable(cx, budget.within(n_bytes));
                polled.map(|readiness| Readiness {
                    n_bytes: readiness.n_bytes.min(budget.left_bytes),
                    ..readiness
                })
            }
        }
    }

    /// Allows the next read to block the thread, for an input that would otherwise need a thread of
    /// its own. Returns whether the read will block.
    pub(crate) fn may_block(&mut self) -> bool {
        match &mut self.source {
            Source::Bytes { .. } => false,
            Source::Stream(input) => input.may_block(),
        }
    }
}

impl Source {
    fn read(&mut self, memory: &mut [u8], iovecs: &Iovecs) -> Result<u32, Interrupt> {
        match self {
            Self::Bytes { bytes, position } => {
                let rest = (**bytes).as_ref().get(*position..).unwrap_or_default();
                let n_bytes = iovecs.scatter(memory, rest)?;
                *position += n_bytes as usize;
                Ok(n_bytes)
            }
            Self::Stream(input) => iovecs.read_once(memory, |buf| input.read(buf)),
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<Readiness> {
        match self {
            Self::Bytes { bytes, position } => {
                let n_bytes = (**bytes).as_ref().len().saturating_sub(*position);
                Poll::Ready(match n_bytes {
                    0 => Readiness::END,
                    _ => Readiness::bytes(n_bytes as u64),
                })
            }
            Self::Stream(input) => input.poll_readable(cx, n_bytes),
        }
    }
}

impl From<PipeReader> for Stdin {
    fn from(reader: PipeReader) -> Self {
        Self::stream(reader)
    }
}

impl From<&str> for Stdin {
    /// Copies the text.
    fn from(text: &str) -> Self {
        Self::bytes(text.to_owned())
    }
}

impl From<String> for Stdin {
    fn from(text: String) -> Self {
        Self::bytes(text)
    }
}

impl From<&[u8]> for Stdin {
    /// Copies the bytes.
    fn from(bytes: &[u8]) -> Self {
        Self::bytes(bytes.to_owned())
    }
}

impl<const N: usize> From<&[u8; N]> for Stdin {
    /// Copies the bytes.
    fn from(bytes: &[u8; N]) -> Self {
        Self::bytes(*bytes)
    }
}

impl From<Vec<u8>> for Stdin {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Stdin");
        match &self.source {
            Source::Bytes { bytes, position } => debug
                .field("len_bytes", &(**bytes).as_ref().len())
                .field("position", position),
            Source::Stream(_) => debug.field("source", &"stream"),
        };
        debug
            .field("kind", &self.kind)
            .field("budget", &self.budget)
            .finish()
    }
}

/// An [`Input`] over a closure.
struct Producer<F>(F);

impl<F: FnMut(&mut [u8]) -> io::Result<usize> + Send> Input for Producer<F> {
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(retry_interrupted(|| (self.0)(buf)))
    }

    fn poll_readable(&mut self, _cx: &mut Context<'_>, _n_bytes: u32) -> Poll<Readiness> {
        // The number of bytes is unknown.
        Poll::Ready(Readiness::bytes(1))
    }
}
