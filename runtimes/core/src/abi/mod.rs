//! The guest ABI, one folder per generation.

mod abi_error;
mod gen1;

pub use abi_error::AbiError;
pub use gen1::{
    Callback, FLUSH, GuestAbi, MODULE, OPEN, PAGE, RECV, RESERVE, START, STOP, Stopping,
};

/// Imports of a later generation of the ABI, by which a guest of it is recognized.
pub(crate) const LATER_MODULE: &str = "pantopic/ext-range-watch";
pub(crate) const LATER_IMPORT: &str = "__range_watch_queue";
