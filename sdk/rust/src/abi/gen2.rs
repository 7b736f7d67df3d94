//! The numbers and names of generation 2 of the guest ABI, where it differs from generation 1.
//!
//! The meta page, the exports and the limits are the same, and the error texts but one more.
//! `__range_watch_recv` finds a **batch** in the buffer, and nothing in the value:
//!
//! ```text
//! batch  = u16 number of notices, notices
//! notice = u64 value, u16 number of ids, ids
//! id     = u16 length, bytes                     all numbers big-endian
//! ```

use super::{IMPORT_FLUSH, IMPORT_OPEN, IMPORT_RESERVE, IMPORT_START, IMPORT_STOP};

/// The module of the imports that emit and watch.
pub const IMPORT_MODULE: &str = "pantopic/ext-range-watch";
/// Import: gathers the key list in the buffer with the value.
pub const IMPORT_QUEUE: &str = "__range_watch_queue";
/// Import: drops what was gathered.
pub const IMPORT_CLEAR: &str = "__range_watch_clear";
/// Import: opens the group whose id is in the buffer, and selects it for the rest of the call.
pub const IMPORT_GROUP_START: &str = "__range_watch_group_start";
/// Import: ends the group whose id is in the buffer.
pub const IMPORT_GROUP_STOP: &str = "__range_watch_group_stop";

/// The imports of [`IMPORT_MODULE`]. [`IMPORT_FLUSH`] emits what was gathered and reads nothing.
pub const IMPORTS: [&str; 9] = [
    IMPORT_QUEUE,
    IMPORT_FLUSH,
    IMPORT_CLEAR,
    IMPORT_RESERVE,
    IMPORT_OPEN,
    IMPORT_START,
    IMPORT_STOP,
    IMPORT_GROUP_START,
    IMPORT_GROUP_STOP,
];

/// Error text of the host: no group of this id is open.
pub const GROUP_NOT_FOUND: &str = "Group not found";
