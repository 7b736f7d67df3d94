//! The guest ABI: how a guest emits and watches.
//!
//! A guest imports functions and passes their arguments through its own memory. [`GuestAbi`] is the
//! host's half for one instance, over plain bytes; it knows no engine. Each generation of the ABI
//! has a module of functions over it: [`gen1`] and [`gen2`]. The functions of [`io`] pass bytes
//! into a call and out of it.
//!
//! - [`for_each_abi_function`](crate::for_each_abi_function) is the table of all functions, which a
//!   backend expands into its engine's linker. [`FUNCTIONS`] is the same table as data, to check
//!   the imports of a module against.
//! - [`call`] runs one function for a backend.

mod abi_error;
pub mod call;
mod flush;
mod gathered;
pub mod gen1;
pub mod gen2;
mod generation;
mod guest_abi;
pub mod io;
mod keys;
mod outcome;
mod page;
mod table;
mod verbs;

pub use abi_error::AbiError;
pub use generation::Generation;
pub use guest_abi::{Callback, Delivered, GuestAbi};
pub use outcome::Outcome;
pub use table::{AbiFunction, FUNCTIONS};
