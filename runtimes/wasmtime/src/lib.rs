//! rangewatch on [wasmtime](https://docs.rs/wasmtime), the WebAssembly JIT.
//!
//! The managed way is [`Wasmtime`], a `Runtime` like any other. The linker way is for programs that
//! have a wasmtime engine of their own: [`add_to_linker`] for the range-watch ABI and
//! [`add_wasi_to_linker`] or [`add_wasi_to_linker_async`] for WASI preview1.
#![deny(unsafe_code)]

mod builder;
mod compiled;
mod compiled_file;
mod convert;
mod engine;
mod instance;
mod linker;
mod private_dir;
mod runtime;

pub use builder::WasmtimeBuilder;
pub use convert::host_trap;
pub use engine::Wasmtime;
pub use linker::{
    add_to_linker, add_to_linker_async, attach, attach_async, deliver, deliver_async,
};
#[doc(inline)]
pub use rangewatch_wasi::link_wasmtime::{
    add_to_linker as add_wasi_to_linker, add_to_linker_async as add_wasi_to_linker_async,
    run_start, run_start_async,
};
/// The engine's crate, for [`Wasmtime::with_engine`] and linkers.
pub use wasmtime;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
