//! Waiting.

use crate::{Errno, Wasi};

/// Not supported.
///
/// Source: WASI preview1 witx, `poll_oneoff`.
///
/// # Errors
///
/// [`Errno::Nosys`], always.
pub fn poll_oneoff(
    _ctx: &mut Wasi,
    _memory: &mut [u8],
    _subscriptions: i32,
    _events: i32,
    _nsubscriptions: i32,
    _nevents_out: i32,
) -> Result<(), Errno> {
    Err(Errno::Nosys)
}
