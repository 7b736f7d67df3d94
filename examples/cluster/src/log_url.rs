//! The log of a URL.

use std::sync::Arc;

use rangewatch_bridge::{BoxError, Log};
use rangewatch_bridge_nats::NatsLog;
use rangewatch_bridge_redis::RedisLog;

/// The log of the bus of this name on a server. Nothing is connected yet.
pub(crate) fn open(url: &str, bus: &str) -> Result<Arc<dyn Log>, BoxError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("nats") => Ok(Arc::new(NatsLog::new(url, bus)?)),
        Some("redis") => Ok(Arc::new(RedisLog::new(url, bus)?)),
        _ => Err(format!("`{url}` is no log: write redis://HOST:PORT/ or nats://HOST:PORT").into()),
    }
}
