//! Logs on real servers: Debian's, and a newer one.

#![expect(
    clippy::print_stdout,
    reason = "a test says that it has tested nothing"
)]

#[macro_use]
mod server;

mod cluster;
mod conformance;
mod faults;
mod foreign;
mod large_emits;
mod refusals;
mod streams;
mod trims;
mod writers;
