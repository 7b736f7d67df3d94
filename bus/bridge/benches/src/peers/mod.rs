//! A client of each engine: the log of the bridge, and the bare client.

mod memory;
mod nats;
mod redis;

pub(crate) use memory::Memory;
pub(crate) use nats::Nats;
pub(crate) use redis::Redis;
