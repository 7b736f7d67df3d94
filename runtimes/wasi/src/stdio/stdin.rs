//! Where a guest's standard input comes from.

use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::task::{Context, Poll};

use crate::memory::iovec::Iovecs;
use crate::net::Readiness;
use crate::stdio::blocking_reader::BlockingReader;
use crate::stdio::budget::Budget;
use crate::stdio::input::{Input, retry_interrupted};
use crate::{Interrupt, OverBudget, PipeReader, StreamKind};

/// The standard input of a guest.
///
/// Text, bytes and a [`PipeReader`] convert: `.stdin("alice\nbob\n")`. A guest that has read them all is at the end of the file; so is a
/// guest without input, which is the default.
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
    /// No input: the guest is at the end of the file at once.
    #[must_use]
    pub fn empty() -> Self {
        Self::bytes([])
    }

    /// The bytes that `bytes` holds, without copying them: a `&'static [u8]`, an `Arc<[u8]>`, a `bytes::Bytes`.
    #[must_use]
    pub fn bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self::from_source(Source::Bytes {
            bytes: Box::new(bytes),
            position: 0,
        })
    }

    /// What `reader` reads.
    ///
    /// Each `fd_read` of the guest is one successful [`Read::read`], for no more bytes than the guest asked for: nothing is
    /// read ahead, and a guest is never kept waiting for more when it could be given a part. A reader that answers
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) gives the guest [`Errno::Again`](crate::Errno::Again);
    /// [`Interrupted`](io::ErrorKind::Interrupted) is retried.
    ///
    /// As nobody knows whether the next read will block, a host that [awaits](crate::Wasi::poll_ready) its guests has the
    /// reader called on a thread of its own, which starts when the guest first reads. A host that lets its guests
    /// [block](crate::Wasi::block) has it called where the guest runs. A guest that asks `poll_oneoff` about the input makes
    /// up to 4 KiB be read ahead, as there is no other way to know. When the guest is dropped while the reader blocks, the
    /// thread ends as soon as the reader returns. Bytes that are in memory are better given as [`bytes`](Self::bytes).
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Self::stream(BlockingReader::new(reader))
    }

    /// The standard input of the host's process, as a [`reader`](Self::reader). A terminal is a character device to the
    /// guest.
    #[must_use]
    pub fn inherit() -> Self {
        let stdin = io::stdin();
        let kind = StreamKind::of(stdin.is_terminal());
        Self::reader(stdin).seen_as(kind)
    }

    /// What `read` makes, which is called where the guest runs and must not block.
    ///
    /// It fills the start of the slice, which is not empty, and answers how many bytes those are; 0 is the end of the
    /// input. [`WouldBlock`](io::ErrorKind::WouldBlock) gives the guest [`Errno::Again`](crate::Errno::Again). To `poll_oneoff` such an input is
    /// always ready; for one that is not, there is [`pipe`](crate::pipe).
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

    /// Sets what the guest takes the stream for; [`StreamKind::Pipe`] unless it is an inherited terminal.
    #[must_use]
    pub fn seen_as(mut self, kind: StreamKind) -> Self {
        self.kind = kind;
        self
    }

    /// Lets the guest read `bytes` in all; what is beyond does what `over` says. The default is no limit.
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

    /// Fills `iovecs` in order until the input ends or would have to be waited for. Answers the number of bytes.
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

    /// Ready when a read of up to `n_bytes` would not have to wait.
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

    /// Whether a read can have to wait at all.
    pub(crate) fn may_wait(&self) -> bool {
        match &self.source {
            Source::Bytes { .. } => false,
            Source::Stream(input) => input.may_wait(),
        }
    }

    /// Allows the next read to hold the thread, if this is an input that can do no better.
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

/// A closure as an [`Input`].
struct Producer<F>(F);

impl<F: FnMut(&mut [u8]) -> io::Result<usize> + Send> Input for Producer<F> {
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(retry_interrupted(|| (self.0)(buf)))
    }

    fn poll_readable(&mut self, _cx: &mut Context<'_>, _n_bytes: u32) -> Poll<Readiness> {
        // As far as is known.
        Poll::Ready(Readiness::bytes(1))
    }

    fn may_wait(&self) -> bool {
        false
    }
}
