//! Checked access to the memory of a guest.
//!
//! Pointers and lengths come from the guest and are always checked: an address outside of the
//! memory is [`Errno::Fault`]. Any alignment is accepted, as in WebAssembly itself. Numbers are
//! little endian.

pub(crate) mod iovec;

use std::ops::Range;

use crate::Errno;

/// The `len` bytes at `ptr`. An empty slice may start at the end of the memory, but not past it.
pub(crate) fn slice(memory: &[u8], ptr: u32, len: u32) -> Result<&[u8], Errno> {
    memory.get(range(ptr, len)?).ok_or(Errno::Fault)
}

/// Like [`slice`], for writing.
pub(crate) fn slice_mut(memory: &mut [u8], ptr: u32, len: u32) -> Result<&mut [u8], Errno> {
    memory.get_mut(range(ptr, len)?).ok_or(Errno::Fault)
}

/// The `u32` at offset `at` of `record`. The caller guarantees that it lies within.
pub(crate) fn u32_of(record: &[u8], at: usize) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(&record[at..at + 4]);
    u32::from_le_bytes(le)
}

/// Like [`u32_of`], for a `u64`.
pub(crate) fn u64_of(record: &[u8], at: usize) -> u64 {
    let mut le = [0; 8];
    le.copy_from_slice(&record[at..at + 8]);
    u64::from_le_bytes(le)
}

pub(crate) fn write_u32(memory: &mut [u8], ptr: u32, value: u32) -> Result<(), Errno> {
    slice_mut(memory, ptr, 4)?.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

pub(crate) fn write_u64(memory: &mut [u8], ptr: u32, value: u64) -> Result<(), Errno> {
    slice_mut(memory, ptr, 8)?.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

/// Converts to a range of host addresses. The sum may exceed `u32`, and then exceeds the memory.
fn range(ptr: u32, len: u32) -> Result<Range<usize>, Errno> {
    let start = usize::try_from(ptr).map_err(|_| Errno::Fault)?;
    let len = usize::try_from(len).map_err(|_| Errno::Fault)?;
    let end = start.checked_add(len).ok_or(Errno::Fault)?;
    Ok(start..end)
}
