//! Clocks that a guest reads, and timers that end its sleeps.

pub(crate) mod clock;
pub(crate) mod timer;
