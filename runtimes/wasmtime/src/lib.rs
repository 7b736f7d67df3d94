//! rangewatch on [wasmtime](https://docs.rs/wasmtime), the WebAssembly JIT.
//!
//! There are two ways to use it. The managed way is [`Wasmtime`], a `Runtime` like any other:
//! [`Wasmtime::builder`] sets the profile, the stack and a directory that keeps compiled modules,
//! and [`Wasmtime::with_engine`] uses an engine of your own. The linker way is for programs that
//! have a wasmtime engine, linker and store already: [`add_to_linker`] adds the guest ABI,
//! [`attach`] connects an instance to the bus and [`deliver`] runs its callbacks;
//! [`add_wasi_to_linker`] adds WASI preview1, and [`run_start`] runs a command. The functions whose
//! names end in `async` are for stores that suspend: a guest that waits blocks no thread there.
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
