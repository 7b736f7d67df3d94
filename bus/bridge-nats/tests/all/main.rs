//! Logs on real servers: Debian's, and a newer one.

#[macro_use]
mod server;

mod conformance;
mod faults;
mod foreign;
mod large_emits;
mod refusals;
mod streams;
mod trims;
mod writers;
