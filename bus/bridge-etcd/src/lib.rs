//! The keys of an etcd cluster as a [`Log`](rangewatch_bridge::Log): each revision that changes
//! them is an emit.

#![forbid(unsafe_code)]

mod client;
mod error;
mod event;
mod keys;
mod lineage;
mod reader;
mod responses;
mod scan;
mod source;
mod version;

#[cfg(feature = "tls")]
pub use etcd_client::{Certificate, Identity, TlsOptions};
pub use event::{EtcdEvent, EtcdEvents, EventKind, PayloadError};
pub use scan::Scan;
pub use source::{EtcdSource, EtcdSourceBuilder, SourceError};

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
