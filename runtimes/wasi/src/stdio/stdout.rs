//! Sinks of a guest's standard output and standard error.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::task::{Context, Poll};

use crate::memory::iovec::{Iovec, Iovecs};
use crate::net::Readiness;
use crate::stdio::budget::Budget;
use crate::stdio::output::{Output, WriteMode};
use crate::{
    Errno, Interrupt, MAX_TRANSFER_BYTES, OverBudget, PipeWriter, SharedBuffer, StreamKind, memory,
};

/// The maximum number of bytes that are gathered into one write.
const GATHERED_BYTES: usize = 64 << 10;

/// An output stream of a guest: its standard output or its standard error.
///
/// A [`SharedBuffer`] and a [`PipeWriter`] convert into one: `.stdout(buffer.clone())`. The default
/// discards all bytes.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{SharedBuffer, Stdout, Wasi};
///
/// let captured = SharedBuffer::new();
/// let mut n_bytes = 0;
/// let ctx = Wasi::builder()
///     .stdout(captured.clone())
///     .stderr(Stdout::from_fn(move |bytes| n_bytes += bytes.len()))
///     .build()?;
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub struct Stdout {
    sink: Sink,
    kind: StreamKind,
    budget: Option<Budget>,
}

enum Sink {
    Discard,
    Buffer(SharedBuffer),
    Writer(Box<dyn Write + Send>),
    /// A stream of the host's process, which is flushed after each `fd_write`.
    Inherited(Box<dyn Write + Send>),
    /// A sink that can block.
    Stream(Box<dyn Output>),
}

impl Stdout {
    /// Accepts all bytes and discards them.
    #[must_use]
    pub fn discard() -> Self {
        Self::to(Sink::Discard)
    }

    /// Writes to `writer`.
    ///
    /// Each buffer of an `fd_write` is one [`Write::write`]. A short write ends the call, and the
    /// guest gets the number of bytes written. An error becomes the guest's [`Errno`]; after the
    /// first bytes it ends the call, which succeeds. [`Interrupted`](io::ErrorKind::Interrupted) is
    /// retried. The writer is flushed when the guest closes the stream, calls `fd_sync` or exits,
    /// and by [`Wasi::flush`](crate::Wasi::flush), but not after each write.
    #[must_use]
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self::to(Sink::Writer(Box::new(writer)))
    }

    /// Calls `consume` with the bytes that the guest writes. It must accept all of them.
    ///
    /// The slices are the guest's buffers: they are not split at lines or characters.
    #[must_use]
    pub fn from_fn(consume: impl FnMut(&[u8]) + Send + 'static) -> Self {
        Self::writer(Consumer(consume))
    }

    /// Writes to the standard output of the host's process, flushed after each `fd_write`. The
    /// guest sees a terminal as a character device.
    #[must_use]
    pub fn inherit() -> Self {
        let stream = io::stdout();
        let kind = StreamKind::of(stream.is_terminal());
        Self::to(Sink::Inherited(Box::new(stream))).seen_as(kind)
    }

    /// Writes to the standard error of the host's process. The guest sees a terminal as a character
    /// device.
    #[must_use]
    pub fn inherit_stderr() -> Self {
        let stream = io::stderr();
        let kind = StreamKind::of(stream.is_terminal());
        Self::to(Sink::Inherited(Box::new(stream))).seen_as(kind)
    }

    /// Sets the file type that the guest sees; the default is [`StreamKind::Pipe`], except for an
    /// inherited terminal.
    #[must_use]
    pub fn seen_as(mut self, kind: StreamKind) -> Self {
        self.kind = kind;
        self
    }

    /// Limits the stream to `bytes` in total. A write that reaches the limit is done in part;
    /// `over` decides about the excess. The default is no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::{OverBudget, SharedBuffer, Stdout, Wasi};
    ///
    /// let log = SharedBuffer::new();
    /// let stdout = Stdout::from(log.clone()).budget(1 << 20, OverBudget::Truncate);
    /// let ctx = Wasi::builder().stdout(stdout).build()?;
    /// # drop(ctx);
    /// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
    /// ```
    #[must_use]
    pub fn budget(mut self, bytes: u64, over: OverBudget) -> Self {
        self.budget = Some(Budget::new(bytes, over));
        self
    }

    pub(crate) fn stream(output: impl Output + 'static) -> Self {
        Self::to(Sink::Stream(Box::new(output)))
    }

    fn to(sink: Sink) -> Self {
        Self {
            sink,
            kind: StreamKind::Pipe,
            budget: None,
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.kind == StreamKind::Terminal
    }

    /// Writes `iovecs` in order until one is not accepted in full. Returns the number of bytes.
    pub(crate) fn write(
        &mut self,
        memory: &[u8],
        iovecs: &Iovecs,
        mode: WriteMode,
    ) -> Result<u32, Interrupt> {
        let Some(budget) = &mut self.budget else {
            return self.sink.write(memory, iovecs.as_slice(), mode);
        };
        let n_bytes = iovecs.total_bytes();
        let within = budget.within(n_bytes);
        if within == 0 && n_bytes > 0 {
            return budget.refuse(n_bytes);
        }
        let iovecs = iovecs.first(within);
        let written = self.sink.write(memory, iovecs.as_slice(), mode)?;
        budget.spend(written);
        if budget.is_used_up() && budget.truncates() {
            return Ok(n_bytes);
        }
        Ok(written)
    }

    /// Ready when a write would not block.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        if self.budget.is_some_and(|budget| budget.is_used_up()) {
            // The next write does not reach the sink, so its readiness does not matter.
            return Poll::Ready(Readiness::bytes(1));
        }
        match &mut self.sink {
            Sink::Stream(stream) => stream.poll_writable(cx),
            _ => Poll::Ready(Readiness::bytes(MAX_TRANSFER_BYTES.into())),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Discard | Sink::Buffer(_) | Sink::Stream(_) => Ok(()),
            Sink::Writer(stream) | Sink::Inherited(stream) => stream.flush(),
        }
    }
}

impl Sink {
    fn write(
        &mut self,
        memory: &[u8],
        iovecs: &[Iovec],
        mut mode: WriteMode,
    ) -> Result<u32, Interrupt> {
        if let (Self::Stream(stream), [_, _, ..]) = (&*self, iovecs) {
            if stream.gathers() {
                return self.write_once(&gather(memory, iovecs)?, mode);
            }
        }
        let mut n_bytes = 0;
        for iovec in iovecs {
            let bytes = memory::slice(memory, iovec.ptr, iovec.len)?;
            match self.write_once(bytes, mode) {
                Ok(accepted) => {
                    n_bytes += accepted;
                    if accepted < iovec.len {
                        break;
                    }
                    // After the first buffer the call does not wait: it returns the number of bytes
                    // written.
                    mode = WriteMode::NonBlocking;
                }
                Err(_) if n_bytes > 0 => break,
                Err(interrupt) => return Err(interrupt),
            }
        }
        if let Self::Inherited(stream) = self {
            // The host's stream buffers incomplete lines, such as a prompt. A write of the guest is
            // a system call to the guest, complete when it returns.
            match stream.flush() {
                // The host's stream has buffered the bytes and writes them later. If the guest got
                // `EAGAIN`, it would write them twice.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                flushed => flushed.map_err(Errno::from)?,
            }
        }
        Ok(n_bytes)
    }

    fn write_once(&mut self, bytes: &[u8], mode: WriteMode) -> Result<u32, Interrupt> {
        let stream: &mut dyn Write = match self {
            Self::Discard => return Ok(length(bytes.len())?),
            Self::Stream(stream) => {
                return match stream.write(bytes, mode) {
                    Poll::Ready(Ok(accepted)) => Ok(length(accepted.min(bytes.len()))?),
                    Poll::Ready(Err(error)) => Err(Errno::from(error).into()),
                    Poll::Pending => Err(Interrupt::Wait),
                };
            }
            Self::Buffer(buffer) => buffer,
            Self::Writer(stream) | Self::Inherited(stream) => stream,
        };
        loop {
            match stream.write(bytes) {
                // By the contract of `Write`, 0 means that the writer accepts no more bytes.
                // Returning 0 to the guest would make it retry without end.
                Ok(0) => return Err(Errno::Nospc.into()),
                // A faulty writer may report more bytes than it was given.
                Ok(accepted) => return Ok(length(accepted.min(bytes.len()))?),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Errno::from(error).into()),
            }
        }
    }
}

/// Copies the start of the buffers' contents. The guest gets the number of bytes written and
/// retries with the rest.
fn gather(memory: &[u8], iovecs: &[Iovec]) -> Result<Vec<u8>, Errno> {
    let mut gathered = Vec::new();
    for iovec in iovecs {
        let bytes = memory::slice(memory, iovec.ptr, iovec.len)?;
        let room = GATHERED_BYTES - gathered.len();
        gathered.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    Ok(gathered)
}

fn length(n_bytes: usize) -> Result<u32, Errno> {
    u32::try_from(n_bytes).map_err(|_| Errno::Overflow)
}

impl From<SharedBuffer> for Stdout {
    fn from(buffer: SharedBuffer) -> Self {
        Self::to(Sink::Buffer(buffer))
    }
}

impl From<PipeWriter> for Stdout {
    fn from(writer: PipeWriter) -> Self {
        Self::stream(writer)
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sink: &dyn fmt::Debug = match &self.sink {
            Sink::Discard => &"discard",
            Sink::Buffer(buffer) => buffer,
            Sink::Writer(_) => &"writer",
            Sink::Inherited(_) => &"inherited",
            Sink::Stream(_) => &"stream",
        };
        f.debug_struct("Stdout")
            .field("sink", sink)
            .field("kind", &self.kind)
            .field("budget", &self.budget)
            .finish()
    }
}

struct Consumer<F>(F);

impl<F: FnMut(&[u8])> Write for Consumer<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::Work;

    /// The host's standard output when another process has made it non-blocking and its pipe is
    /// full.
    struct Blocked;

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    #[test]
    fn bytes_that_the_host_stream_accepted_are_not_written_twice() {
        let mut stdout = Stdout::to(Sink::Inherited(Box::new(Blocked)));
        let memory = [8, 0, 0, 0, 3, 0, 0, 0, b'a', b'b', b'c'];
        let iovecs = Iovecs::read(&Work::default(), &memory, 0, 1).unwrap();
        assert_eq!(stdout.write(&memory, &iovecs, WriteMode::Wait), Ok(3));
    }
}
