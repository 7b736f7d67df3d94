//! A connected socket, as an object of the descriptor table.

use std::fmt;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::task::{Context, Poll};

use crate::memory::iovec::Iovecs;
use crate::net::{Readiness, Socket};
use crate::{Errno, Interrupt, MAX_PEEK_BYTES, memory};

/// The buffer for received bytes grows in steps of this size. If it grew to the full size at once,
/// a peer that sends single bytes to a guest that waits for many would have all of it cleared for
/// each byte.
const CHUNK_BYTES: usize = 16 << 10;

/// A socket, with the state of this descriptor.
pub(crate) struct OpenSocket {
    socket: Box<dyn Socket>,
    /// Received bytes that the guest has not consumed: it has peeked at them, or waits for more.
    buffered: Vec<u8>,
    /// How many bytes at the start of `buffered` the guest has consumed.
    n_consumed: usize,
    /// The error of the last receive, returned to the guest once, after `buffered`.
    failed: Option<Errno>,
    is_receiving_shut: bool,
    is_sending_shut: bool,
}

/// Which bytes a receive returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receive {
    /// The available bytes.
    Available,
    /// The available bytes, which stay in the buffer.
    Peek,
    /// As many as the buffers hold, or less at the end of the stream.
    All,
}

impl OpenSocket {
    pub(crate) fn new(socket: Box<dyn Socket>) -> Self {
        Self {
            socket,
            buffered: Vec::new(),
            n_consumed: 0,
            failed: None,
            is_receiving_shut: false,
            is_sending_shut: false,
        }
    }

    /// Fills `iovecs` in order. Returns the number of bytes; 0 is the end. A call that waits has
    /// consumed nothing.
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
            Receive::Available if self.unread().is_empty() => {
                if let Some(errno) = self.failed.take() {
                    return Err(errno.into());
                }
                return iovecs.read_once(memory, |buf| self.socket.receive(buf));
            }
            Receive::Available => Poll::Ready(()),
            Receive::Peek => {
                let filled = self.fill(n_bytes.min(MAX_PEEK_BYTES));
                self.buffered.shrink_to_fit();
                filled
            }
            Receive::All => self.fill(n_bytes),
        };
        if filled.is_pending() && (which == Receive::All || self.unread().is_empty()) {
            return Err(Interrupt::Wait);
        }
        if self.unread().is_empty() {
            return self.failed.take().map_or(Ok(0), |errno| Err(errno.into()));
        }
        let n_bytes = iovecs.scatter(memory, self.unread())?;
        if which != Receive::Peek {
            self.n_consumed += n_bytes as usize;
            self.clear_if_consumed();
        }
        Ok(n_bytes)
    }

    /// Sends `iovecs` in order until one is not accepted in full. Returns the number of bytes.
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
                // The call returns the number of bytes sent; the next call returns the error, or
                // waits.
                Err(_) if n_bytes > 0 => break,
                Err(interrupt) => return Err(interrupt),
            }
        }
        Ok(n_bytes)
    }

    fn send_once(&mut self, bytes: &[u8]) -> Result<u32, Interrupt> {
        match self.socket.send(bytes) {
            // Returning 0 would make the guest retry without end.
            Poll::Ready(Ok(0)) => Err(Errno::Pipe.into()),
            // A faulty socket may report more bytes than it was given.
            Poll::Ready(Ok(accepted)) => {
                let accepted = u32::try_from(accepted.min(bytes.len()));
                Ok(accepted.map_err(|_| Errno::Overflow)?)
            }
            Poll::Ready(Err(error)) => Err(Errno::from(error).into()),
            Poll::Pending => Err(Interrupt::Wait),
        }
    }

    /// Shuts down the directions of `how` that are open. Received bytes that the guest has not
    /// consumed are dropped.
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
            self.n_consumed = self.buffered.len();
            self.clear_if_consumed();
            self.failed = None;
        }
        Ok(())
    }

    /// Ready when a receive would not block.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        if self.is_receiving_shut {
            return Poll::Ready(Readiness::END);
        }
        let n_buffered = self.unread().len() as u64;
        if self.failed.is_some() {
            return Poll::Ready(Readiness::bytes(n_buffered));
        }
        match self.socket.poll_readable(cx) {
            Poll::Ready(more) => Poll::Ready(Readiness {
                n_bytes: more.n_bytes.saturating_add(n_buffered),
                ..more
            }),
            Poll::Pending if n_buffered > 0 => Poll::Ready(Readiness::bytes(n_buffered)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when a receive of all `n_bytes` would not block. Buffers the bytes as they arrive, so
    /// that the guest is not woken for each piece and the peer's send buffer drains.
    pub(crate) fn poll_all(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<()> {
        if self.is_receiving_shut || self.fill(n_bytes).is_ready() {
            return Poll::Ready(());
        }
        if self.socket.poll_readable(cx).is_pending() {
            return Poll::Pending;
        }
        // Bytes have arrived since the first attempt.
        let filled = self.fill(n_bytes);
        if filled.is_pending() {
            cx.waker().wake_by_ref();
        }
        filled
    }

    /// Ready when a send would not block.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness> {
        if self.is_sending_shut {
            return Poll::Ready(Readiness::END);
        }
        self.socket.poll_writable(cx)
    }

    /// The number of bytes in the buffer, consumed ones included.
    pub(crate) fn n_buffered(&self) -> usize {
        self.buffered.len()
    }

    /// The bytes that are buffered and not consumed.
    fn unread(&self) -> &[u8] {
        &self.buffered[self.n_consumed..]
    }

    fn clear_if_consumed(&mut self) {
        if self.unread().is_empty() {
            self.buffered = Vec::new();
            self.n_consumed = 0;
        }
    }

    /// Buffers up to `n_bytes`. Ready when so many are buffered, or no more will arrive.
    fn fill(&mut self, n_bytes: u32) -> Poll<()> {
        let n_bytes = n_bytes as usize;
        if self.unread().len() >= n_bytes || self.failed.is_some() {
            return Poll::Ready(());
        }
        self.buffered.drain(..mem::take(&mut self.n_consumed));
        self.buffered.reserve_exact(n_bytes - self.buffered.len());
        while self.buffered.len() < n_bytes {
            let len = self.buffered.len();
            self.buffered.resize(n_bytes.min(len + CHUNK_BYTES), 0);
            let room = &mut self.buffered[len..];
            let n_room = room.len();
            let received = self.socket.receive(room);
            let n_received = match received {
                Poll::Ready(Ok(n_received)) => n_received.min(n_room),
                _ => 0,
            };
            self.buffered.truncate(len + n_received);
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
            .field("n_buffered_bytes", &self.unread().len())
            .field("is_receiving_shut", &self.is_receiving_shut)
            .field("is_sending_shut", &self.is_sending_shut)
            .finish_non_exhaustive()
    }
}
