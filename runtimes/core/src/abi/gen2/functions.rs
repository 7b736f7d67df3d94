//! The nine imports. Each reads its arguments from the guest's memory.

use crate::abi::flush::{check_bytes, refused};
use crate::abi::gathered::Gathered;
use crate::abi::keys::Keys;
use crate::abi::verbs::{self, id, id_work, text};
use crate::abi::{AbiError, Generation, GuestAbi, Outcome};

/// The import [`QUEUE`](super::QUEUE): gathers the value and the keys of the buffer for the next
/// [`flush`]. No keys, nothing gathered.
///
/// # Errors
///
/// [`AbiError`]: a malformed list gathers nothing; what is gathered would exceed
/// [`Limits::flush_keys`](crate::Limits::flush_keys) or
/// [`Limits::flush_bytes`](crate::Limits::flush_bytes).
pub fn queue(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    let limits = abi.watches().limits();
    let gathered = abi.gathered();
    check_bytes(buf.len() + gathered.map_or(0, Gathered::n_bytes), limits)?;
    let mut keys = Keys::new();
    keys.parse(buf, limits)?;
    let keys = keys.as_slice();
    let max_keys = limits.max_flush_keys();
    if keys.len() + gathered.map_or(0, Gathered::n_keys) > max_keys {
        return Err(AbiError::FlushTooManyKeys { max_keys });
    }
    let value = page.val(memory)?;
    if !keys.is_empty() {
        abi.gather(value, keys, buf.len());
    }
    Ok(Outcome::done(Outcome::flush_work(buf.len(), keys.len(), 0)))
}

/// The import [`FLUSH`](super::FLUSH): emits what was gathered, or stages it if the emits of the
/// guest are [staged](crate::Emits::Staged). Nothing gathered, no emit.
///
/// # Errors
///
/// [`AbiError`]: the bus refused the emits, of which none has taken effect; they match more
/// subscriptions than [`Limits::MAX_FLUSH_MATCHES`](crate::Limits::MAX_FLUSH_MATCHES); what is
/// staged would exceed its limits.
pub fn flush(abi: &mut GuestAbi, _memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    let Some(gathered) = abi.take_gathered() else {
        return Ok(Outcome::done(Outcome::UNITS_PER_FLUSH));
    };
    let watches = abi.watches();
    let n_ranges = match watches.emitter() {
        Some(emitter) => {
            let emitted = gathered.emit(emitter);
            emitted.map_err(|error| match error {
                AbiError::Emit(error) => refused(error),
                error => error,
            })?
        }
        None => {
            gathered.for_each(|value, keys| abi.stage(value, keys))?;
            0
        }
    };
    let work = Outcome::flush_work(gathered.n_bytes(), gathered.n_keys(), n_ranges);
    Ok(Outcome::done(work))
}

/// The import [`CLEAR`](super::CLEAR): drops what was gathered.
///
/// # Errors
///
/// None.
pub fn clear(abi: &mut GuestAbi, _memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    abi.take_gathered();
    Ok(Outcome::done(Outcome::UNITS_PER_FLUSH))
}

/// The import [`RESERVE`](super::RESERVE): reserves the id in the buffer.
///
/// # Errors
///
/// As [`gen1::reserve`](crate::abi::gen1::reserve).
pub fn reserve(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    verbs::reserve(abi, memory)
}

/// The import [`OPEN`](super::OPEN): opens a watch of the range in the buffer. Notices of what
/// matches are held until the watch is started.
///
/// # Errors
///
/// As [`gen1::open`](crate::abi::gen1::open).
pub fn open(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    verbs::open(abi, memory)
}

/// The import [`START`](super::START): starts the delivery of the notices that an open watch held
/// and of those from now on.
///
/// # Errors
///
/// As [`gen1::start`](crate::abi::gen1::start).
pub fn start(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    verbs::start(abi, memory)
}

/// The import [`STOP`](super::STOP): ends a watch and frees its id, both at once. No batch that is
/// delivered later names it.
///
/// When a batch that names the watch is being received on another instance, the outcome is pending
/// until that recv has returned. Inside a recv the outcome is never pending.
///
/// # Errors
///
/// As [`gen1::stop`](crate::abi::gen1::stop).
pub fn stop(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    verbs::stop(abi, memory)
}

/// The import [`GROUP_START`](super::GROUP_START): opens the group of the id in the buffer, if it
/// is not open, and selects it for the rest of the call.
///
/// # Errors
///
/// [`AbiError`] for a malformed call. An error that the guest can handle is written to its memory:
/// `Watch limit reached` beyond [`Limits::groups`](crate::Limits::groups), `Watch closed` when the
/// owner has ended, `id too long`.
pub fn group_start(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    let id = id(buf, abi.watches().limits());
    let outcome = Outcome::done(id_work(&id));
    let result = id.and_then(|id| abi.enter_group(id));
    abi.write_err(memory, text(result))?;
    Ok(outcome)
}

/// The import [`GROUP_STOP`](super::GROUP_STOP): ends the group of the id in the buffer: its
/// watches and their notices are freed at once. A recv of it that runs is not waited for.
///
/// # Errors
///
/// As [`group_start`]; `Group not found`.
pub fn group_stop(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    abi.set_generation(Generation::Two);
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    let id = id(buf, abi.watches().limits());
    let work = id_work(&id);
    let result = id.and_then(|id| abi.end_group(id));
    abi.write_err(memory, text(result.map(drop)))?;
    Ok(Outcome::done(work + Outcome::end_work(result.unwrap_or(0))))
}
