//! Functions of the process: arguments, environment, exit, signals, yielding.

use crate::wait::Wait;
use crate::{Errno, Exit, Interrupt, Signal, SignalPolicy, Wasi};

/// Writes the arguments, each with a NUL, to `argv_buf`, and a pointer to each to `argv`.
///
/// Source: WASI preview1 witx, `args_get`.
///
/// # Errors
///
/// [`Errno::Fault`]: an array is outside of the memory; nothing is written.
pub fn args_get(ctx: &mut Wasi, memory: &mut [u8], argv: i32, argv_buf: i32) -> Result<(), Errno> {
    ctx.work.begin();
    ctx.work.add(ctx.args.cost());
    ctx.args.write(memory, argv, argv_buf)
}

/// Writes the number of arguments and their total length in bytes, NULs included.
///
/// Source: WASI preview1 witx, `args_sizes_get`.
///
/// # Errors
///
/// [`Errno::Fault`]: a result is outside of the memory; nothing is written.
pub fn args_sizes_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    argc_out: i32,
    argv_buf_size_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    ctx.args.write_sizes(memory, argc_out, argv_buf_size_out)
}

/// Writes the variables, each as `key=value` with a NUL, to `environ_buf`, and a pointer to each to
/// `environ`.
///
/// Source: WASI preview1 witx, `environ_get`.
///
/// # Errors
///
/// [`Errno::Fault`]: an array is outside of the memory; nothing is written.
pub fn environ_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    environ: i32,
    environ_buf: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    ctx.work.add(ctx.env.cost());
    ctx.env.write(memory, environ, environ_buf)
}

/// Writes the number of variables and their total length in bytes, NULs included.
///
/// Source: WASI preview1 witx, `environ_sizes_get`.
///
/// # Errors
///
/// [`Errno::Fault`]: a result is outside of the memory; nothing is written.
pub fn environ_sizes_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    environc_out: i32,
    environ_buf_size_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    ctx.env
        .write_sizes(memory, environc_out, environ_buf_size_out)
}

/// Ends the guest with `code`, after flushing its output streams.
///
/// The backend ends the call with the [`Exit`], and the guest must not run again. An error of
/// flushing is ignored: the guest cannot handle it any more.
///
/// Source: WASI preview1 witx, `proc_exit`.
pub fn proc_exit(ctx: &mut Wasi, _memory: &mut [u8], code: i32) -> Exit {
    ctx.work.begin();
    let _ = ctx.flush();
    Exit::new(code as u32)
}

/// Handles `signal` by the [`SignalPolicy`](crate::SignalPolicy) of the context. The default is an
/// error.
///
/// Source: WASI preview1 witx, `proc_raise`.
///
/// # Errors
///
/// - [`Errno::Inval`]: the signal is unknown.
/// - [`Errno::Notsup`]: the context is built with [`SignalPolicy::Refuse`], the default.
/// - [`Interrupt::Signal`]: the signal ends the guest. Its output streams are flushed.
pub fn proc_raise(ctx: &mut Wasi, _memory: &mut [u8], signal: i32) -> Result<(), Interrupt> {
    ctx.work.begin();
    let signal = Signal::from_number(signal).ok_or(Errno::Inval)?;
    match ctx.signal_policy {
        SignalPolicy::Refuse => Err(Errno::Notsup.into()),
        SignalPolicy::Default if signal.ends_the_process() => {
            let _ = ctx.flush();
            Err(Interrupt::Signal(signal))
        }
        SignalPolicy::Default => Ok(()),
    }
}

/// Yields the thread to other tasks of the executor, or to other threads of the host. A guest
/// itself has one thread.
///
/// Source: WASI preview1 witx, `sched_yield`.
///
/// # Errors
///
/// [`Interrupt::Wait`], once per call.
pub fn sched_yield(ctx: &mut Wasi, _memory: &mut [u8]) -> Result<(), Interrupt> {
    ctx.work.begin();
    match ctx.take_wait() {
        Some(_) => Ok(()),
        None => Err(ctx.wait_for(Wait::for_yield())),
    }
}
