//! Outcomes of a guest's call: an error number, an exit, a wait, or a signal.

pub(crate) mod errno;
pub(crate) mod exit;
pub(crate) mod interrupt;
pub(crate) mod signal_policy;
