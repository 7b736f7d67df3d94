use alloc::vec::Vec;

use crate::abi::{BUF_BYTES, MAX_OPEN_BYTES};
use crate::error::Error;
use crate::host::{Current, Host, Verb};
use crate::key_list::push_key;
use crate::selector::Selector;

/// Reserves an id in the group of this guest. Nothing is watched yet.
///
/// # Errors
///
/// - [`Error::Exists`]: the id is reserved, open or started.
/// - [`Error::TooLong`]: the id has more than [`BUF_BYTES`] bytes.
/// - [`Error::Closed`], [`Error::Other`]: the host refused.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// fn next_free(first: u64) -> Result<u64, watch::Error> {
///     let mut n = first;
///     loop {
///         match watch::reserve(n.to_be_bytes()) {
///             Err(watch::Error::Exists) => n += 1,
///             result => return result.map(|()| n),
///         }
///     }
/// }
/// ```
pub fn reserve(id: impl AsRef<[u8]>) -> Result<(), Error> {
    apply_to_id(&mut Current, Verb::Reserve, id.as_ref())
}

/// Opens a watch of a range under a free or reserved id. Emits that match are held until [`start`].
///
/// # Errors
///
/// - [`Error::AlreadyOpen`]: the id is open or started; its first range stays.
/// - [`Error::EmptyRange`]: the start of the range is not below its end. The ABI, and the Go SDK,
///   take an end that is equal to the start as exactly that key, which is [`Selector::key`] here.
/// - [`Error::Unbounded`]: the range has no upper end.
/// - [`Error::TooLong`]: id and bounds together have more than [`MAX_OPEN_BYTES`] bytes.
/// - [`Error::Closed`], [`Error::Other`]: the host refused.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest::{self as watch, Selector};
///
/// fn follow() -> Result<(), watch::Error> {
///     watch::open("low", "a".."m")?;
///     watch::open("pods", Selector::prefix("/registry/pods/"))?;
///     watch::open("leader", Selector::key("/leader"))
/// }
///
/// assert_eq!(watch::open("none", "m".."a"), Err(watch::Error::EmptyRange));
/// assert_eq!(watch::open("all", Selector::All), Err(watch::Error::Unbounded));
/// ```
pub fn open(id: impl AsRef<[u8]>, range: impl Into<Selector>) -> Result<(), Error> {
    open_on(&mut Current, id.as_ref(), range.into())
}

/// Starts an open watch: delivers the first value that was held since [`open`], if any, and then
/// those that follow.
///
/// Starting a started watch has no effect.
///
/// # Errors
///
/// - [`Error::NotFound`]: the id is free, or reserved and not open.
/// - [`Error::TooLong`]: the id has more than [`BUF_BYTES`] bytes.
/// - [`Error::Closed`], [`Error::Other`]: the host refused.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// fn follow() -> Result<(), watch::Error> {
///     watch::open("w1", "a".."m")?;
///     // Read here what the store committed before the watch was open.
///     watch::start("w1")
/// }
/// ```
pub fn start(id: impl AsRef<[u8]>) -> Result<(), Error> {
    apply_to_id(&mut Current, Verb::Start, id.as_ref())
}

/// Ends a reserved, open or started watch and frees its id.
///
/// The handler is not entered for this watch after the call returns. If the handler of this watch
/// is running on another instance, the call waits for it; inside a handler it never waits.
///
/// # Errors
///
/// - [`Error::NotFound`]: the id is free.
/// - [`Error::TooLong`]: the id has more than [`BUF_BYTES`] bytes.
/// - [`Error::Closed`], [`Error::Other`]: the host refused.
/// - [`Error::NoHost`]: not in a guest.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// fn end(id: &[u8]) -> Result<(), watch::Error> {
///     match watch::stop(id) {
///         Err(watch::Error::NotFound) => Ok(()),
///         other => other,
///     }
/// }
/// ```
pub fn stop(id: impl AsRef<[u8]>) -> Result<(), Error> {
    apply_to_id(&mut Current, Verb::Stop, id.as_ref())
}

pub(crate) fn apply_to_id(host: &mut impl Host, verb: Verb, id: &[u8]) -> Result<(), Error> {
    Error::check_length(id.len(), BUF_BYTES)?;
    host.apply(verb, id)
}

pub(crate) fn open_on(host: &mut impl Host, id: &[u8], range: Selector) -> Result<(), Error> {
    let (from, to) = range.into_bounds()?;
    let parts = [id, &from, &to];
    Error::check_length(parts.iter().map(|part| part.len()).sum(), MAX_OPEN_BYTES)?;
    let mut args = Vec::new();
    for part in parts {
        push_key(&mut args, part);
    }
    host.apply(Verb::Open, &args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Recorder;
    use std::vec;

    #[test]
    fn ids_are_sent_raw() {
        let mut host = Recorder::default();
        for verb in [Verb::Reserve, Verb::Start, Verb::Stop] {
            apply_to_id(&mut host, verb, b"\0w").unwrap();
        }
        assert_eq!(
            host.applied,
            [Verb::Reserve, Verb::Start, Verb::Stop].map(|verb| (verb, b"\0w".to_vec()))
        );
    }

    #[test]
    fn an_id_fills_the_buffer_and_one_byte_more_is_refused() {
        let mut host = Recorder::default();
        apply_to_id(&mut host, Verb::Reserve, &vec![1; BUF_BYTES]).unwrap();
        let error = apply_to_id(&mut host, Verb::Reserve, &vec![1; BUF_BYTES + 1]).unwrap_err();
        assert_eq!(
            error,
            Error::TooLong {
                n_bytes: BUF_BYTES + 1,
                max_bytes: BUF_BYTES
            }
        );
        assert_eq!(host.applied.len(), 1);
    }

    #[test]
    fn open_is_a_list_of_three_keys() {
        let mut host = Recorder::default();
        open_on(&mut host, b"w1", Selector::range("a", "bc")).unwrap();
        open_on(&mut host, b"", Selector::key("k")).unwrap();
        let lists = [
            b"\0\x02w1\0\x01a\0\x02bc".to_vec(),
            b"\0\0\0\x01k\0\0".to_vec(),
        ];
        assert_eq!(host.applied, lists.map(|list| (Verb::Open, list)));
    }

    #[test]
    fn open_fills_the_buffer_and_one_byte_more_is_refused() {
        let mut host = Recorder::default();
        let id = vec![1; MAX_OPEN_BYTES - 2];
        open_on(&mut host, &id, Selector::from("a".."b")).unwrap();
        assert_eq!(host.applied[0].1.len(), BUF_BYTES);
        let error = open_on(&mut host, &id, Selector::from("a".."bc")).unwrap_err();
        assert_eq!(
            error,
            Error::TooLong {
                n_bytes: 16_379,
                max_bytes: 16_378
            }
        );
    }

    #[test]
    fn a_range_that_cannot_be_encoded_does_not_reach_the_host() {
        let mut host = Recorder::default();
        assert_eq!(
            open_on(&mut host, b"w", Selector::All),
            Err(Error::Unbounded)
        );
        assert_eq!(
            open_on(&mut host, b"w", Selector::range("b", "a")),
            Err(Error::EmptyRange)
        );
        assert!(host.applied.is_empty());
    }

    #[test]
    fn the_error_of_the_host_is_returned() {
        let mut host = Recorder {
            error_text: Some("Watch exists"),
            ..Recorder::default()
        };
        assert_eq!(
            apply_to_id(&mut host, Verb::Reserve, b"w"),
            Err(Error::Exists)
        );
    }

    #[test]
    fn off_wasm_there_is_no_host() {
        assert_eq!(reserve("w"), Err(Error::NoHost));
        assert_eq!(open("w", "a".."b"), Err(Error::NoHost));
        assert_eq!(start("w"), Err(Error::NoHost));
        assert_eq!(stop("w"), Err(Error::NoHost));
    }
}
