//! rangewatch on [wasmi](https://docs.rs/wasmi), the pure-Rust WebAssembly interpreter: for targets
//! where a JIT may not run.
//!
//! There are two ways to use it. The managed way is [`Wasmi`], a
//! [`Runtime`](rangewatch_runtime::Runtime): this crate makes the engine, the stores and the
//! instances. The linker way is for programs that have a wasmi engine, linker and store already:
//! [`add_to_linker`] adds the guest ABI, [`attach`] connects an instance to the bus and [`deliver`]
//! runs its callbacks; [`add_wasi_to_linker`] adds WASI preview1, and [`run_start`] runs a command.
//! The functions whose names end in `async` suspend a guest that waits instead of blocking its
//! thread.
//!
//! In a build that is optimized and has debug assertions, long calls without slices of fuel
//! overflow the native stack: the README says how to compile wasmi there.
//!
//! It runs on any target with std and 64-bit atomics, of 32 or 64 bits, with threads or without, in
//! a browser too: `rangewatch_runtime` says what differs there.
#![forbid(unsafe_code)]

mod builder;
mod convert;
mod engine;
mod instance;
mod linker;
mod runtime;

pub use builder::WasmiBuilder;
pub use convert::{Trap, host_trap};
pub use engine::Wasmi;
pub use linker::{
    add_to_linker, add_to_linker_async, attach, attach_async, deliver, deliver_async,
};
#[doc(inline)]
pub use rangewatch_wasi::link_wasmi::{
    Suspended, add_to_linker as add_wasi_to_linker,
    add_to_linker_async as add_wasi_to_linker_async, call_async, run_start, run_start_async,
};
/// The engine's crate, for [`Wasmi::with_engine`] and linkers.
pub use wasmi;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
