//! `random_get`.

use crate::costs::BYTES_PER_UNIT;
use crate::wait::{Done, Wait};
use crate::{Errno, Interrupt, MAX_RANDOM_BYTES, Wasi, WorkMeter, memory};

/// How many bytes one attempt fills: they cost less than a slice. A power of two, so that a
/// generator that works in words or blocks gives the same bytes as in one attempt.
const PART_BYTES: usize = 1 << 20;

const _: () = assert!(PART_BYTES as u64 / BYTES_PER_UNIT < WorkMeter::DEFAULT_SLICE);

/// Fills `buf_len` bytes at `buf` with bytes of the context's [`Random`](crate::Random).
///
/// A buffer of more than 1 MiB is filled in parts, and the guest yields between them.
///
/// Source: WASI preview1 witx, `random_get`.
///
/// # Errors
///
/// - [`Errno::Fault`]: the buffer is outside of the memory; nothing is written.
/// - [`Errno::Inval`]: the buffer is longer than [`MAX_RANDOM_BYTES`]; nothing is written.
/// - [`Interrupt::Wait`]: the buffer is filled in part.
/// - The error of the source. The buffer may be filled in part.
pub fn random_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    buf: i32,
    buf_len: i32,
) -> Result<(), Interrupt> {
    ctx.work.begin();
    let n_filled = match ctx.take_wait().and_then(|wait| wait.done) {
        Some(Done::Filled { n_bytes }) => n_bytes,
        _ => 0,
    };
    let (buf, buf_len) = (buf as u32, buf_len as u32);
    let buf = memory::slice_mut(memory, buf, buf_len)?;
    if buf_len > MAX_RANDOM_BYTES {
        return Err(Errno::Inval.into());
    }
    let rest = buf.get_mut(n_filled as usize..).unwrap_or_default();
    let n_rest = rest.len();
    let part = &mut rest[..n_rest.min(PART_BYTES)];
    ctx.work.add_bytes(part.len());
    ctx.random.fill(part).map_err(Errno::from)?;
    if part.len() < n_rest {
        let n_bytes = n_filled + part.len() as u32;
        return Err(ctx.wait_for(Wait::for_next_part(Done::Filled { n_bytes })));
    }
    Ok(())
}
