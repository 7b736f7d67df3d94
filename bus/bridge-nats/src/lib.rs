//! A [`Log`](rangewatch_bridge::Log) on NATS JetStream.

#![forbid(unsafe_code)]

mod connection;
mod consumer;
mod entry;
mod error;
mod names;
mod nats_log;
mod reader;
mod stream;
mod writer;

/// The client, for [`connect_options`](NatsLogBuilder::connect_options) and
/// [`stream`](NatsLogBuilder::stream).
pub use async_nats;
pub use nats_log::{NatsLog, NatsLogBuilder, OpenError};

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
