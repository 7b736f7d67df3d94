//! rangewatch on [wasmtime](https://docs.rs/wasmtime), the WebAssembly JIT.
//!
//! The managed way is [`Wasmtime`], a `Runtime` like any other. The linker way is for programs that
//! have a wasmtime engine of their own: [`add_to_linker`] for the range-watch ABI and
//! [`add_wasi_to_linker`] or [`add_wasi_to_linker_async`] for WASI preview1.
#![forbid(unsafe_code)]

mod convert;
mod instance;
mod linker;
mod runtime;

pub use convert::host_trap;
pub use linker::{
    add_to_linker, add_to_linker_async, attach, attach_async, deliver, deliver_async,
};
#[doc(inline)]
pub use rangewatch_wasi::link_wasmtime::{
    add_to_linker as add_wasi_to_linker, add_to_linker_async as add_wasi_to_linker_async,
    run_start, run_start_async,
};
pub use runtime::Wasmtime;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
