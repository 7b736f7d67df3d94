//! Bounded event queues.

mod budget;
mod counts;
mod entries;
mod event_queue;
mod fifo;
mod missed;
mod overflow;
mod tail;

pub use budget::QueueBudget;
pub(crate) use counts::Counts;
pub(crate) use event_queue::{End, EventQueue, Pushed, Taken};
pub use overflow::Overflow;
