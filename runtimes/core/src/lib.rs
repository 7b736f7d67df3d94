//! The seam between rangewatch and WebAssembly engines, and everything that needs no engine: the
//! guest ABI over bytes, guests with their instances, callbacks and limits, and the suite that a
//! backend has to pass.
//!
//! Most users want the facade crate `rangewatch`, which re-exports this one beside the backends.
//! Who writes a backend implements four small traits, [`Runtime`], [`Compiled`], [`Linked`] and
//! [`Instance`], which translate and decide nothing.
#![forbid(unsafe_code)]

pub mod abi;
mod callback_error;
mod command;
#[cfg(feature = "conformance")]
pub mod conformance;
mod emits;
mod error;
mod group;
mod guest;
mod guest_builder;
mod host_function;
mod imports;
mod limits;
mod module;
mod pool;
mod ready;
mod runtime;
mod val;
mod wasi_call;
mod watch;
mod yield_now;

pub use async_trait::async_trait;
pub use callback_error::{CallbackError, CallbackErrorCause};
pub use command::{RunError, run_command};
pub use emits::Emits;
pub use error::{CallError, EngineError, Failure, HostTrap, InstantiateError, LoadError, TrapKind};
pub use guest::{Guest, Pump};
pub use guest_builder::GuestBuilder;
pub use host_function::{
    AsyncHostFunction, HostCx, HostError, HostFunction, HostFunctionBody, SyncHostFunction,
    no_unwind,
};
pub use limits::Limits;
pub use module::{ExternType, Import, Module, ModuleInfo};
pub use runtime::{Compiled, GuestState, Imports, Instance, Linked, Runtime};
pub use val::{FuncType, Scalar, Scalars, Val, ValType};
pub use wasi_call::{wasi_attempt, wasi_block, wasi_ready};
pub use yield_now::yield_now;
