//! The watches of a guest: the namespaces of its owners, and what is ready to be delivered.

pub(crate) mod feed;
pub(crate) mod guest_watches;
pub(crate) mod namespace;
pub(crate) mod notices;
pub(crate) mod owner;
mod shrink;
pub(crate) mod signal;
pub(crate) mod started;
pub(crate) mod watch;
