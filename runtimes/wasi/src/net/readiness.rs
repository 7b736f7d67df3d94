//! What is known of something that is ready.

/// What `poll_oneoff` tells a guest about a socket or a stream that it can read or write.
///
/// Source: WASI preview1 witx, `event_fd_readwrite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Readiness {
    /// How many bytes can be read or written at once, as far as is known.
    pub n_bytes: u64,
    /// Whether the other end is gone: after those bytes there are no more to read, or nobody reads what is written.
    pub is_hung_up: bool,
}

impl Readiness {
    /// There is nothing more to read, or nobody who reads.
    pub const END: Self = Self {
        n_bytes: 0,
        is_hung_up: true,
    };

    /// So many bytes can be read or written. 1 where nothing is known but that there is something.
    #[must_use]
    pub const fn bytes(n_bytes: u64) -> Self {
        Self {
            n_bytes,
            is_hung_up: false,
        }
    }

    /// The same, and the other end is gone.
    #[must_use]
    pub const fn hung_up(self) -> Self {
        Self {
            is_hung_up: true,
            ..self
        }
    }
}
