//! Arguments and environment variables in the format that a guest reads.

use crate::{Errno, memory};

/// NUL-terminated strings in sequence, and the offset of each.
#[derive(Default)]
pub(crate) struct StringTable {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
}

impl StringTable {
    /// Appends the concatenation of `parts`, which must not contain NUL. Returns `false` when the
    /// table would be larger than a guest can address.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> bool {
        let added = parts.iter().map(|part| part.len()).sum::<usize>();
        let Some(offset) = offset_for(self.bytes.len(), added) else {
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

/// The offset of a string of `added` bytes that is appended at `len`, if it and its NUL end within
/// `u32`.
fn offset_for(len: usize, added: usize) -> Option<u32> {
    let end = len.checked_add(added)?.checked_add(1)?;
    u32::try_from(end).ok()?;
    u32::try_from(len).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_table_is_limited_to_32_bit_sizes() {
        let limit = u32::MAX as usize;
        assert_eq!(offset_for(0, limit - 1), Some(0));
        assert_eq!(offset_for(0, limit), None);
        assert_eq!(offset_for(limit - 1, 0), Some(u32::MAX - 1));
        assert_eq!(offset_for(limit, 0), None);
        assert_eq!(offset_for(1, usize::MAX), None);
    }
}
