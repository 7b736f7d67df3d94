//! What a sink of standard output has to be able to do.

use std::io;
use std::task::{Context, Poll};

use crate::net::Readiness;

/// Where bytes go, without waiting for room.
pub(crate) trait Output: Send {
    /// Takes as much of `bytes` as there is room for. Pending when that is nothing.
    ///
    /// With [`WriteMode::Wait`], the same bytes are written again when [`poll_writable`](Self::poll_writable) says so: a sink
    /// may then answer for what it has done meanwhile.
    fn write(&mut self, bytes: &[u8], mode: WriteMode) -> Poll<io::Result<usize>>;

    /// Whether the buffers of one call are to come together, because a write is done only when it has been waited for: of
    /// two in one call, the second could not be.
    fn gathers(&self) -> bool {
        false
    }

    /// Ready when [`write`](Self::write) would be.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Readiness>;
}

/// What becomes of a write for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteMode {
    /// It is made again later.
    Wait,
    /// The guest hears of it.
    NonBlocking,
}
