//! Readiness of a stream or socket.

/// What `poll_oneoff` reports about a stream or socket that is ready.
///
/// Source: WASI preview1 witx, `event_fd_readwrite`.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::net::Readiness;
///
/// let last = Readiness::bytes(12).hung_up();
/// assert!(last.is_hung_up && last.n_bytes == 12);
/// assert_eq!(Readiness::bytes(0).hung_up(), Readiness::END);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Readiness {
    /// How many bytes can be read or written without blocking, as far as known.
    pub n_bytes: u64,
    /// Whether the peer is gone: after these bytes there is nothing more to read, or writes fail.
    pub is_hung_up: bool,
}

impl Readiness {
    /// The end of the stream: nothing more to read, or no reader.
    pub const END: Self = Self {
        n_bytes: 0,
        is_hung_up: true,
    };

    /// `n_bytes` can be read or written. Pass 1 if the number is unknown.
    #[must_use]
    pub const fn bytes(n_bytes: u64) -> Self {
        Self {
            n_bytes,
            is_hung_up: false,
        }
    }

    /// The same number of bytes, with [`is_hung_up`](Self::is_hung_up) set.
    #[must_use]
    pub const fn hung_up(self) -> Self {
        Self {
            is_hung_up: true,
            ..self
        }
    }
}
