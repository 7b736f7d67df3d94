//! The page in a browser.
//!
//! `cargo test` leaves this target out, because it needs one: run it with `.ci/run clients`, which
//! installs it.

#[path = "../../../../bus/http/tests/clients/browser.rs"]
mod browser;
mod page;
mod tab;
