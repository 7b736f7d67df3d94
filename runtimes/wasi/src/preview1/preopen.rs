//! Functions of preopened directories.

use crate::descriptor::{Descriptor, Object};
use crate::{Errno, Wasi, memory};

/// Source: WASI preview1 witx, `prestat`: a tag, which is 0 for a directory, and the length of its
/// name.
const PRESTAT_BYTES: u32 = 8;

/// Writes the type of the preopened object `fd`, which is always a directory, and the length of its
/// path.
///
/// A libc calls this for each descriptor from 3 on, up to the first that is not preopened.
///
/// Source: WASI preview1 witx, `fd_prestat_get`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open, or not a preopened directory.
/// - [`Errno::Fault`]: the result is outside of the memory; nothing is written.
pub fn fd_prestat_get(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    prestat_out: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let len = path_of(ctx.descriptors.get_mut(fd)?)?.len();
    let len = u32::try_from(len).map_err(|_| Errno::Overflow)?;
    let prestat = memory::slice_mut(memory, prestat_out as u32, PRESTAT_BYTES)?;
    prestat[..4].fill(0);
    prestat[4..].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// Writes the guest path of the preopened directory `fd`, without a NUL. The rest of a longer
/// buffer is unchanged.
///
/// Source: WASI preview1 witx, `fd_prestat_dir_name`.
///
/// # Errors
///
/// - [`Errno::Badf`]: the descriptor is not open, or not a preopened directory.
/// - [`Errno::Nametoolong`]: the buffer is too short; nothing is written.
/// - [`Errno::Fault`]: the buffer is outside of the memory; nothing is written.
pub fn fd_prestat_dir_name(
    ctx: &mut Wasi,
    memory: &mut [u8],
    fd: i32,
    path: i32,
    path_len: i32,
) -> Result<(), Errno> {
    ctx.work.begin();
    let name = path_of(ctx.descriptors.get_mut(fd)?)?;
    ctx.work.add_bytes(name.len());
    let buf = memory::slice_mut(memory, path as u32, path_len as u32)?;
    let target = buf.get_mut(..name.len()).ok_or(Errno::Nametoolong)?;
    target.copy_from_slice(name.as_bytes());
    Ok(())
}

fn path_of(descriptor: &Descriptor) -> Result<&str, Errno> {
    match &descriptor.object {
        Object::Dir(open) => open.preopened_as.as_deref().ok_or(Errno::Badf),
        _ => Err(Errno::Badf),
    }
}
