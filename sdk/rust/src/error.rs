use alloc::string::String;
use core::fmt;

#[cfg(any(target_arch = "wasm32", test))]
use crate::abi;

/// Why a call had no effect.
///
/// # Examples
///
/// ```
/// use rangewatch_guest as watch;
///
/// /// Reserves an id that an earlier watch of this guest may still have.
/// fn reserve_again(id: &[u8]) -> Result<(), watch::Error> {
///     match watch::reserve(id) {
///         Err(watch::Error::Exists) => watch::stop(id).and_then(|()| watch::reserve(id)),
///         other => other,
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The id is reserved, open or started.
    Exists,
    /// The id is free, or it is reserved and the call needs an open watch.
    NotFound,
    /// The id is open or started; its first range stays.
    AlreadyOpen,
    /// The watch, or the bus or group that it belongs to, has ended.
    Closed,
    /// No group of this id is open. Of generation 2.
    GroupNotFound,
    /// A key, or what a watch is opened with, does not fit into the buffer that is shared with the
    /// host.
    TooLong {
        /// Length of the key or id, or of id, from and to together.
        n_bytes: usize,
        /// The limit, inclusive.
        max_bytes: usize,
    },
    /// No key is in the range: its start is not below its end.
    EmptyRange,
    /// The range has no upper end, which this generation of the ABI cannot encode.
    Unbounded,
    /// A handler is already registered on this instance.
    HandlerExists,
    /// This program is not a WebAssembly guest.
    NoHost,
    /// The host refused for a reason that this version does not know.
    Other(String),
}

impl Error {
    #[cfg(any(target_arch = "wasm32", test))]
    pub(crate) fn from_host_text(text: &[u8]) -> Self {
        match String::from_utf8_lossy(text).as_ref() {
            abi::WATCH_EXISTS => Self::Exists,
            abi::WATCH_NOT_FOUND => Self::NotFound,
            abi::WATCH_ALREADY_OPEN => Self::AlreadyOpen,
            abi::WATCH_CLOSED => Self::Closed,
            abi::gen2::GROUP_NOT_FOUND => Self::GroupNotFound,
            other => Self::Other(other.into()),
        }
    }

    pub(crate) fn check_length(n_bytes: usize, max_bytes: usize) -> Result<(), Self> {
        if n_bytes > max_bytes {
            return Err(Self::TooLong { n_bytes, max_bytes });
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("the id is in use: stop it or choose another"),
            Self::NotFound => f.write_str("no such watch: open it first"),
            Self::AlreadyOpen => {
                f.write_str("the watch is already open: stop it to change its range")
            }
            Self::Closed => f.write_str("the watch is closed: open it again"),
            Self::GroupNotFound => f.write_str("no such group: start it first"),
            Self::TooLong { n_bytes, max_bytes } => {
                write!(
                    f,
                    "{n_bytes} bytes do not fit, at most {max_bytes} do: use a shorter key or id"
                )
            }
            Self::EmptyRange => {
                f.write_str("the range holds no key: its start must be below its end")
            }
            Self::Unbounded => f.write_str("the range has no upper end: give it one"),
            Self::HandlerExists => {
                f.write_str("a handler is already registered: register once per instance")
            }
            Self::NoHost => {
                f.write_str("there is no host: run this program as a WebAssembly guest")
            }
            Self::Other(text) => write!(f, "the host refused: {text}"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn texts_of_the_host_become_variants() {
        assert_eq!(Error::from_host_text(b"Watch exists"), Error::Exists);
        assert_eq!(Error::from_host_text(b"Watch not found"), Error::NotFound);
        assert_eq!(
            Error::from_host_text(b"Watch already open"),
            Error::AlreadyOpen
        );
        assert_eq!(Error::from_host_text(b"Watch closed"), Error::Closed);
        assert_eq!(
            Error::from_host_text(b"Group not found"),
            Error::GroupNotFound
        );
    }

    #[test]
    fn an_unknown_text_is_kept_and_bad_utf8_does_not_panic() {
        assert_eq!(
            Error::from_host_text(b"watch exists"),
            Error::Other("watch exists".into())
        );
        assert_eq!(
            Error::from_host_text(b"bus \xFF"),
            Error::Other("bus \u{FFFD}".into())
        );
    }

    #[test]
    fn the_message_of_a_long_key_names_both_lengths() {
        let text = Error::TooLong {
            n_bytes: 16_383,
            max_bytes: 16_382,
        }
        .to_string();
        assert!(text.contains("16383") && text.contains("16382"), "{text}");
    }
}
