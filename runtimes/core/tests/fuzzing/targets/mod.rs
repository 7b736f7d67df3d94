//! The targets of the fuzzing. Each takes an input, and panics if the ABI breaks a promise.

pub(crate) mod calls;
mod input;
mod memory;
mod model;
pub(crate) mod programs;
#[path = "../../toy/mod.rs"]
mod toy;
pub(crate) mod toy_guest;
