//! The targets of the fuzzing. Each takes an input, and panics if the ABI breaks a promise.

pub(crate) mod calls;
mod input;
mod memory;
mod model;
