//! The program itself: its arguments, its environment, its end.

use crate::{Errno, Exit, Wasi};

/// Writes the arguments, each with a NUL, to `argv_buf`, and a pointer to each to `argv`.
///
/// Source: WASI preview1 witx, `args_get`.
///
/// # Errors
///
/// [`Errno::Fault`] when either array does not lie in memory; nothing is written then.
pub fn args_get(ctx: &mut Wasi, memory: &mut [u8], argv: i32, argv_buf: i32) -> Result<(), Errno> {
    ctx.args.write(memory, argv, argv_buf)
}

/// Writes the number of arguments and their bytes in all, NULs included.
///
/// Source: WASI preview1 witx, `args_sizes_get`.
///
/// # Errors
///
/// [`Errno::Fault`] when a result does not lie in memory; nothing is written then.
pub fn args_sizes_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    argc_out: i32,
    argv_buf_size_out: i32,
) -> Result<(), Errno> {
    ctx.args.write_sizes(memory, argc_out, argv_buf_size_out)
}

/// Writes the variables, each as `key=value` with a NUL, to `environ_buf`, and a pointer to each to `environ`.
///
/// Source: WASI preview1 witx, `environ_get`.
///
/// # Errors
///
/// [`Errno::Fault`] when either array does not lie in memory; nothing is written then.
pub fn environ_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    environ: i32,
    environ_buf: i32,
) -> Result<(), Errno> {
    ctx.env.write(memory, environ, environ_buf)
}

/// Writes the number of variables and their bytes in all, NULs included.
///
/// Source: WASI preview1 witx, `environ_sizes_get`.
///
/// # Errors
///
/// [`Errno::Fault`] when a result does not lie in memory; nothing is written then.
pub fn environ_sizes_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    environc_out: i32,
    environ_buf_size_out: i32,
) -> Result<(), Errno> {
    ctx.env
        .write_sizes(memory, environc_out, environ_buf_size_out)
}

/// Ends the guest with `code`, after its output streams are flushed.
///
/// The guest must not run on; the backend ends the call with the [`Exit`]. An error of flushing is nobody's to handle
/// any more: the code stands.
///
/// Source: WASI preview1 witx, `proc_exit`.
pub fn proc_exit(ctx: &mut Wasi, _memory: &mut [u8], code: i32) -> Exit {
    let _ = ctx.flush();
    Exit::new(code as u32)
}

/// Not supported: there are no signals.
///
/// Source: WASI preview1 witx, `proc_raise`.
///
/// # Errors
///
/// [`Errno::Notsup`], always.
pub fn proc_raise(_ctx: &mut Wasi, _memory: &mut [u8], _signal: i32) -> Result<(), Errno> {
    Err(Errno::Notsup)
}

/// Succeeds and does nothing: a guest has one thread, which it cannot give away.
///
/// Source: WASI preview1 witx, `sched_yield`.
///
/// # Errors
///
/// None.
pub fn sched_yield(_ctx: &mut Wasi, _memory: &mut [u8]) -> Result<(), Errno> {
    Ok(())
}
