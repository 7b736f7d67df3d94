//! A connected socket of a guest.

use std::fmt;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::task::{Context, Poll};

use crate::memory::iovec::Iovecs;
use crate::net::{Readiness, Socket};
use crate::{Errno, Interrupt, MAX_PEEK_BYTES, memory};

/// How much room is made at a time for bytes that are kept. A peer that sends byte after byte to a guest that waits for
/// many would otherwise have all of the room cleared for each of them.
const CHUNK_BYTES: usize = 16 << 10;

/// A socket, and how this descriptor stands to it.
pub(crate) struct OpenSocket {
    socket: Box<dyn Socket>,
    /// What was received before the guest took it: it has looked at it, or waits for more to take it all at once.
    kept: Vec<u8>,
    /// How much of the start of `kept` the guest has taken.
    n_taken: usize,
    /// What receiving failed with behind `kept`, told to the guest once.
    failed: Option<Errno>,
    is_receiving_shut: bool,
    is_sending_shut: bool,
}

/// Which of the bytes are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    /// Those that are there.
    Some,
    /// Those that are there, and they stay.
    Peek,
    /// As many as there is room for, unless there are no more.
    All,
}

impl OpenSocket {
    pub(crate) fn new(socket: Box<dyn Socket>) -> Self {
        Self {
            socket,
            kept: Vec::new(),
            n_taken: 0,
            failed: None,
            is_receiving_shut: false,
            is_sending_shut: false,
        }
    }

    /// Fills `iovecs` in order. Answers the number of bytes; 0 is the end. A call that has to wait has taken nothing.
    pub(crate) fn receive(
        &mut self,
        memory: &mut [u8],
        iovecs: &Iovecs,
        which: Receive,
    ) -> Result<u32, Interrupt> {
        let n_bytes = iovecs.total_bytes();
        if self.is_receiving_shut || n_bytes == 0 {
            return Ok(0);
        }
        let filled = match which {
            Receive::Some if self.rest().is_empty() => {
                if let Some(errno) = self.failed.take() {
                    return Err(errno.into());
                }
                return iovecs.read_once(memory, |buf| self.socket.receive(buf));
            }
            Receive::Some => Poll::Ready(()),
            Receive::Peek => {
                let filled = self.fill(n_bytes.min(MAX_PEEK_BYTES));
                self.kept.shrink_to_fit();
                filled
            }
            Receive::All => self.fill(n_bytes),
        };
        if filled.is_pending() && (which == Receive::All || self.rest().is_empty()) {
            return Err(Interrupt::Wait);
        }
        if self.rest().is_empty() {
            return self.failed.take().map_or(Ok(0), |errno| Err(errno.into()));
        }
        let n_bytes = iovecs.scatter(memory, self.rest())?;
        if which != Receive::Peek {
            self.n_taken += n_bytes as usize;
            self.forget_if_taken();
        }
        Ok(n_bytes)
    }

    /// Hands `iovecs` to the socket in order, until one is not taken whole. Answers the number of bytes.
    pub(crate) fn send(&mut self, memory: &[u8], iovecs: &Iovecs) -> Result<u32, Interrupt> {
        if self.is_sending_shut {
            return Err(Errno::Pipe.into());
        }
        let mut n_bytes = 0;
        for iovec in iovecs.as_slice() {
            let bytes = memory::slice(memory, iovec.ptr, iovec.len)?;
            match self.send_once(bytes) {
                Ok(accepted) => {
                    n_bytes += accepted;
                    if accepted < iovec.len {
                        break;
                    }
                }
                // The guest hears what was sent; the next call meets the error, or waits.
                Err(_) if n_bytes > 0 => break,
                Err(interrupt) => return Err(interrupt),
            }
        }
        Ok(n_bytes)
    }

    fn send_once(&mut self, bytes: &[u8]) -> Result<u32, Interrupt> {
        match self.socket.send(bytes) {
            // A guest that is told 0 tries for ever.
            Poll::Ready(Ok(0)) => Err(Errno::Pipe.into()),
            // A socket that claims more than it was given is wrong and must not be believed.
            Poll::Ready(Ok(accepted)) => {
                let accepted = u32::try_from(accepted.min(bytes.len()));
                Ok(accepted.map_err(|_| Errno::Overflow)?)
            }
            Poll::Ready(Err(error)) => Err(Errno::from(error).into()),
            Poll::Pending => Err(Interrupt::Wait),
        }
    }

    /// Shuts down what of `how` is still open. What was received and not taken is dropped with the direction.
    pub(crate) fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        let receiving = how != Shutdown::Write && !self.is_receiving_shut;
        let sending = how != Shutdown::Read && !self.is_sending_shut;
        let how = match (receiving, sending) {
            (true, true) => Shutdown::Both,
            (true, false) => Shutdown::Read,
            (false, true) => Shutdown::Write,
            (false, false) => return Ok(()),
        };
        self.socket.shutdown(how)?;
        self.is_sending_shut |= sending;
        if receiving {
            self.is_receiving_shut = true;
            self.n_taken = self.kept.len();
            self.forget_if_taken();
            self.failed = None;
        }
        Ok(())
    }

    /// Ready when receiving would not have to wait.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        if self.is_receiving_shut {
            return Poll::Ready(Readiness::END);
        }
        let n_kept = self.rest().len() as u64;
        if self.failed.is_some() {
            return Poll::Ready(Readiness::bytes(n_kept));
        }
        match self.socket.poll_readable(cx) {
            Poll::Ready(more) => Poll::Ready(Readiness {
                n_bytes: more.n_bytes.saturating_add(n_kept),
                ..more
            }),
            Poll::Pending if n_kept > 0 => Poll::Ready(Readiness::bytes(n_kept)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when receiving `n_bytes`, all of them, would not have to wait. What comes is kept meanwhile, so that the guest is
    /// not woken for each piece, and a peer that waits for room can go on.
    pub(crate) fn poll_all(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<()> {
        if self.is_receiving_shut || self.fill(n_bytes).is_ready() {
            return Poll::Ready(());
        }
        if self.socket.poll_readable(cx).is_pending() {
            return Poll::Pending;
        }
        // Something has come since.
        let filled = self.fill(n_bytes);
        if filled.is_pending() {
            cx.waker().wake_by_ref();
        }
        filled
    }

    /// Ready when sending would not have to wait.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        if self.is_sending_shut {
            return Poll::Ready(Readiness::END);
        }
        self.socket.poll_writable(cx)
    }

    /// What is kept and not taken.
    fn rest(&self) -> &[u8] {
        &self.kept[self.n_taken..]
    }

    fn forget_if_taken(&mut self) {
        if self.rest().is_empty() {
            self.kept = Vec::new();
            self.n_taken = 0;
        }
    }

    /// Keeps up to `n_bytes`. Ready when so many are kept, or there will be no more.
    fn fill(&mut self, n_bytes: u32) -> Poll<()> {
        let n_bytes = n_bytes as usize;
        if self.rest().len() >= n_bytes || self.failed.is_some() {
            return Poll::Ready(());
        }
        self.kept.drain(..mem::take(&mut self.n_taken));
        self.kept.reserve_exact(n_bytes - self.kept.len());
        while self.kept.len() < n_bytes {
            let len = self.kept.len();
            self.kept.resize(n_bytes.min(len + CHUNK_BYTES), 0);
            let room = &mut self.kept[len..];
            let n_room = room.len();
            let received = self.socket.receive(room);
            let n_received = match received {
                Poll::Ready(Ok(n_received)) => n_received.min(n_room),
                _ => 0,
            };
            self.kept.truncate(len + n_received);
            match received {
                Poll::Ready(Ok(0)) => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    self.failed = Some(error.into());
                    break;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl fmt::Debug for OpenSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSocket")
            .field("n_kept_bytes", &self.rest().len())
            .field("is_receiving_shut", &self.is_receiving_shut)
            .field("is_sending_shut", &self.is_sending_shut)
            .finish_non_exhaustive()
    }
}
