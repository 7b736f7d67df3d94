//! The trait behind a standard input stream that can block.

use std::io;
use std::task::{Context, Poll};

use crate::net::Readiness;

/// How many bytes an input prefetches to determine its readiness.
pub(crate) const READ_AHEAD_BYTES: u32 = 4 << 10;

/// A non-blocking source of bytes.
pub(crate) trait Input: Send {
    /// Reads the available bytes into `buf`, which is not empty; 0 is the end of the input. Pending
    /// when nothing is available. Registers no waker: [`poll_readable`](Self::poll_readable) does.
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Ready when [`read`](Self::read) would not be pending. A source that has to fetch its bytes
    /// fetches at most `n_bytes`.
    fn poll_readable(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<Readiness>;

    /// Allows the next read to block the thread, for a source that would otherwise need a thread of
    /// its own. Returns whether the read will block.
    fn may_block(&mut self) -> bool {
        false
    }
}

/// Retries `call` while it fails with [`Interrupted`](io::ErrorKind::Interrupted).
pub(crate) fn retry_interrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
