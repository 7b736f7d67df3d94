//! The meta page: the addresses of the variables through which a guest passes arguments.

use crate::abi::AbiError;
use crate::engine::bounds;

/// The addresses of a guest's variables. They never change; the variables do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    buf: u32,
    buf_cap: u32,
    buf_len: u32,
    err: u32,
    err_cap: u32,
    err_len: u32,
    val: u32,
}

impl Page {
    /// Reads the seven little-endian addresses at `address`. An address of 0 is one that the guest
    /// has not set: no linker places a variable there.
    pub(super) fn read(memory: &[u8], address: u32) -> Result<Self, AbiError> {
        let mut slots = [0; 7];
        let bytes: &[u8; 28] = chunk(memory, "the meta page", address)?;
        for (slot, bytes) in slots.iter_mut().zip(bytes.as_chunks().0) {
            *slot = u32::from_le_bytes(*bytes);
        }
        if slots.contains(&0) {
            return Err(AbiError::PageNotSet { address });
        }
        let [buf, buf_cap, buf_len, err, err_cap, err_len, val] = slots;
        Ok(Self {
            buf,
            buf_cap,
            buf_len,
            err,
            err_cap,
            err_len,
            val,
        })
    }

    /// The contents of the guest's buffer.
    pub(super) fn buf<'m>(&self, memory: &'m [u8]) -> Result<&'m [u8], AbiError> {
        let len = read_u32(memory, "buf_len", self.buf_len)?;
        let cap = read_u32(memory, "buf_cap", self.buf_cap)?;
        if len > cap {
            return Err(AbiError::BufferOverfull { len, cap });
        }
        slice(memory, "buf", self.buf, len)
    }

    /// The value to emit.
    pub(super) fn val(&self, memory: &[u8]) -> Result<u64, AbiError> {
        chunk(memory, "val", self.val).map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Writes the result of a call: an empty text is success. Returns the part that was written,
    /// which is shorter than the text if the text does not fit.
    pub(super) fn write_err<'t>(
        &self,
        memory: &mut [u8],
        text: &'t str,
    ) -> Result<&'t [u8], AbiError> {
        let cap = read_u32(memory, "err_cap", self.err_cap)?;
        let len = cap.min(u32::try_from(text.len()).unwrap_or(u32::MAX));
        let written = &text.as_bytes()[..len as usize];
        slice_mut(memory, "err", self.err, len)?.copy_from_slice(written);
        write_u32(memory, "err_len", self.err_len, len)?;
        Ok(written)
    }

    /// Puts the arguments of a recv in place.
    pub(super) fn deliver(&self, memory: &mut [u8], id: &[u8], value: u64) -> Result<(), AbiError> {
        let cap = read_u32(memory, "buf_cap", self.buf_cap)?;
        let len = u32::try_from(id.len())
            .ok()
            .filter(|len| *len <= cap)
            .ok_or(AbiError::IdTooLong {
                id_bytes: id.len(),
                cap,
            })?;
        slice_mut(memory, "buf", self.buf, len)?.copy_from_slice(id);
        write_u32(memory, "buf_len", self.buf_len, len)?;
        slice_mut(memory, "val", self.val, 8)?.copy_from_slice(&value.to_le_bytes());
        write_u32(memory, "err_len", self.err_len, 0)
    }

    /// The guest's buffer of its whole capacity, or its first `max_bytes`, for a batch that the
    /// guest receives. It is empty until [`end_batch`](Self::end_batch).
    pub(super) fn begin_batch<'m>(
        &self,
        memory: &'m mut [u8],
        max_bytes: u32,
    ) -> Result<&'m mut [u8], AbiError> {
        let cap = read_u32(memory, "buf_cap", self.buf_cap)?;
        write_u32(memory, "buf_len", self.buf_len, 0)?;
        write_u32(memory, "err_len", self.err_len, 0)?;
        slice_mut(memory, "buf", self.buf, cap.min(max_bytes))
    }

    /// Sets the length of a batch.
    pub(super) fn end_batch(&self, memory: &mut [u8], len: usize) -> Result<(), AbiError> {
        // At most the capacity.
        write_u32(memory, "buf_len", self.buf_len, len as u32)
    }

    /// Takes the error text that the guest wrote, if it wrote one. `host_text` is what the host
    /// wrote there last, which is none of the guest. A length beyond the capacity is a text too, of
    /// the part that can be read.
    pub(super) fn take_err(
        &self,
        memory: &mut [u8],
        host_text: &[u8],
    ) -> Result<Option<String>, AbiError> {
        let len = read_u32(memory, "err_len", self.err_len)?;
        if len == 0 {
            return Ok(None);
        }
        write_u32(memory, "err_len", self.err_len, 0)?;
        let cap = read_u32(memory, "err_cap", self.err_cap)?;
        let bytes = slice(memory, "err", self.err, len.min(cap).min(REPORT_BYTES))?;
        if len <= cap && bytes == host_text {
            return Ok(None);
        }
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if len > cap {
            text = format!("(err_len is {len} but err_cap is {cap}) {text}");
        }
        Ok(Some(text))
    }
}

/// Bytes of a guest's error text that are kept: a hostile guest could otherwise make the host copy
/// all of its memory at every callback.
const REPORT_BYTES: u32 = 4096;

pub(super) fn slice<'m>(
    memory: &'m [u8],
    what: &'static str,
    address: u32,
    n_bytes: u32,
) -> Result<&'m [u8], AbiError> {
    bounds::slice(memory, address, n_bytes as usize)
        .map_err(|source| AbiError::OutOfBounds { what, source })
}

pub(super) fn slice_mut<'m>(
    memory: &'m mut [u8],
    what: &'static str,
    address: u32,
    n_bytes: u32,
) -> Result<&'m mut [u8], AbiError> {
    bounds::slice_mut(memory, address, n_bytes as usize)
        .map_err(|source| AbiError::OutOfBounds { what, source })
}

/// The `N` bytes at an address.
fn chunk<'m, const N: usize>(
    memory: &'m [u8],
    what: &'static str,
    address: u32,
) -> Result<&'m [u8; N], AbiError> {
    bounds::chunk(memory, address).map_err(|source| AbiError::OutOfBounds { what, source })
}

fn read_u32(memory: &[u8], what: &'static str, address: u32) -> Result<u32, AbiError> {
    chunk(memory, what, address).map(|bytes| u32::from_le_bytes(*bytes))
}

fn write_u32(
    memory: &mut [u8],
    what: &'static str,
    address: u32,
    value: u32,
) -> Result<(), AbiError> {
    slice_mut(memory, what, address, 4).map(|bytes| bytes.copy_from_slice(&value.to_le_bytes()))
}
