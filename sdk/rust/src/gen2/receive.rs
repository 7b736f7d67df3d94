use core::convert::Infallible;
use core::fmt::Display;

use alloc::boxed::Box;
use alloc::string::ToString;

use super::Batch;
use crate::error::Error;
use crate::host::{Guest, Instance};
use crate::receive::Handler;

/// Registers the handler: the function that the host calls with a batch of notices.
///
/// The handler may call everything in this module: queue and flush, even into the range of a watch
/// of the batch, and open, start or stop watches and groups. Its verbs are of the group of the
/// batch until it selects another one. Batches of one group never overlap; those of several groups
/// may be delivered on several instances at a time. The handler is registered once per instance,
/// for all watches, and cannot be replaced.
///
/// A delivery to an instance without a handler is an error, for which the host closes the watches
/// of the batch.
///
/// # Errors
///
/// - [`Error::HandlerExists`]: this instance already has a handler, which stays.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// fn begin() -> Result<(), Error> {
///     watch::receive(|batch| {
///         for notice in batch {
///             for id in notice.ids() {
///                 send(id, notice.value());
///             }
///         }
///     })
/// }
///
/// fn send(_id: &[u8], _value: u64) { /* tell who asked for the watch */ }
/// ```
pub fn receive(mut handler: impl FnMut(Batch<'_>) + 'static) -> Result<(), Error> {
    try_receive(move |batch| {
        handler(batch);
        Ok::<(), Infallible>(())
    })
}

/// As [`receive`], with a function that can fail.
///
/// The text of an error is reported to the host, cut to [`ERR_BYTES`](crate::abi::ERR_BYTES). The
/// host closes the watches of the batch; other watches and the instance stay.
///
/// # Errors
///
/// - [`Error::HandlerExists`]: this instance already has a handler, which stays.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// fn begin() -> Result<(), Error> {
///     watch::try_receive(|batch| match batch.len() {
///         0..100 => Ok(()), // go through the notices
///         _ => Err("the client is too slow"),
///     })
/// }
/// ```
pub fn try_receive<E: Display>(
    handler: impl FnMut(Batch<'_>) -> Result<(), E> + 'static,
) -> Result<(), Error> {
    Guest.register(decoded(handler))
}

/// A handler of what a delivery has in the buffer.
fn decoded<E: Display>(mut handler: impl FnMut(Batch<'_>) -> Result<(), E> + 'static) -> Handler {
    Box::new(move |buf, _value| match Batch::parse(buf) {
        Some(batch) => handler(batch).map_err(|error| error.to_string()),
        None => Err("not a batch: open watches by the verbs of generation 2".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use core::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_delivery_is_decoded_and_what_is_no_batch_is_an_error() {
        let n_notices = Rc::new(Cell::new(0));
        let seen = Rc::clone(&n_notices);
        let mut handler = decoded(move |batch| {
            seen.set(seen.get() + batch.len());
            match batch.len() {
                0 => Err("an empty one"),
                _ => Ok(()),
            }
        });
        assert_eq!(handler(b"\0\x01\0\0\0\0\0\0\0\x05\0\x01\0\x01w", 9), Ok(()));
        assert_eq!(handler(b"\0\0", 9), Err(String::from("an empty one")));
        assert!(handler(b"w1", 9).is_err(), "an id");
        assert_eq!(n_notices.get(), 1);
    }

    #[test]
    fn off_wasm_there_is_no_host() {
        assert_eq!(receive(|_| ()), Err(Error::NoHost));
        assert_eq!(try_receive(|_| Err("never")), Err(Error::NoHost));
    }
}
