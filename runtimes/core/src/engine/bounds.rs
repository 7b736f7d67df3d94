//! Ranges of a guest's memory.

use std::ops::Range;

/// The guest passed an address or a length that is outside of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest passed {n_bytes} bytes at {at}, but its memory has {memory_bytes} bytes")]
#[non_exhaustive]
pub struct OutOfBounds {
    /// The address, in bytes.
    pub at: u32,
    /// The length, in bytes.
    pub n_bytes: usize,
    /// The size of the memory, in bytes.
    pub memory_bytes: usize,
}

/// The `n_bytes` at the address `at`.
#[inline]
pub(crate) fn slice(memory: &[u8], at: u32, n_bytes: usize) -> Result<&[u8], OutOfBounds> {
    range(at, n_bytes)
        .and_then(|range| memory.get(range))
        .ok_or_else(|| out_of_bounds(memory.len(), at, n_bytes))
}

/// As [`slice`].
#[inline]
pub(crate) fn slice_mut(
    memory: &mut [u8],
    at: u32,
    n_bytes: usize,
) -> Result<&mut [u8], OutOfBounds> {
    let memory_bytes = memory.len();
    range(at, n_bytes)
        .and_then(|range| memory.get_mut(range))
        .ok_or_else(|| out_of_bounds(memory_bytes, at, n_bytes))
}

/// As [`slice`], of a length that is known.
#[inline]
pub(crate) fn chunk<const N: usize>(memory: &[u8], at: u32) -> Result<&[u8; N], OutOfBounds> {
    range(at, N)
        .and_then(|range| memory.get(range)?.as_array())
        .ok_or_else(|| out_of_bounds(memory.len(), at, N))
}

/// `None` if the end wraps around, as it may on a host of 32 bits.
fn range(at: u32, n_bytes: usize) -> Option<Range<usize>> {
    let start = at as usize;
    Some(start..start.checked_add(n_bytes)?)
}

#[cold]
fn out_of_bounds(memory_bytes: usize, at: u32, n_bytes: usize) -> OutOfBounds {
    OutOfBounds {
        at,
        n_bytes,
        memory_bytes,
    }
}
