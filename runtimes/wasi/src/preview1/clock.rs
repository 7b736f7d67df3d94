//! Functions of clocks.

use crate::time::clock::GuestClock;
use crate::{Errno, Wasi, memory};

/// Source: WASI preview1 witx, `clockid`.
pub(super) const REALTIME: i32 = 0;
pub(super) const MONOTONIC: i32 = 1;
const PROCESS_CPU: i32 = 2;
const THREAD_CPU: i32 = 3;

/// Writes the resolution of clock `id` in nanoseconds, at least 1.
///
/// Source: WASI preview1 witx, `clock_res_get`.
///
/// # Errors
///
/// - [`Errno::Inval`]: the clock does not exist. Realtime (0) and monotonic (1) always exist, the
///   CPU time of the process (2) and of the thread (3) if the host's [`Clock`](crate::Clock) has
///   it; its resolution is 1.
/// - [`Errno::Fault`]: the result is outside of the memory.
pub fn clock_res_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    id: i32,
    resolution_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let resolution = match id {
        REALTIME => |clock: &mut GuestClock| Some(clock.realtime_resolution_ns()),
        MONOTONIC => |clock: &mut GuestClock| Some(clock.monotonic_resolution_ns()),
        PROCESS_CPU | THREAD_CPU => |clock: &mut GuestClock| clock.cpu_ns().map(|_| 1),
        _ => return Err(Errno::Inval),
    };
    write_reading(ctx, memory, resolution, resolution_out)
}

/// Writes the time of clock `id` in nanoseconds. The monotonic clock never goes backwards.
///
/// The time has the precision of the host's clock; `precision`, the lag that the guest would
/// accept, is ignored.
///
/// Source: WASI preview1 witx, `clock_time_get`.
///
/// # Errors
///
/// - [`Errno::Inval`]: the clock does not exist; see [`clock_res_get`].
/// - [`Errno::Fault`]: the result is outside of the memory; the clock was not read.
pub fn clock_time_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    id: i32,
    _precision: i64,
    time_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let time = match id {
        REALTIME => |clock: &mut GuestClock| Some(clock.realtime_ns()),
        MONOTONIC => |clock: &mut GuestClock| Some(clock.monotonic_ns()),
        PROCESS_CPU | THREAD_CPU => GuestClock::cpu_ns,
        _ => return Err(Errno::Inval),
    };
    write_reading(ctx, memory, time, time_out)
}

/// Checks the address before it reads the clock, because a reading may advance the clock.
fn write_reading(
    ctx: &mut Wasi,
    memory: &mut [u8],
    read: impl FnOnce(&mut GuestClock) -> Option<u64>,
    out: i32,
) -> Result<(), Errno> {
    let out = out as u32;
    memory::slice(memory, out, 8)?;
    memory::write_u64(memory, out, read(&mut ctx.clock).ok_or(Errno::Inval)?)
}
