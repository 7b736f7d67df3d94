//! The log of a URL.

use std::sync::Arc;
use std::time::Duration;

use rangewatch_bridge::{BoxError, Log};
use rangewatch_bridge_nats::NatsLog;
use rangewatch_bridge_nats::async_nats::jetstream::stream::{Config, StorageType};
use rangewatch_bridge_redis::RedisLog;

/// The log of a bus on the server of a URL: `redis://host:port/`, `nats://host:port/`, or
/// `nats-memory://host:port/`, whose stream is not in a file.
///
/// # Errors
///
/// If there is no log for such a URL.
pub fn open_log(url: &str, bus: &str) -> Result<Arc<dyn Log>, BoxError> {
    match url.split_once("://") {
        Some(("redis", _)) => {
            let log = RedisLog::builder(url, bus)?.block(Duration::from_millis(200));
            Ok(Arc::new(log.timeout(Duration::from_secs(2)).build()?))
        }
        Some((scheme @ ("nats" | "nats-memory"), address)) => {
            let storage = match scheme {
                "nats" => StorageType::File,
                _ => StorageType::Memory,
            };
            let log = NatsLog::builder(format!("nats://{address}"), bus)?;
            let log = log.stream(Config {
                storage,
                ..Config::default()
            });
            let log = log.idle(Duration::from_millis(200));
            Ok(Arc::new(log.timeout(Duration::from_secs(2)).build()?))
        }
        _ => Err(format!("no log for the URL {url}").into()),
    }
}
