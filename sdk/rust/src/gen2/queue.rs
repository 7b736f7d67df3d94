use crate::emit::emit_to;
use crate::error::Error;

use super::host::{Current, Groups};

/// Gathers `value` and `keys` for the next [`flush`].
///
/// Keys may repeat and may be empty; without keys nothing is gathered. Keys that do not fit into
/// the shared buffer together are sent to the host in several calls with the same value, in order,
/// and are one emit all the same. What is gathered for one value in a row is one emit, also by
/// several calls of this function.
///
/// The call traps when what is gathered exceeds a limit of the host: 16,384 keys or 256 KiB unless
/// it was built with others.
///
/// # Errors
///
/// - [`Error::TooLong`]: a key has more than [`MAX_KEY_BYTES`](crate::abi::MAX_KEY_BYTES) bytes;
///   none of the keys was gathered.
/// - [`Error::NoHost`]: not in a guest, and there was a key.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// struct Command { revision: u64, touched: Vec<Vec<u8>> }
///
/// fn applied(command: &Command) -> Result<(), Error> {
///     watch::queue(command.revision, &command.touched)
/// }
/// ```
pub fn queue<K: AsRef<[u8]>>(value: u64, keys: impl IntoIterator<Item = K>) -> Result<(), Error> {
    emit_to(&mut Current, value, keys)
}

/// Emits what was gathered: to every watch, of any guest on the bus, whose range contains one of
/// its keys. Without anything gathered it does nothing.
///
/// The call traps when the host refuses one of the emits, of which none has then taken effect: the
/// bus is closed, has history and a greater value already, or the emits match more
/// watches than the host allows in one flush, 16,384 by default.
///
/// # Errors
///
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// fn end_of_batch(committed: bool) -> Result<(), Error> {
///     if committed { watch::flush() } else { watch::clear() }
/// }
/// ```
pub fn flush() -> Result<(), Error> {
    Current.flush()
}

/// Drops what was gathered, such as when the commands that queued it are not committed.
///
/// # Errors
///
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{Error, gen2 as watch};
///
/// fn rolled_back() -> Result<(), Error> {
///     watch::clear()
/// }
/// ```
pub fn clear() -> Result<(), Error> {
    Current.clear()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_wasm_there_is_no_host() {
        assert_eq!(queue(1, ["a"]), Err(Error::NoHost));
        assert_eq!(flush(), Err(Error::NoHost));
        assert_eq!(clear(), Err(Error::NoHost));
    }
}
