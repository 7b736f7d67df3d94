//! Clients that others have written: the `EventSource` of a browser, and `curl`.
//!
//! `cargo test` leaves this target out, because it needs both programs: run it with `.ci/run
//! clients`, which installs them.

mod browser;
mod curl;
mod event_source;
mod server;
