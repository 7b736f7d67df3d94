use crate::error::Error;
use crate::host::Host;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::host::NoHost as Current;
#[cfg(target_arch = "wasm32")]
pub(crate) use crate::wasm::gen2::Imports as Current;

/// The calls that only generation 2 has.
pub(crate) trait Groups: Host {
    /// Emits what was gathered.
    fn flush(&mut self) -> Result<(), Error>;

    /// Drops what was gathered.
    fn clear(&mut self) -> Result<(), Error>;

    /// Applies a verb to an id of at most [`BUF_BYTES`](crate::abi::BUF_BYTES).
    fn apply_to_group(&mut self, verb: Verb, id: &[u8]) -> Result<(), Error>;
}

/// A verb of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
}

#[cfg(not(target_arch = "wasm32"))]
impl Groups for Current {
    fn flush(&mut self) -> Result<(), Error> {
        Err(Error::NoHost)
    }

    fn clear(&mut self) -> Result<(), Error> {
        Err(Error::NoHost)
    }

    fn apply_to_group(&mut self, _verb: Verb, _id: &[u8]) -> Result<(), Error> {
        Err(Error::NoHost)
    }
}
