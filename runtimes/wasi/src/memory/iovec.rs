//! Tables of buffers (iovecs) in the memory of a guest.

use std::io;
use std::task::Poll;

use crate::costs::{IOVEC, Work};
use crate::{Errno, Interrupt, MAX_IOVECS, MAX_TRANSFER_BYTES, memory};

/// The size in bytes of one entry: a pointer and a length.
const ENTRY_BYTES: u32 = 8;

/// Tables of up to this many entries are read without allocating. Nearly all tables are this short.
const INLINE: usize = 8;

/// The most bytes that are read at once for a request with several buffers.
const SCATTER_BYTES: usize = 64 << 10;

/// One buffer, checked to lie within the memory that it was read from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Iovec {
    pub(crate) ptr: u32,
    pub(crate) len: u32,
}

/// The buffers of one call without the empty ones, up to [`MAX_TRANSFER_BYTES`] in total.
///
/// The table is read once, before the call has any effect: a buffer that overlaps the table cannot
/// change it after the check.
#[derive(Debug)]
pub(crate) struct Iovecs {
    inline: [Iovec; INLINE],
    spilled: Vec<Iovec>,
    n_iovecs: usize,
    total_bytes: u32,
}

impl Iovecs {
    /// Reads and checks the `len` entries at `ptr`. Adds their cost to `work`.
    ///
    /// Entries past the transfer limit are checked like the others and then left out; the entry
    /// that reaches the limit is cut.
    pub(crate) fn read(work: &Work, memory: &[u8], ptr: i32, len: i32) -> Result<Self, Errno> {
        let n_entries = len as u32;
        if n_entries > MAX_IOVECS {
            return Err(Errno::Inval);
        }
        work.add(IOVEC * u64::from(n_entries));
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

    /// The sum of the buffers' lengths, at most [`MAX_TRANSFER_BYTES`].
    pub(crate) fn total_bytes(&self) -> u32 {
        self.total_bytes
    }

    /// How many bytes a transfer may copy to or from a buffer of the host: none for one buffer of
    /// the guest.
    pub(crate) fn staged_bytes(&self) -> usize {
        match self.as_slice() {
            [] | [_] => 0,
            _ => SCATTER_BYTES.min(self.total_bytes as usize),
        }
    }

    /// The buffers up to the first `n_bytes` bytes.
    pub(crate) fn first(&self, n_bytes: u32) -> Self {
        let mut first = Self::empty();
        for iovec in self.as_slice() {
            let len = iovec.len.min(n_bytes - first.total_bytes);
            first.push(Iovec { len, ..*iovec });
        }
        first
    }

    /// Copies the start of `bytes` into the buffers, in order. Returns the number of bytes copied.
    pub(crate) fn scatter(&self, memory: &mut [u8], bytes: &[u8]) -> Result<u32, Errno> {
        let mut rest = bytes;
        let mut n_bytes = 0;
        for iovec in self.as_slice() {
            let buf = memory::slice_mut(memory, iovec.ptr, iovec.len)?;
            let len = buf.len().min(rest.len());
            let (now, later) = rest.split_at(len);
            buf[..len].copy_from_slice(now);
            rest = later;
            n_bytes += len as u32;
        }
        Ok(n_bytes)
    }

    /// Fills the buffers with the result of one call of `read`; a second call, for the remaining
    /// buffers, might block. Returns the number of bytes read.
    pub(crate) fn read_once(
        &self,
        memory: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Result<u32, Interrupt> {
        match self.as_slice() {
            [] => Ok(0),
            [only] => {
                let buf = memory::slice_mut(memory, only.ptr, only.len)?;
                let n_bytes = read_into(buf, read)?;
                Ok(u32::try_from(n_bytes).map_err(|_| Errno::Overflow)?)
            }
            _ => {
                let mut buf = vec![0; SCATTER_BYTES.min(self.total_bytes as usize)];
                let n_bytes = read_into(&mut buf, read)?;
                Ok(self.scatter(memory, &buf[..n_bytes])?)
            }
        }
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

/// Calls `read` and clamps the count that it returns: a faulty reader may report more bytes than
/// the buffer holds.
fn read_into(
    buf: &mut [u8],
    read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Result<usize, Interrupt> {
    match read(buf) {
        Poll::Ready(Ok(n_bytes)) => Ok(n_bytes.min(buf.len())),
        Poll::Ready(Err(error)) => Err(Errno::from(error).into()),
        Poll::Pending => Err(Interrupt::Wait),
    }
}

fn decode(bytes: &[u8]) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(bytes);
    u32::from_le_bytes(le)
}
