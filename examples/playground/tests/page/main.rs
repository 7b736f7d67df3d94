//! The page in a browser.
//!
//! `cargo test` leaves this target out, because it needs one, and the built page: run it with
//! `.ci/run playground`, which installs the one and builds the other.

#[path = "../../../../bus/http/tests/clients/browser.rs"]
mod browser;
mod calls;
mod guests;
mod keyboard;
mod loading;
mod looks;
mod page;
mod reload;
mod streams;
#[path = "../../../etcd/tests/clients/tab.rs"]
mod tab;
mod watches;
