use crate::error::Error;
use crate::receive::Handler;

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::wasm::Imports as Current;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use NoHost as Current;

/// The calls of the SDK to the host: encoded arguments in, an error out.
///
/// An implementation owns the shared buffer, so that the rest of the SDK is tested without a
/// guest's memory.
pub(crate) trait Host {
    /// Emits one key list of at most [`BUF_BYTES`](crate::abi::BUF_BYTES).
    fn flush(&mut self, value: u64, keys: &[u8]) -> Result<(), Error>;

    /// Applies a verb to arguments of at most [`BUF_BYTES`](crate::abi::BUF_BYTES).
    fn apply(&mut self, verb: Verb, args: &[u8]) -> Result<(), Error>;

    /// Stores the handler that `__range_watch_recv` calls.
    fn register(&mut self, handler: Handler) -> Result<(), Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Reserve,
    Open,
    Start,
    Stop,
}

/// The host of a program that is not a guest.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub(crate) struct NoHost;

#[cfg(not(target_arch = "wasm32"))]
impl Host for NoHost {
    fn flush(&mut self, _value: u64, _keys: &[u8]) -> Result<(), Error> {
        Err(Error::NoHost)
    }

    fn apply(&mut self, _verb: Verb, _args: &[u8]) -> Result<(), Error> {
        Err(Error::NoHost)
    }

    fn register(&mut self, _handler: Handler) -> Result<(), Error> {
        Err(Error::NoHost)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::vec::Vec;

    /// A host that records the calls and returns the same error for every verb.
    #[derive(Debug, Default)]
    pub(crate) struct Recorder {
        pub(crate) flushed: Vec<(u64, Vec<u8>)>,
        pub(crate) applied: Vec<(Verb, Vec<u8>)>,
        pub(crate) error_text: Option<&'static str>,
    }

    impl Host for Recorder {
        fn flush(&mut self, value: u64, keys: &[u8]) -> Result<(), Error> {
            self.flushed.push((value, keys.to_vec()));
            Ok(())
        }

        fn apply(&mut self, verb: Verb, args: &[u8]) -> Result<(), Error> {
            self.applied.push((verb, args.to_vec()));
            self.error_text
                .map_or(Ok(()), |text| Err(Error::from_host_text(text.as_bytes())))
        }

        fn register(&mut self, _handler: Handler) -> Result<(), Error> {
            Ok(())
        }
    }
}
