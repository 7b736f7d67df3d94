//! The host error by which an asynchronous host function suspends a guest.

use std::fmt;

use rangewatch_runtime::{HostFunction, Val};
use wasmi::errors::HostError;

/// An asynchronous host function that is awaited outside of the interpreter. The call is then
/// resumed with its results.
#[derive(Debug)]
pub(crate) struct Suspend {
    pub(crate) function: HostFunction,
    pub(crate) args: Vec<Val>,
}

impl fmt::Display for Suspend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an asynchronous host function was called where a call cannot be suspended")
    }
}

impl HostError for Suspend {}
