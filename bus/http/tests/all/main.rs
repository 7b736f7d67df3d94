//! Streams and the route, without a socket where none is needed.

mod access;
mod client;
mod ends;
mod events;
mod limits;
mod resume;
mod shutdown;
mod slow;
mod sockets;
