//! The five imports. Each reads its arguments from the guest's memory.

use rangewatch_bus::{EmitError, Selector};

use super::keys::{Keys, three};
use crate::abi::{AbiError, GuestAbi, Outcome};
use crate::guest::limits::Limits;
use crate::watches::guest_watches::WatchError;

/// The import [`FLUSH`](super::FLUSH): emits the keys of the buffer, as one emit. No keys, no emit.
///
/// # Errors
///
/// [`AbiError`]: a malformed list emits nothing; the bus refused the emit.
pub fn flush(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    if buf.is_empty() {
        return Ok(Outcome::done(Outcome::UNITS_PER_FLUSH));
    }
    let max_bytes = abi.watches().limits().max_flush_bytes();
    if buf.len() > max_bytes {
        return Err(AbiError::FlushTooLarge {
            bytes: buf.len(),
            max_bytes,
        });
    }
    let mut keys = Keys::new();
    keys.parse(buf, abi.watches().limits())?;
    let keys = keys.as_slice();
    let value = page.val(memory)?;
    let n_matched = match abi.watches().emitter() {
        Some(emitter) => emitter.emit(value, keys).map_err(refused)?.matched(),
        None => {
            abi.stage(value, keys)?;
            0
        }
    };
    let work = Outcome::flush_work(buf.len(), keys.len(), n_matched);
    Ok(Outcome::done(work))
}

/// The import [`RESERVE`](super::RESERVE): reserves the id in the buffer.
///
/// # Errors
///
/// [`AbiError`] for a malformed call. An error that the guest can handle (the id exists) is written
/// to its memory.
pub fn reserve(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    let id = id(buf, abi.watches().limits());
    let outcome = Outcome::done(id_work(&id));
    let result = id.and_then(|id| abi.namespace().reserve(id));
    abi.write_err(memory, text(result))?;
    Ok(outcome)
}

/// The import [`OPEN`](super::OPEN): opens a watch of the range in the buffer. What matches is held
/// until the watch is started.
///
/// # Errors
///
/// As [`reserve`]; also [`AbiError::OpenKeys`].
pub fn open(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    let [id, from, to] = three(buf)?;
    let outcome = Outcome::done(Outcome::verb_work(buf.len()));
    let range_bytes = from.len() + to.len();
    let result = self::id(id, abi.watches().limits())
        .and_then(|id| abi.namespace().open(id, selector(from, to), range_bytes));
    abi.write_err(memory, text(result))?;
    Ok(outcome)
}

/// The import [`START`](super::START): starts the delivery of what an open watch held and of what
/// matches from now on.
///
/// # Errors
///
/// As [`reserve`]; also [`AbiError::NoRecv`].
pub fn start(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    let page = abi.page(memory)?;
    if !abi.can_receive() {
        return Err(AbiError::NoRecv);
    }
    let buf = page.buf(memory)?;
    let id = id(buf, abi.watches().limits());
    let outcome = Outcome::done(id_work(&id));
    let result = id.and_then(|id| abi.namespace().start(id));
    abi.write_err(memory, text(result))?;
    Ok(outcome)
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
    if let Some(outcome) = abi.retry() {
        return Ok(outcome);
    }
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    let id = id(buf, abi.watches().limits());
    let work = id_work(&id);
    let result = id.and_then(|id| abi.namespace().stop(id, abi.is_in_recv()));
    let (running, result) = match result {
        Ok(running) => (running, Ok(())),
        Err(error) => (None, Err(error)),
    };
    abi.write_err(memory, text(result))?;
    Ok(match running {
        Some(running) => abi.wait(running, work),
        None => Outcome::done(work),
    })
}

/// Why the bus refused an emit. A value that is refused because it is the last one may come from a
/// guest that needs several flushes for one emit.
fn refused(error: EmitError) -> AbiError {
    match error {
        EmitError::NotIncreasing { value, head } if value == head => AbiError::EmitNotStaged(error),
        error => AbiError::Emit(error),
    }
}

/// The work of a function whose argument is an id. One that is too long is not read.
fn id_work(id: &Result<&[u8], WatchError>) -> u64 {
    Outcome::verb_work(id.map_or(0, <[u8]>::len))
}

/// The id in a guest's buffer.
fn id<'m>(buf: &'m [u8], limits: &Limits) -> Result<&'m [u8], WatchError> {
    if buf.len() > limits.max_id_bytes() {
        return Err(WatchError::IdTooLong);
    }
    Ok(buf)
}

/// The range of `open`. Source: ABI.md; an empty end, or one equal to the start, means the one key;
/// an inverted range is accepted and matches nothing.
fn selector(from: &[u8], to: &[u8]) -> Option<Selector> {
    if to.is_empty() || from == to {
        Some(Selector::key(from))
    } else if from < to {
        Some(Selector::range(from, to))
    } else {
        None
    }
}

/// The exact error strings of the ABI; empty is success.
fn text(result: Result<(), WatchError>) -> &'static str {
    match result {
        Ok(()) => "",
        Err(WatchError::Exists) => "Watch exists",
        Err(WatchError::NotFound) => "Watch not found",
        Err(WatchError::AlreadyOpen) => "Watch already open",
        Err(WatchError::Closed) => "Watch closed",
        Err(WatchError::Limit) => "Watch limit reached",
        Err(WatchError::IdTooLong) => "id too long",
    }
}
