//! A [`Log`](rangewatch_bridge::Log) on Redis Streams.

#![forbid(unsafe_code)]

mod connection;
mod error;
mod names;
mod reader;
mod redis_log;
mod reply;
mod scripts;
mod writer;

pub use redis_log::{OpenError, RedisLog, RedisLogBuilder};

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
