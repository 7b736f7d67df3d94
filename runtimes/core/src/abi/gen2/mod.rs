//! Generation 2 of the guest ABI: emits that are gathered, batches of notices, and groups.
//!
//! The imports have no parameters; arguments are passed through the same *meta page* as in
//! [generation 1](super::gen1). Each function is also provided under the module of generation 1,
//! where a guest is recognized by its imports: see [`Generation`](super::Generation).
//!
//! # Emits
//!
//! [`queue`] gathers a value and keys, [`flush`] emits what was gathered, [`clear`] drops it. One
//! emit is all keys of consecutive `queue`s of one value. What is gathered belongs to the instance:
//! it stays until `flush` or `clear`, also when the call returns, because a host of the field
//! applies commands in one export and flushes in another, after its commit. It is gone with the
//! instance.
//!
//! # Notices
//!
//! Every value of every watch is delivered, in the order of the emits. An owner has one queue of
//! notices, bounded by [`Limits::notices`](crate::Limits::notices) and
//! [`Limits::notice_bytes`](crate::Limits::notice_bytes), over all of its watches, and with those
//! of all owners of the guest by
//! [`Limits::guest_notice_bytes`](crate::Limits::guest_notice_bytes). One recv takes as many as fit
//! its buffer:
//!
//! ```text
//! batch  = u16 n, n * notice
//! notice = u64 value, u16 m, m * id
//! id     = u16 length, bytes              all big-endian
//! ```
//!
//! A recv is given at most 80 KiB, and what stands for about an eighth of a slice of work. The
//! guest pays for it: the call begins with that work ([`Outcome`](super::Outcome)) as used fuel.
//!
//! Notices are held from `open` on and delivered from `start` on. The owner whose queue would
//! exceed a bound ends, and no other one: what is in the queue is delivered, then the embedder
//! receives [`CallbackErrorCause::Overflow`](crate::CallbackErrorCause::Overflow) with the value to
//! resume from.
//!
//! # Groups
//!
//! [`group_start`] opens an owner inside the owner of the call, and selects it: the verbs that
//! follow in this call are of the group. [`group_stop`] ends it.
//!
//! # Sources
//!
//! Source: ABI.md of this project, on pantopic/ext-range-watch at bee77d2. Where that says nothing:
//!
//! - The meta page has the seven slots of generation 1. `val` is not written before a recv.
//! - Several values that are gathered take effect together, in their order, or not at all.
//! - Repeated `queue`s of a value are one emit only if no other value was queued between them.
//! - A notice whose ids do not fit one batch is continued in the next one, with the same value.
//! - Notices that a watch held are delivered at `start`, before later ones of the same watch; they
//!   may be older than what another watch of the owner has received already.
//! - `group_start` of a group that exists selects it, so that a stream can open watches in several
//!   calls. A group that has ended by overflow is opened again. Groups are of the owner that the
//!   host names: groups do not nest, and end with it.
//! - The group that is selected is forgotten when the call or callback returns, or by
//!   [`GuestAbi::set_owner`](super::GuestAbi::set_owner).
//!
//! DIFFERENCE: a recv that reports an error closes the watches of its batch, as one of generation 1
//! closes its watch. The notices of a recv that traps are not delivered again; the error names the
//! first of them.

mod functions;

pub use functions::{clear, flush, group_start, group_stop, open, queue, reserve, start, stop};

pub use super::gen1::{FLUSH, NEEDS_PAGE, OPEN, PAGE, RECV, RESERVE, START, STOP};

/// The import module.
pub const MODULE: &str = "pantopic/ext-range-watch";
/// The import that gathers the keys of the buffer.
pub const QUEUE: &str = "__range_watch_queue";
/// The import that drops what was gathered.
pub const CLEAR: &str = "__range_watch_clear";
/// The import that opens and selects a group.
pub const GROUP_START: &str = "__range_watch_group_start";
/// The import that ends a group.
pub const GROUP_STOP: &str = "__range_watch_group_stop";
