//! The guest ABI: how a guest emits and watches.
//!
//! A guest imports functions and passes their arguments through its own memory. [`GuestAbi`] is the
//! host's half for one instance, over plain bytes; it knows no engine. Each generation of the ABI
//! has a module of functions over it: [`gen1`]. The functions of [`io`] pass bytes into a call and
//! out of it.
//!
//! - [`for_each_abi_function`](crate::for_each_abi_function) is the table of all functions, which a
//!   backend expands into its engine's linker. [`FUNCTIONS`] is the same table as data, to check
//!   the imports of a module against.
//! - [`call`] runs one function for a backend.

mod abi_error;
pub mod call;
pub mod gen1;
mod guest_abi;
pub mod io;
mod outcome;
mod table;

pub use abi_error::AbiError;
pub use guest_abi::{Callback, Delivered, GuestAbi};
pub use outcome::Outcome;
pub use table::{AbiFunction, FUNCTIONS};

/// Imports of a later generation of the ABI, by which a guest of it is recognized.
pub(crate) const LATER_MODULE: &str = "pantopic/ext-range-watch";
pub(crate) const LATER_IMPORT: &str = "__range_watch_queue";
