//! The order of a bus: the state behind its one lock, and every operation that takes the lock.

mod handles;
mod host;
mod lookup;
mod restore;
mod seq;
mod shared;
mod slot;
mod slots;
mod state;
mod subscriber;

pub(crate) use handles::Handles;
pub(crate) use host::{Edited, Host, WakeHost};
pub(crate) use lookup::{Found, SharedIndex};
pub use seq::Seq;
pub(crate) use shared::{Shared, Weigher};
pub(crate) use slot::Slot;
pub(crate) use slots::Slots;
pub(crate) use state::{State, Value};
pub(crate) use subscriber::Subscriber;
