//! A server that speaks the part of etcd's API that clients need to put, get, delete, transact,
//! compact, watch and lease. Its state machine is a guest, and its watches are subscriptions on the
//! bus.
#![forbid(unsafe_code)]

mod bytes_codec;
mod host;
mod kv;
mod lease;
mod machine;
mod maintenance;
mod metrics;
mod pages;
pub mod proto;
mod server;
mod store;
mod view;
mod watch;

pub use host::Recorded;
pub use machine::{GUEST, Machine};
pub use server::{Config, Server};
pub use store::{OpenError, Order, Scan, Snapshot, Store, StoreError, Writes};
pub use view::View;

/// Why the server does not start.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
