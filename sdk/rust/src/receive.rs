use core::fmt::Display;

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use crate::error::Error;
use crate::host::{Guest, Instance};

/// What a delivery calls: with the bytes of the buffer, and the value.
pub(crate) type Handler = Box<dyn FnMut(&[u8], u64) -> Result<(), String>>;

/// Registers the handler: the function that the host calls with the id of a watch and a value.
///
/// The value is the first one that matched since the handler was last entered for that watch; a
/// scan of the store from it finds the later ones. The handler may call everything in this crate:
/// emit, even into the range of its own watch, and open, start or stop watches, its own included.
/// It is registered once per instance, for all watches, and cannot be replaced. It is of watches
/// that the verbs of the crate root open; with those of [`gen2`](crate::gen2) the id would be a
/// batch.
///
/// A delivery to an instance without a handler is an error, for which the host closes the watch.
///
/// # Errors
///
/// - [`Error::HandlerExists`]: this instance already has a handler, which stays.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// fn follow() -> Result<(), watch::Error> {
///     watch::receive(|id, value| rescan(id, value))?;
///     watch::open("w1", "test-100".."test-300")?;
///     watch::start("w1")
/// }
///
/// fn rescan(_id: &[u8], _value: u64) { /* read the store from `_value` on */ }
/// ```
pub fn receive(mut handler: impl FnMut(&[u8], u64) + 'static) -> Result<(), Error> {
    Guest.register(Box::new(move |id, value| {
        handler(id, value);
        Ok(())
    }))
}

/// As [`receive`], with a function that can fail.
///
/// The text of an error is reported to the host, cut to [`ERR_BYTES`](crate::abi::ERR_BYTES). The
/// host closes the watch of the delivery; other watches and the instance stay.
///
/// # Errors
///
/// - [`Error::HandlerExists`]: this instance already has a handler, which stays.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// fn follow() -> Result<(), watch::Error> {
///     watch::try_receive(|_id, value| match value {
///         u64::MAX => Err("no revision follows"),
///         _ => Ok(()), // read the store from `value` on
///     })
/// }
/// ```
pub fn try_receive<E: Display>(
    mut handler: impl FnMut(&[u8], u64) -> Result<(), E> + 'static,
) -> Result<(), Error> {
    Guest.register(Box::new(move |id, value| {
        handler(id, value).map_err(|error| error.to_string())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_wasm_there_is_no_host() {
        assert_eq!(receive(|_, _| ()), Err(Error::NoHost));
        assert_eq!(try_receive(|_, _| Err("never")), Err(Error::NoHost));
    }
}
