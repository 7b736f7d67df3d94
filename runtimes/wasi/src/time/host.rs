//! The clocks of the host: those of std, or of JavaScript where std has none.

#[cfg(not(all(target_family = "wasm", target_os = "unknown", feature = "web")))]
pub(crate) use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "web"))]
pub(crate) use web_time::{Instant, SystemTime, UNIX_EPOCH};
