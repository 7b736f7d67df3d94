//! Arguments and environment variables in the format that a guest reads.

use crate::costs::BYTES_PER_UNIT;
use crate::{Errno, MAX_STRINGS_BYTES, memory};

/// What a string counts besides its bytes: its pointer and its entry in the table.
const POINTER_BYTES: usize = 16;

/// NUL-terminated strings in sequence, and the offset of each.
#[derive(Default)]
pub(crate) struct StringTable {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl StringTable {
    /// Appends the concatenation of `parts`, which must not contain NUL. Returns `false` when the
    /// table would be larger than [`MAX_STRINGS_BYTES`].
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> bool {
        let added = parts.iter().map(|part| part.len()).sum::<usize>();
        let Some(offset) = offset_for(self.n_strings(), self.bytes.len(), added) else {
            return false;
        };
        self.offsets.push(offset);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.push(0);
        true
    }

    pub(crate) fn n_strings(&self) -> usize {
        self.offsets.len()
    }

    /// The work of [`write`](Self::write).
    pub(crate) fn cost(&self) -> u64 {
        let n_bytes = self.bytes.len() + self.offsets.len() * POINTER_BYTES;
        n_bytes as u64 / BYTES_PER_UNIT
    }

    /// Writes the number of strings and their total length in bytes, NULs included.
    pub(crate) fn write_sizes(
        &self,
        memory: &mut [u8],
        n_strings_out: i32,
        n_bytes_out: i32,
    ) -> Result<(), Errno> {
        let n_strings = size(self.offsets.len())?;
        let n_bytes = size(self.bytes.len())?;
        memory::slice(memory, n_bytes_out as u32, 4)?;
        memory::write_u32(memory, n_strings_out as u32, n_strings)?;
        memory::write_u32(memory, n_bytes_out as u32, n_bytes)
    }

    /// Writes the strings to `buf` and a pointer to each to `pointers`. On error it writes nothing.
    pub(crate) fn write(&self, memory: &mut [u8], pointers: i32, buf: i32) -> Result<(), Errno> {
        let (pointers, buf) = (pointers as u32, buf as u32);
        let pointers_bytes = size(self.offsets.len())?
            .checked_mul(4)
            .ok_or(Errno::Fault)?;
        memory::slice(memory, pointers, pointers_bytes)?;
        memory::slice_mut(memory, buf, size(self.bytes.len())?)?.copy_from_slice(&self.bytes);
        let table = memory::slice_mut(memory, pointers, pointers_bytes)?;
        for (pointer, offset) in table.chunks_exact_mut(4).zip(&self.offsets) {
            // Cannot overflow: the address lies within the slice that was just written.
            pointer.copy_from_slice(&buf.wrapping_add(*offset).to_le_bytes());
        }
        Ok(())
    }
}

/// Converts a size to the guest's `u32`. `push` keeps every size within `u32`.
fn size(n: usize) -> Result<u32, Errno> {
    u32::try_from(n).map_err(|_| Errno::Overflow)
}

/// The offset of string number `n_strings` of `added` bytes that is appended at `len`, if the table
/// is then within its limit.
fn offset_for(n_strings: usize, len: usize, added: usize) -> Option<u32> {
    let end = len.checked_add(added)?.checked_add(1)?;
    let pointers = n_strings.checked_add(1)?.checked_mul(POINTER_BYTES)?;
    let total = u32::try_from(end.checked_add(pointers)?).ok()?;
    if total > MAX_STRINGS_BYTES {
        return None;
    }
    u32::try_from(len).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_table_is_limited_in_bytes_and_strings() {
        let limit = MAX_STRINGS_BYTES as usize;
        assert_eq!(offset_for(0, 0, limit - 17), Some(0));
        assert_eq!(offset_for(0, 0, limit - 16), None);
        assert_eq!(offset_for(1, limit - 33, 0), Some(limit as u32 - 33));
        assert_eq!(offset_for(1, limit - 32, 0), None);
        assert!(offset_for(limit / 17 - 1, limit / 17 - 1, 0).is_some());
        assert_eq!(offset_for(limit / 17, limit / 17, 0), None);
        assert_eq!(offset_for(0, 1, usize::MAX), None);
    }
}
