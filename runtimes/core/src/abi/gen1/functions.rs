//! The five imports. Each reads its arguments from the guest's memory.

use crate::abi::flush::{check_bytes, refused};
use crate::abi::keys::Keys;
use crate::abi::{AbiError, Generation, GuestAbi, Outcome, gen2, verbs};

/// The import [`FLUSH`](super::FLUSH): emits the keys of the buffer, as one emit. No keys, no emit.
/// In a guest of generation 2 it is [`gen2::flush`].
///
/// # Errors
///
/// [`AbiError`]: a malformed list emits nothing; the bus refused the emit.
pub fn flush(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    if abi.generation() == Generation::Two {
        return gen2::flush(abi, memory);
    }
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    if buf.is_empty() {
        return Ok(Outcome::done(Outcome::UNITS_PER_FLUSH));
    }
    check_bytes(buf.len(), abi.watches().limits())?;
    let mut keys = Keys::new();
    keys.parse(buf, abi.watches().limits())?;
    let keys = keys.as_slice();
    let value = page.val(memory)?;
    let n_ranges = match abi.watches().emitter() {
        Some(emitter) => emitter.emit(value, keys).map_err(refused)?.n_ranges(),
        None => {
            abi.stage(value, keys)?;
            0
        }
    };
    let work = Outcome::flush_work(buf.len(), keys.len(), n_ranges);
    Ok(Outcome::done(work))
}

/// The import [`RESERVE`](super::RESERVE): reserves the id in the buffer.
///
/// # Errors
///
/// [`AbiError`] for a malformed call. An error that the guest can handle (the id exists) is written
/// to its memory.
pub fn reserve(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    verbs::reserve(abi, memory)
}

/// The import [`OPEN`](super::OPEN): opens a watch of the range in the buffer. What matches is held
/// until the watch is started.
///
/// # Errors
///
/// As [`reserve`]; also [`AbiError::OpenKeys`].
pub fn open(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    verbs::open(abi, memory)
}

/// The import [`START`](super::START): starts the delivery of what an open watch held and of what
/// matches from now on.
///
/// # Errors
///
/// As [`reserve`]; also [`AbiError::NoRecv`].
pub fn start(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    verbs::start(abi, memory)
}

/// The import [`STOP`](super::STOP): ends a watch and frees its id, both at once. A watch that
/// takes the id afterwards is another one.
///
/// When a callback of the watch runs on another instance, the outcome is pending until it has
/// returned. Inside a callback the outcome is never pending.
///
/// # Errors
///
/// As [`reserve`].
pub fn stop(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    verbs::stop(abi, memory)
}

/// The import [`gen2::QUEUE`] under the module of this generation: [`gen2::queue`].
///
/// # Errors
///
/// As [`gen2::queue`].
pub fn queue(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    gen2::queue(abi, memory)
}

/// The import [`gen2::CLEAR`] under the module of this generation: [`gen2::clear`].
///
/// # Errors
///
/// As [`gen2::clear`].
pub fn clear(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    gen2::clear(abi, memory)
}

/// The import [`gen2::GROUP_START`] under the module of this generation: [`gen2::group_start`].
///
/// # Errors
///
/// As [`gen2::group_start`].
pub fn group_start(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    gen2::group_start(abi, memory)
}

/// The import [`gen2::GROUP_STOP`] under the module of this generation: [`gen2::group_stop`].
///
/// # Errors
///
/// As [`gen2::group_stop`].
pub fn group_stop(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    gen2::group_stop(abi, memory)
}
