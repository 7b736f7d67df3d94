//! The log of a URL.

use std::sync::Arc;
use std::time::Duration;

use rangewatch_bridge::{BoxError, Log};
use rangewatch_bridge_redis::RedisLog;

/// The log of a bus on the server of a URL: `redis://host:port/`.
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
        _ => Err(format!("no log for the URL {url}").into()),
    }
}
