//! The watches of one owner: a guest with all of its instances.

pub(crate) mod group;
pub(crate) mod signal;
pub(crate) mod started;
pub(crate) mod watch;
