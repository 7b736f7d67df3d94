//! Emitting: the stored form of an emit, batches, backpressure, and what runs after the lock is
//! released.

mod batch;
mod draft;
mod effects;
mod emit_error;
mod emitted;
mod evicted;
mod payloads;
mod record;
mod room;
mod room_queue;
mod waiter;
mod wake_list;

pub(crate) use batch::Staged;
pub use batch::{Batch, BatchFullError};
pub(crate) use draft::Draft;
pub(crate) use effects::Effects;
pub use emit_error::EmitError;
pub use emitted::{Emitted, EmittedMany};
pub(crate) use evicted::{Evicted, SpareList};
pub(crate) use payloads::{PayloadList, Payloads};
pub(crate) use record::Record;
pub(crate) use room::{RoomWakers, WaitForRoom};
pub(crate) use room_queue::{Room, RoomQueue, Ticket};
pub(crate) use waiter::{Member, ReadyQueue, Waiter, WakeWaiter, wake_contained};
pub(crate) use wake_list::WakeList;
