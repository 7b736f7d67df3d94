//! Generation 1 of the guest ABI: the ABI of wazero-range-watch, unchanged.
//!
//! A guest imports up to five functions without arguments and exports the address of a *meta page*:
//! seven little-endian `u32` addresses of variables in its own memory, through which all arguments
//! are passed.
//!
//! Source: wazero-range-watch, host module and guest SDK, commit 7946210.

mod functions;

pub use functions::{clear, flush, group_start, group_stop, open, queue, reserve, start, stop};

pub use super::gen2::{CLEAR, GROUP_START, GROUP_STOP, QUEUE};

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

/// Names of imports that only a guest of generation 2 has from this module: it is recognized by
/// them.
pub(super) const NAMES_OF_GENERATION_2: [&str; 4] = [QUEUE, CLEAR, GROUP_START, GROUP_STOP];

/// Whether the functions need the meta page.
pub const NEEDS_PAGE: bool = true;
