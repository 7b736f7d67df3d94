//! The verbs of a guest: reserve, open, start, stop. Both generations share their states and error
//! texts; what a watch delivers differs.

use rangewatch_bus::Selector;

use super::keys::three;
use super::{AbiError, GuestAbi, Outcome};
use crate::guest::limits::Limits;
use crate::watches::guest_watches::WatchError;

pub(super) fn reserve(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    let id = id(buf, abi.watches().limits());
    let outcome = Outcome::done(id_work(&id));
    let generation = abi.generation();
    let result = id.and_then(|id| abi.namespace().reserve(id, generation));
    abi.write_err(memory, text(result))?;
    Ok(outcome)
}

pub(super) fn open(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
    let page = abi.page(memory)?;
    let buf = page.buf(memory)?;
    let [id, from, to] = three(buf)?;
    let outcome = Outcome::done(Outcome::verb_work(buf.len()));
    let range_bytes = from.len() + to.len();
    let generation = abi.generation();
    let result = self::id(id, abi.watches().limits()).and_then(|id| {
        let selector = selector(from, to);
        abi.namespace().open(id, selector, range_bytes, generation)
    });
    abi.write_err(memory, text(result))?;
    Ok(outcome)
}

pub(super) fn start(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
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

pub(super) fn stop(abi: &mut GuestAbi, memory: &mut [u8]) -> Result<Outcome, AbiError> {
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

/// The work of a function whose argument is an id. One that is too long is not read.
pub(super) fn id_work(id: &Result<&[u8], WatchError>) -> u64 {
    Outcome::verb_work(id.map_or(0, <[u8]>::len))
}

/// The id in a guest's buffer.
pub(super) fn id<'m>(buf: &'m [u8], limits: &Limits) -> Result<&'m [u8], WatchError> {
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
pub(super) fn text(result: Result<(), WatchError>) -> &'static str {
    match result {
        Ok(()) => "",
        Err(WatchError::Exists) => "Watch exists",
        Err(WatchError::NotFound) => "Watch not found",
        Err(WatchError::AlreadyOpen) => "Watch already open",
        Err(WatchError::Closed) => "Watch closed",
        Err(WatchError::Limit) => "Watch limit reached",
        Err(WatchError::IdTooLong) => "id too long",
        Err(WatchError::GroupNotFound) => "Group not found",
    }
}
