//! Where a guest's standard output and standard error go.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::task::{Context, Poll};

use crate::input::Readiness;
use crate::iovec::Iovecs;
use crate::{Errno, Interrupt, MAX_TRANSFER_BYTES, SharedBuffer, memory};

/// One output stream of a guest: its standard output or its standard error.
///
/// A [`SharedBuffer`] converts: `.stdout(buffer.clone())`. The default discards what the guest writes.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{SharedBuffer, Stdout, Wasi};
///
/// let captured = SharedBuffer::new();
/// let mut lines = 0;
/// let ctx = Wasi::builder()
///     .stdout(captured.clone())
///     .stderr(Stdout::from_fn(move |bytes| lines += bytes.iter().filter(|byte| **byte == b'\n').count()))
///     .build()?;
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub struct Stdout {
    sink: Sink,
}

enum Sink {
    Discard,
    Buffer(SharedBuffer),
    Writer(Box<dyn Write + Send>),
    /// A stream of the host's process.
    Inherited {
        stream: Box<dyn Write + Send>,
        is_terminal: bool,
    },
}

impl Stdout {
    /// Accepts everything and keeps nothing.
    #[must_use]
    pub fn discard() -> Self {
        Self {
            sink: Sink::Discard,
        }
    }

    /// Hands what the guest writes to `writer`.
    ///
    /// Each buffer of an `fd_write` is one [`Write::write`]; a short one ends the call, and the guest is told how much was
    /// written. An error is the guest's [`Errno`], or the end of a call that has already written something.
    /// [`Interrupted`](io::ErrorKind::Interrupted) is retried. The writer is flushed when the guest closes the stream, asks
    /// for `fd_sync` or exits, and by [`Wasi::flush`](crate::Wasi::flush), but not at each write.
    #[must_use]
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self {
            sink: Sink::Writer(Box::new(writer)),
        }
    }

    /// Calls `consume` with what the guest writes, which it must take all of.
    ///
    /// The pieces are the guest's buffers: not lines, and not necessarily whole characters.
    #[must_use]
    pub fn from_fn(consume: impl FnMut(&[u8]) + Send + 'static) -> Self {
        Self::writer(Consumer(consume))
    }

    /// The standard output of the host's process, flushed after each `fd_write`. A terminal is a character device to the
    /// guest.
    #[must_use]
    pub fn inherit() -> Self {
        let stream = io::stdout();
        let is_terminal = stream.is_terminal();
        Self {
            sink: Sink::Inherited {
                stream: Box::new(stream),
                is_terminal,
            },
        }
    }

    /// The standard error of the host's process. A terminal is a character device to the guest.
    #[must_use]
    pub fn inherit_stderr() -> Self {
        let stream = io::stderr();
        let is_terminal = stream.is_terminal();
        Self {
            sink: Sink::Inherited {
                stream: Box::new(stream),
                is_terminal,
            },
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(
            self.sink,
            Sink::Inherited {
                is_terminal: true,
                ..
            }
        )
    }

    /// Writes `iovecs` in order until one is not taken whole. Answers the number of bytes.
    pub(crate) fn write(&mut self, memory: &[u8], iovecs: &Iovecs) -> Result<u32, Interrupt> {
        let mut n_bytes = 0;
        for iovec in iovecs.as_slice() {
            let bytes = memory::slice(memory, iovec.ptr, iovec.len)?;
            match self.write_once(bytes) {
                Ok(accepted) => {
                    n_bytes += accepted;
                    if accepted < iovec.len {
                        break;
                    }
                }
                Err(_) if n_bytes > 0 => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        if let Sink::Inherited { stream, .. } = &mut self.sink {
            // The host's stream keeps back what does not end a line, such as a prompt; a guest's write is a system call to
            // the guest, done when it returns.
            stream.flush().map_err(Errno::from)?;
        }
        Ok(n_bytes)
    }

    /// Ready when a write would take at least one byte.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        clippy::unused_self,
        reason = "as for input"
    )]
    pub(crate) fn poll_writable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        Poll::Ready(Readiness::bytes(MAX_TRANSFER_BYTES.into()))
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Discard | Sink::Buffer(_) => Ok(()),
            Sink::Writer(stream) | Sink::Inherited { stream, .. } => stream.flush(),
        }
    }

    fn write_once(&mut self, bytes: &[u8]) -> Result<u32, Errno> {
        let stream: &mut dyn Write = match &mut self.sink {
            Sink::Discard => return u32::try_from(bytes.len()).map_err(|_| Errno::Overflow),
            Sink::Buffer(buffer) => buffer,
            Sink::Writer(stream) | Sink::Inherited { stream, .. } => stream,
        };
        loop {
            match stream.write(bytes) {
                // "No longer able to accept bytes", by the contract of `Write`. A guest that is told 0 tries forever.
                Ok(0) => return Err(Errno::Nospc),
                // A writer that claims more than it was given is wrong and must not be believed.
                Ok(accepted) => {
                    return u32::try_from(accepted.min(bytes.len())).map_err(|_| Errno::Overflow);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl From<SharedBuffer> for Stdout {
    fn from(buffer: SharedBuffer) -> Self {
        Self {
            sink: Sink::Buffer(buffer),
        }
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sink {
            Sink::Discard => f.write_str("Stdout::Discard"),
            Sink::Buffer(buffer) => f.debug_tuple("Stdout::Buffer").field(buffer).finish(),
            Sink::Writer(_) => f.debug_struct("Stdout::Writer").finish_non_exhaustive(),
            Sink::Inherited { is_terminal, .. } => f
                .debug_struct("Stdout::Inherited")
                .field("is_terminal", is_terminal)
                .finish_non_exhaustive(),
        }
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
