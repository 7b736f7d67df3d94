//! `random_get`.

use crate::{Errno, MAX_RANDOM_BYTES, Wasi, memory};

/// Fills `buf_len` bytes at `buf` with bytes of the context's [`Random`](crate::Random).
///
/// Source: WASI preview1 witx, `random_get`.
///
/// # Errors
///
/// - [`Errno::Fault`]: the buffer is outside of the memory; nothing is written.
/// - [`Errno::Inval`]: the buffer is longer than [`MAX_RANDOM_BYTES`]; nothing is written.
/// - The error of the source.
pub fn random_get(ctx: &mut Wasi, memory: &mut [u8], buf: i32, buf_len: i32) -> Result<(), Errno> {
    let (buf, buf_len) = (buf as u32, buf_len as u32);
    let buf = memory::slice_mut(memory, buf, buf_len)?;
    if buf_len > MAX_RANDOM_BYTES {
        return Err(Errno::Inval);
    }
    Ok(ctx.random.fill(buf)?)
}
