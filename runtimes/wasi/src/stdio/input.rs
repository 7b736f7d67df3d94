//! What a source of standard input has to be able to do.

use std::io;
use std::task::{Context, Poll};

use crate::net::Readiness;

/// How much of an input is fetched to learn whether there is any.
pub(crate) const READ_AHEAD_BYTES: u32 = 4 << 10;

/// Where bytes come from, without waiting for them.
pub(crate) trait Input: Send {
    /// Reads what is there into `buf`, which is not empty; 0 is the end. Pending when there is nothing yet: nobody is
    /// woken, that is for [`poll_readable`](Self::poll_readable).
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Ready when [`read`](Self::read) would be. A source that has to fetch its bytes fetches at most `n_bytes`.
    fn poll_readable(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<Readiness>;

    /// Whether [`read`](Self::read) can be pending at all.
    fn may_wait(&self) -> bool {
        true
    }

    /// Allows the next read to hold the thread, if this is a source that can do no better.
    fn may_block(&mut self) -> bool {
        false
    }
}

/// Calls what a signal of the host has interrupted again.
pub(crate) fn retry_interrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
