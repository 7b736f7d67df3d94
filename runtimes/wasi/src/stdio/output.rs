//! The trait behind a standard output stream that can block.

use std::io;
use std::task::{Context, Poll};

use crate::net::Readiness;

/// A non-blocking sink of bytes.
pub(crate) trait Output: Send {
    /// Takes as much of `bytes` as fits. Pending when nothing fits.
    ///
    /// With [`WriteMode::Wait`] the call is retried with the same bytes when
    /// [`poll_writable`](Self::poll_writable) is ready. A sink may write them meanwhile, and
    /// returns the result from the retry.
    fn write(&mut self, bytes: &[u8], mode: WriteMode) -> Poll<io::Result<usize>>;

    /// Whether the buffers of one call are gathered into one write. A sink that completes a write
    /// only while it is polled can complete just one per call.
    fn gathers(&self) -> bool {
        false
    }

    /// Ready when [`write`](Self::write) would not be pending.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness>;
}

/// How a write that would block is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteMode {
    /// The call waits, and the write is retried.
    Wait,
    /// The guest gets `EAGAIN`, or the number of bytes written so far.
    NonBlocking,
}
