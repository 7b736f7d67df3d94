//! The seam between rangewatch and WebAssembly engines, and everything that needs no engine: the
//! guest ABI over bytes, guests with their instances, callbacks and limits, and the suite that a
//! backend has to pass.
//!
//! Most users want the facade crate `rangewatch`, which re-exports this one beside the backends.
//! A backend implements four small traits, [`Runtime`], [`Compiled`], [`Linked`] and [`Instance`],
//! which translate and decide nothing.
//!
//! # Hosting a guest
//!
//! | to | see |
//! |---|---|
//! | make a guest, or many equal ones | [`Guest::builder`], [`GuestBuilder::factory`] |
//! | call it with values, bytes, or the types of Rust | [`Guest::call`], [`Guest::call_bytes`], [`Guest::func`] |
//! | make several calls on one instance, access its memory | [`Guest::session`] |
//! | run calls at the same time, in several instances | [`GuestBuilder::pool`] |
//! | give it functions of the host, one or a module of them | [`GuestBuilder::host_function`], [`HostModule`], [`HostCx`] |
//! | keep data of an instance, or of one call | [`GuestBuilder::instance_data`], [`Caller::context`] |
//! | act when an instance is made, when a call ends | [`GuestBuilder::on_instance`], [`GuestBuilder::on_call_end`] |
//! | deliver to its watches | [`Guest::pump`], [`Guest::drive_until_idle`], [`Guest::ready`] |
//! | give each stream or client watches of its own | [`Guest::owner`], [`Caller::owner`] |
//! | commit what a call emits with a transaction of the host | [`GuestBus::on_commit`], [`Staged`] |
//! | bound fuel, time, memory and emits; replace instances that grow | [`Limits`] |
//! | charge for the work of the host | [`HostCx::charge`] |
//! | admit more of WebAssembly | [`Profile`] |
//! | use an engine and a linker that exist already | [`GuestAbi`](abi::GuestAbi), `add_to_linker` of the backend |
//! | display an error | [`ErrorChain`] |
//!
//! # Targets
//!
//! Any target with std and 64-bit atomics, of 32 or 64 bits; those of `rangewatch_wasi` and
//! `rangewatch_bus` say what differs on WebAssembly, and the feature `web` enables theirs. There a
//! panic of your host functions and hooks aborts the program, as nothing unwinds. Without threads
//! an import that waits fails where the call cannot be suspended, as in a start section; an
//! awaited call waits as elsewhere. A guest that never returns is ended by
//! [`Limits::fuel_per_call`] or [`Limits::wall_time`], also there.
//!
//! # The source
//!
//! | folder | contents |
//! |---|---|
//! | `abi` | the guest ABI over bytes, one folder per generation |
//! | `conformance` | the test suite that every backend runs (feature `conformance`) |
//! | `engine` | the seam: the traits of a backend, modules, imports, values, host functions |
//! | `guest` | guests: builder, limits, instances, calls, the pump of the callbacks |
//! | `watches` | owners, their watches, and what is ready to be delivered |
#![forbid(unsafe_code)]

pub mod abi;
#[cfg(feature = "conformance")]
pub mod conformance;
mod engine;
mod guest;
mod watches;

pub use async_trait::async_trait;
pub use engine::bounds::OutOfBounds;
pub use engine::build_error::{BuildError, DEFAULT_STACK_BYTES, STACK_BYTES, check_stack_bytes};
pub use engine::error_chain::ErrorChain;
pub use engine::exports::Export;
pub use engine::failure::{EngineError, Failure, HostTrap, OutOfFuel, TrapKind};
pub use engine::fuel_slices::FuelSlices;
pub use engine::host_cx::{HostCx, NoContext, NoData};
pub use engine::host_function::{
    AsyncHostFunction, HostError, HostFunction, HostFunctionBody, SyncHostFunction, no_unwind,
};
pub use engine::host_module::HostModule;
pub use engine::load_error::LoadError;
pub use engine::meta_page::{Buffer, Field, FieldType, MetaPage, MetaPageError};
pub use engine::module::{ExternType, Import, Module, ModuleInfo};
pub use engine::profile::{Profile, Proposal};
pub use engine::runtime::{Called, Compiled, GuestState, Imports, Instance, Linked, Runtime};
pub use engine::val::{FuncType, Scalar, Scalars, Val, ValType};
pub use guest::Guest;
pub use guest::builder::GuestBuilder;
pub use guest::call_end::{CallEnd, CallOutcome};
pub use guest::call_error::CallError;
pub use guest::callback_error::{CallbackError, CallbackErrorCause};
pub use guest::caller::Caller;
pub use guest::command::{RunError, run_command};
pub use guest::emits::Emits;
pub use guest::factory::GuestFactory;
pub use guest::flush_error::FlushError;
pub use guest::func::Func;
pub use guest::guest_bus::GuestBus;
pub use guest::ids::{GuestId, InstanceId, OwnerId};
pub use guest::instantiate_error::InstantiateError;
pub use guest::limits::Limits;
pub use guest::pump::Pump;
pub use guest::session::Session;
pub use guest::staged::Staged;
pub use guest::start::Start;
pub use rangewatch_wasi::call::yield_now;
pub use rangewatch_wasi::{Charge, WorkMeter};
pub use watches::owner::{Owner, OwnerError};
