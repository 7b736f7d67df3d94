//! rangewatch on [wasmi](https://docs.rs/wasmi), the pure-Rust WebAssembly interpreter: for targets
//! where a JIT may not run.
//!
//! The managed way is [`Wasmi`], a `Runtime` like any other. The linker way is for programs that
//! have a wasmi engine of their own: [`add_to_linker`] for the range-watch ABI and
//! [`add_wasi_to_linker`] or [`add_wasi_to_linker_async`] for WASI preview1.
#![forbid(unsafe_code)]

mod convert;
mod instance;
mod linker;
mod runtime;

pub use convert::{Trap, host_trap};
pub use linker::{
    add_to_linker, add_to_linker_async, attach, attach_async, deliver, deliver_async,
};
#[doc(inline)]
pub use rangewatch_wasi::link_wasmi::{
    Suspended, add_to_linker as add_wasi_to_linker,
    add_to_linker_async as add_wasi_to_linker_async, call_async, run_start, run_start_async,
};
pub use runtime::Wasmi;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
