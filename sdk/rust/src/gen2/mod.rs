//! Generation 2 of the guest ABI: every value is delivered, in batches; emits are queued and
//! flushed; and a guest divides its watches into groups.
//!
//! A guest is of one generation: it uses the verbs and the handler of this module, or those of the
//! [crate root](crate), never both. [`Selector`](crate::Selector), [`Error`](crate::Error) and the
//! functions that [pass bytes](crate#bytes-in-bytes-out) serve both. A guest that uses one
//! generation imports nothing of the other.
//!
//! ```
//! use rangewatch_guest::gen2 as watch;
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn _initialize() {
//!     watch::receive(|batch| {
//!         for notice in batch {
//!             for id in notice.ids() {
//!                 send(id, notice.value());
//!             }
//!         }
//!     })
//!     .expect("registered once");
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn apply(revision: u64) {
//!     watch::queue(revision, ["test-100", "test-200"]).expect("keys fit");
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn committed() {
//!     watch::flush().expect("in a guest");
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn follow() {
//!     watch::group_start("client 7").expect("there is room");
//!     watch::open("w1", "test-100".."test-300").expect("w1 is free in this group");
//!     watch::start("w1").expect("w1 is open");
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn disconnected() {
//!     watch::group_stop("client 7").expect("it was started");
//! }
//!
//! fn send(_id: &[u8], _value: u64) { /* tell the client */ }
//! ```
//!
//! # Emits
//!
//! [`queue`] gathers a value with keys, [`flush`] emits all that was gathered, [`clear`] drops it.
//! The keys of one value are one emit, and several values take effect together, in their order, or
//! not at all. What is gathered belongs to the instance and stays until `flush` or `clear`, also
//! when the call returns: a guest may queue in each command and flush after the commit. It is gone
//! with the instance.
//!
//! # Batches
//!
//! Every value of every watch is delivered, in the order of the emits. A delivery is a [`Batch`] of
//! [notices](Notice), each a value with the ids of the watches that it matches. A notice with more
//! ids than fit into one batch goes on in the next one, with the same value.
//!
//! A group whose notices pile up beyond a bound of the host ends, with its watches. What was
//! pending is delivered first, and the host, not the guest, learns from which value to resume. The
//! verbs return [`Error::Closed`](crate::Error::Closed) in a group that has ended; one that the
//! guest has started can be started again.
//!
//! # Groups
//!
//! [`group_start`] opens a group and selects it for the rest of the call: [`reserve`], [`open`],
//! [`start`] and [`stop`] are of it, and ids are unique within it. Each call begins in the group
//! that the host assigns to the guest, and the handler in the group of its batch. [`group_stop`]
//! ends a group with its watches. Groups do not nest.

mod batch;
mod groups;
pub(crate) mod host;
mod queue;
mod receive;
mod verbs;

pub use self::batch::{Batch, Ids, Notice, Notices};
pub use self::groups::{group_start, group_stop};
pub use self::queue::{clear, flush, queue};
pub use self::receive::{receive, try_receive};
pub use self::verbs::{open, reserve, start, stop};
