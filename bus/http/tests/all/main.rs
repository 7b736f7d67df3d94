//! Streams and the route, without a socket where none is needed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod client;
mod ends;
mod events;
mod limits;
mod resume;
mod shutdown;
mod slow;
mod sockets;
