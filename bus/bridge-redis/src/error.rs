//! Errors of Redis as those of a log.

use rangewatch_bridge::LogError;
use redis::{ErrorKind, RedisError};

/// Codes of errors that pass: the server starts, fails over, is out of memory or disk, or runs a
/// script that takes long.
const PASSING: [&str; 12] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "UNBLOCKED",
    "UNKILLABLE",
];

/// Translates an error of the client.
pub(crate) fn log_error(error: RedisError) -> LogError {
    let passes = match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => true,
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => false,
        _ if error.is_io_error() || error.is_timeout() || error.is_connection_dropped() => true,
        _ => error.code().is_some_and(|code| PASSING.contains(&code)),
    };
    if passes {
        LogError::unavailable(error)
    } else {
        LogError::refused(error)
    }
}

/// An answer of another form than the commands have: another server, or a broken connection.
pub(crate) fn unexpected(what: &str) -> LogError {
    LogError::unavailable(format!("the server has answered {what} in another form"))
}
