//! Time.

use crate::clock::GuestClock;
use crate::{Errno, Wasi, memory};

/// Source: WASI preview1 witx, `clockid`.
const REALTIME: i32 = 0;
const MONOTONIC: i32 = 1;

/// Writes the resolution of clock `id` in nanoseconds, at least 1.
///
/// Source: WASI preview1 witx, `clock_res_get`.
///
/// # Errors
///
/// - [`Errno::Inval`]: the clock is neither realtime (0) nor monotonic (1). The clocks of CPU time are not supported, and
///   this is how the specification says so.
/// - [`Errno::Fault`]: the result does not lie in memory.
pub fn clock_res_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    id: i32,
    resolution_out: i32,
) -> Result<(), Errno> {
    let resolution = match id {
        REALTIME => GuestClock::realtime_resolution_ns,
        MONOTONIC => GuestClock::monotonic_resolution_ns,
        _ => return Err(Errno::Inval),
    };
    write_reading(ctx, memory, resolution, resolution_out)
}

/// Writes the time of clock `id` in nanoseconds. The monotonic clock never goes back.
///
/// The answer is as exact as the host's clock; `precision`, the lag that the guest would tolerate, is not used.
///
/// Source: WASI preview1 witx, `clock_time_get`.
///
/// # Errors
///
/// - [`Errno::Inval`]: the clock is neither realtime (0) nor monotonic (1).
/// - [`Errno::Fault`]: the result does not lie in memory; the clock was not read.
pub fn clock_time_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    id: i32,
    _precision: i64,
    time_out: i32,
) -> Result<(), Errno> {
    let time = match id {
        REALTIME => GuestClock::realtime_ns,
        MONOTONIC => GuestClock::monotonic_ns,
        _ => return Err(Errno::Inval),
    };
    write_reading(ctx, memory, time, time_out)
}

/// Reads the clock only when there is room for the answer, as a reading may have an effect.
fn write_reading(
    ctx: &mut Wasi,
    memory: &mut [u8],
    read: impl FnOnce(&mut GuestClock) -> u64,
    out: i32,
) -> Result<(), Errno> {
    let out = out as u32;
    memory::slice(memory, out, 8)?;
    memory::write_u64(memory, out, read(&mut ctx.clock))
}
