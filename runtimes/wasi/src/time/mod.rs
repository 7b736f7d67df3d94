//! Clocks that a guest reads, and timers that end its sleeps.

pub(crate) mod clock;
mod delay;
pub(crate) mod host;
pub(crate) mod timer;
