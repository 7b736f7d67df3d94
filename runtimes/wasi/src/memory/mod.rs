//! Checked access to the memory of a guest.
//!
//! Pointers and lengths come from the guest and are never trusted; whatever is outside of the memory is
//! [`Errno::Fault`]. Any alignment is accepted, as WebAssembly itself does. Numbers are little endian.

pub(crate) mod iovec;

use std::ops::Range;

use crate::Errno;

/// The `len` bytes at `ptr`. An empty slice may stand at the end of the memory, but not behind it.
pub(crate) fn slice(memory: &[u8], ptr: u32, len: u32) -> Result<&[u8], Errno> {
    memory.get(range(ptr, len)?).ok_or(Errno::Fault)
}

/// As [`slice`], for writing.
pub(crate) fn slice_mut(memory: &mut [u8], ptr: u32, len: u32) -> Result<&mut [u8], Errno> {
    memory.get_mut(range(ptr, len)?).ok_or(Errno::Fault)
}

/// The number at `at` of a record that holds it.
pub(crate) fn u32_of(record: &[u8], at: usize) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(&record[at..at + 4]);
    u32::from_le_bytes(le)
}

/// As [`u32_of`], of 8 bytes.
pub(crate) fn u64_of(record: &[u8], at: usize) -> u64 {
    let mut le = [0; 8];
    le.copy_from_slice(&record[at..at + 8]);
    u64::from_le_bytes(le)
}

/// Writes one `u32` at `ptr`.
pub(crate) fn write_u32(memory: &mut [u8], ptr: u32, value: u32) -> Result<(), Errno> {
    slice_mut(memory, ptr, 4)?.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

/// Writes one `u64` at `ptr`.
pub(crate) fn write_u64(memory: &mut [u8], ptr: u32, value: u64) -> Result<(), Errno> {
    slice_mut(memory, ptr, 8)?.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

/// The range in host terms. Pointer plus length may exceed `u32`, but not the memory of a 64-bit host.
fn range(ptr: u32, len: u32) -> Result<Range<usize>, Errno> {
    let start = usize::try_from(ptr).map_err(|_| Errno::Fault)?;
    let len = usize::try_from(len).map_err(|_| Errno::Fault)?;
    let end = start.checked_add(len).ok_or(Errno::Fault)?;
    Ok(start..end)
}
