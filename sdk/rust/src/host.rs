use crate::error::Error;
use crate::receive::Handler;

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::wasm::{Guest, gen1::Imports as Current};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use {NoHost as Current, NoHost as Guest};

/// The calls that both generations have: encoded arguments in, an error out.
///
/// An implementation owns the shared buffer, so that the rest of the SDK is tested without a
/// guest's memory.
pub(crate) trait Host {
    /// Emits one key list of at most [`BUF_BYTES`](crate::abi::BUF_BYTES); in generation 2, gathers
    /// it for the next flush.
    fn send(&mut self, value: u64, keys: &[u8]) -> Result<(), Error>;

    /// Applies a verb to arguments of at most [`BUF_BYTES`](crate::abi::BUF_BYTES).
    fn apply(&mut self, verb: Verb, args: &[u8]) -> Result<(), Error>;
}

/// What does not depend on the generation.
pub(crate) trait Instance {
    /// Stores the handler that `__range_watch_recv` calls.
    fn register(&mut self, handler: Handler) -> Result<(), Error>;

    /// The number of bytes of the input of this call.
    fn input_len(&mut self) -> Result<usize, Error>;

    /// Copies the input from `offset` on into the start of `buf`, as much as the host copies at a
    /// time, and returns how much that was.
    fn read_input(&mut self, offset: usize, buf: &mut [u8]) -> Result<usize, Error>;

    /// Appends to the output of this call.
    fn write_output(&mut self, bytes: &[u8]) -> Result<(), Error>;
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
    fn send(&mut self, _value: u64, _keys: &[u8]) -> Result<(), Error> {
        Err(Error::NoHost)
    }

    fn apply(&mut self, _verb: Verb, _args: &[u8]) -> Result<(), Error> {
        Err(Error::NoHost)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Instance for NoHost {
    fn register(&mut self, _handler: Handler) -> Result<(), Error> {
        Err(Error::NoHost)
    }

    fn input_len(&mut self) -> Result<usize, Error> {
        Err(Error::NoHost)
    }

    fn read_input(&mut self, _offset: usize, _buf: &mut [u8]) -> Result<usize, Error> {
        Err(Error::NoHost)
    }

    fn write_output(&mut self, _bytes: &[u8]) -> Result<(), Error> {
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
        pub(crate) sent: Vec<(u64, Vec<u8>)>,
        pub(crate) applied: Vec<(Verb, Vec<u8>)>,
        pub(crate) error_text: Option<&'static str>,
        pub(crate) input: Vec<u8>,
        pub(crate) max_read_bytes: usize,
        pub(crate) n_reads: usize,
        pub(crate) written: Vec<Vec<u8>>,
    }

    impl Host for Recorder {
        fn send(&mut self, value: u64, keys: &[u8]) -> Result<(), Error> {
            self.sent.push((value, keys.to_vec()));
            Ok(())
        }

        fn apply(&mut self, verb: Verb, args: &[u8]) -> Result<(), Error> {
            self.applied.push((verb, args.to_vec()));
            self.error_text
                .map_or(Ok(()), |text| Err(Error::from_host_text(text.as_bytes())))
        }
    }

    impl Instance for Recorder {
        fn register(&mut self, _handler: Handler) -> Result<(), Error> {
            Ok(())
        }

        fn input_len(&mut self) -> Result<usize, Error> {
            Ok(self.input.len())
        }

        fn read_input(&mut self, offset: usize, buf: &mut [u8]) -> Result<usize, Error> {
            self.n_reads += 1;
            let rest = &self.input[offset..];
            let n_bytes = rest.len().min(buf.len()).min(self.max_read_bytes);
            buf[..n_bytes].copy_from_slice(&rest[..n_bytes]);
            Ok(n_bytes)
        }

        fn write_output(&mut self, bytes: &[u8]) -> Result<(), Error> {
            self.written.push(bytes.to_vec());
            Ok(())
        }
    }
}
