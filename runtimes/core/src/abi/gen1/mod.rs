//! Generation 1 of the guest ABI: the ABI of wazero-range-watch, unchanged.
//!
//! A guest imports up to five functions without arguments and exports the address of a *meta page*:
//! seven little-endian `u32` addresses of variables in its own memory, through which all arguments
//! are passed.
//!
//! Source: wazero-range-watch, host module and guest SDK, commit 7946210.

mod functions;
mod keys;
mod page;

pub use functions::{flush, open, reserve, start, stop};
pub(super) use page::{Page, slice, slice_mut};

/// The import module.
pub const MODULE: &str = "pantopic/wazero-range-watch";
/// The import that emits the keys of the buffer.
pub const FLUSH: &str = "__range_watch_flush";
/// The import that reserves an id.
pub const RESERVE: &str = "__range_watch_reserve";
/// The import that opens a watch, which holds its value until it is started.
pub const OPEN: &str = "__range_watch_open";
/// The import that starts the delivery of an open watch.
pub const START: &str = "__range_watch_start";
/// The import that ends a watch and frees its id.
pub const STOP: &str = "__range_watch_stop";
/// The export that returns the address of the meta page.
pub const PAGE: &str = "__range_watch";
/// The export that receives, in guests that watch.
pub const RECV: &str = "__range_watch_recv";

/// Whether the functions need the meta page.
pub const NEEDS_PAGE: bool = true;
