//! The watches of one owner: a guest with all of its instances.

pub(crate) mod group;
pub(crate) mod ready;
pub(crate) mod watch;
