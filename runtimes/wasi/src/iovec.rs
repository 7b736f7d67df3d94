//! Tables of buffers in the memory of a guest.

use crate::{Errno, MAX_IOVECS, MAX_TRANSFER_BYTES, memory};

/// The size in bytes of one entry: a pointer and a length.
const ENTRY_BYTES: u32 = 8;

/// Tables of up to this many entries, which are nearly all, are read without allocating.
const INLINE: usize = 8;

/// One buffer, known to lie within the memory that it was read from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Iovec {
    pub(crate) ptr: u32,
    pub(crate) len: u32,
}

/// The buffers of one call: those that are not empty, up to [`MAX_TRANSFER_BYTES`] in all.
///
/// The table is read once, before the call has any effect, so that a buffer which overlaps the table cannot change it
/// after it was checked.
#[derive(Debug)]
pub(crate) struct Iovecs {
    inline: [Iovec; INLINE],
    spilled: Vec<Iovec>,
    n_iovecs: usize,
    total_bytes: u32,
}

impl Iovecs {
    /// Reads and checks the `len` entries at `ptr`.
    ///
    /// Entries past the transfer limit are checked like the others and then left out, the last one cut.
    pub(crate) fn read(memory: &[u8], ptr: i32, len: i32) -> Result<Self, Errno> {
        let n_entries = len as u32;
        if n_entries > MAX_IOVECS {
            return Err(Errno::Inval);
        }
        let table = memory::slice(memory, ptr as u32, n_entries * ENTRY_BYTES)?;
        let mut iovecs = Self::empty();
        for entry in table.chunks_exact(ENTRY_BYTES as usize) {
            let (ptr, len) = entry.split_at(4);
            let (ptr, len) = (decode(ptr), decode(len));
            memory::slice(memory, ptr, len)?;
            iovecs.push(Iovec {
                ptr,
                len: len.min(MAX_TRANSFER_BYTES - iovecs.total_bytes),
            });
        }
        Ok(iovecs)
    }

    pub(crate) fn as_slice(&self) -> &[Iovec] {
        if self.spilled.is_empty() {
            &self.inline[..self.n_iovecs]
        } else {
            &self.spilled
        }
    }

    /// The bytes of all buffers, at most [`MAX_TRANSFER_BYTES`].
    pub(crate) fn total_bytes(&self) -> u32 {
        self.total_bytes
    }

    /// The buffers up to the first `n_bytes`.
    pub(crate) fn first(&self, n_bytes: u32) -> Self {
        let mut first = Self::empty();
        for iovec in self.as_slice() {
            let len = iovec.len.min(n_bytes - first.total_bytes);
            first.push(Iovec { len, ..*iovec });
        }
        first
    }

    fn empty() -> Self {
        Self {
            inline: Default::default(),
            spilled: Vec::new(),
            n_iovecs: 0,
            total_bytes: 0,
        }
    }

    fn push(&mut self, iovec: Iovec) {
        if iovec.len == 0 {
            return;
        }
        self.total_bytes += iovec.len;
        if self.n_iovecs < INLINE {
            self.inline[self.n_iovecs] = iovec;
        } else {
            if self.spilled.is_empty() {
                self.spilled.extend_from_slice(&self.inline);
            }
            self.spilled.push(iovec);
        }
        self.n_iovecs += 1;
    }
}

fn decode(bytes: &[u8]) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(bytes);
    u32::from_le_bytes(le)
}
