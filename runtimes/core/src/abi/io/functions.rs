//! The three imports.

use super::MAX_READ_BYTES;
use crate::abi::page::{slice, slice_mut};
use crate::abi::{AbiError, GuestAbi, Outcome};

/// The import [`INPUT_LEN`](super::INPUT_LEN): `input_len() -> i32`, the bytes of the input of this
/// call. 0 outside of a call with bytes.
///
/// # Errors
///
/// None.
pub fn input_len(abi: &mut GuestAbi, _memory: &mut [u8]) -> Result<Outcome, AbiError> {
    // A longer input is refused before the call.
    let len = i32::try_from(abi.input().len()).unwrap_or(i32::MAX);
    Ok(Outcome::value(Outcome::UNITS_PER_BYTES_CALL, len))
}

/// The import [`INPUT_READ`](super::INPUT_READ): `input_read(ptr, offset, len) -> i32` copies up to
/// `len` bytes of the input from `offset` on to the address `ptr`, and returns how many: fewer at
/// the end of the input, 0 from the end on, and at most [`MAX_READ_BYTES`] at a time.
///
/// # Errors
///
/// [`AbiError::OutOfBounds`]: the bytes do not lie in the guest's memory.
pub fn input_read(
    abi: &mut GuestAbi,
    memory: &mut [u8],
    ptr: i32,
    offset: i32,
    len: i32,
) -> Result<Outcome, AbiError> {
    let input = abi.input();
    let from = (offset as u32 as usize).min(input.len());
    let n_bytes = (input.len() - from)
        .min(len as u32 as usize)
        .min(MAX_READ_BYTES);
    slice_mut(
        memory,
        "the buffer of `input_read`",
        ptr as u32,
        n_bytes as u32,
    )?
    .copy_from_slice(&input[from..from + n_bytes]);
    Ok(Outcome::value(Outcome::bytes_work(n_bytes), n_bytes as i32))
}

/// The import [`OUTPUT_WRITE`](super::OUTPUT_WRITE): `output_write(ptr, len)` appends the bytes at
/// the address `ptr` to the output of this call.
///
/// # Errors
///
/// [`AbiError::NoOutput`] outside of a call with bytes, [`AbiError::OutputTooLarge`] beyond the
/// limit, [`AbiError::OutOfBounds`].
pub fn output_write(
    abi: &mut GuestAbi,
    memory: &mut [u8],
    ptr: i32,
    len: i32,
) -> Result<Outcome, AbiError> {
    let bytes = slice(
        memory,
        "the buffer of `output_write`",
        ptr as u32,
        len as u32,
    )?;
    abi.write_output(bytes)?;
    Ok(Outcome::done(Outcome::bytes_work(bytes.len())))
}
