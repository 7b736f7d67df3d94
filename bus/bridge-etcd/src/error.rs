//! Errors of etcd as those of a log.

use etcd_client::Error;
use rangewatch_bridge::LogError;
use tonic::{Code, Status};

/// Messages of refusals that pass: the next connection authenticates again.
/// Source: etcd, etcdserver/api/v3rpc/rpctypes/error.go.
const PASSING: [&str; 2] = ["invalid auth token", "revision of auth store is old"];

/// Reasons of a canceled watch that do not pass.
const LASTING: [&str; 3] = [
    "permission denied",
    "user name is empty",
    "watcher range is empty",
];

/// Translates an error of the client.
pub(crate) fn log_error(error: Error) -> LogError {
    let passes = match &error {
        Error::GRpcStatus(status) => passes(status),
        Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => false,
        _ => true,
    };
    if passes {
        LogError::unavailable(error)
    } else {
        LogError::refused(error)
    }
}

fn passes(status: &Status) -> bool {
    match status.code() {
        Code::InvalidArgument
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Unimplemented => PASSING.iter().any(|text| status.message().contains(text)),
        _ => true,
    }
}

/// Why the server has ended the watch.
pub(crate) fn canceled(reason: &str) -> LogError {
    let text = format!("etcd has canceled the watch: {reason}");
    if LASTING.iter().any(|lasting| reason.contains(lasting)) {
        LogError::refused(text)
    } else {
        LogError::unavailable(text)
    }
}

/// An answer of another form than the requests have.
pub(crate) fn unexpected(what: &str) -> LogError {
    LogError::unavailable(format!("the server has sent {what}"))
}

/// Whether a read failed because its revision was compacted.
pub(crate) fn is_compacted(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else {
        return false;
    };
    status.code() == Code::OutOfRange && status.message().contains("has been compacted")
}

/// Whether an answer exceeds the bound of a message.
pub(crate) fn is_too_large(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else {
        return false;
    };
    matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted)
        && status.message().contains("message length too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(code: Code, message: &str) -> bool {
        let error = Error::GRpcStatus(Status::new(code, message));
        matches!(log_error(error), LogError::Refused(_))
    }

    #[test]
    fn what_does_not_pass_is_refused() {
        let failed = "etcdserver: authentication failed, invalid user ID or password";
        assert!(is_refused(Code::InvalidArgument, failed));
        assert!(is_refused(
            Code::PermissionDenied,
            "etcdserver: permission denied"
        ));
        let disabled = "etcdserver: authentication is not enabled";
        assert!(is_refused(Code::FailedPrecondition, disabled));
        assert!(matches!(
            canceled("rpc error: permission denied"),
            LogError::Refused(_)
        ));
    }

    #[test]
    fn what_passes_is_tried_again() {
        let old = "etcdserver: revision of auth store is old";
        assert!(!is_refused(Code::InvalidArgument, old));
        assert!(!is_refused(
            Code::Unauthenticated,
            "etcdserver: invalid auth token"
        ));
        assert!(!is_refused(Code::Unavailable, "etcdserver: no leader"));
        assert!(!is_refused(Code::Unknown, "transport error"));
        assert!(matches!(
            canceled("etcdserver: no leader"),
            LogError::Unavailable(_)
        ));
        assert!(matches!(canceled(""), LogError::Unavailable(_)));
    }
}
