//! Errors of NATS as those of a log.

use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{ConnectError, ConnectErrorKind, ServerError};
use rangewatch_bridge::LogError;

/// Refusals that do not pass by themselves, whatever their class.
const LASTING: [ErrorCode; 5] = [
    ErrorCode::JETSTREAM_NOT_ENABLED,
    ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
    ErrorCode::NO_ACCOUNT,
    ErrorCode::STREAM_PURGE_FAILED,
    ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED,
];

/// Errors of the class of refusals that pass: others use what is to be had, or servers are away.
const PASSING: [ErrorCode; 4] = [
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::CONSUMER_NOT_FOUND,
    ErrorCode::MAXIMUM_CONSUMERS_LIMIT,
];

/// Translates an answer of JetStream.
pub(crate) fn api_error(error: jetstream::Error) -> LogError {
    let code = error.error_code();
    match error.code() {
        // Without its stream, the subject may belong to another one.
        _ if [ErrorCode::STREAM_NOT_FOUND, ErrorCode::STREAM_NOT_MATCH].contains(&code) => {
            LogError::Missing
        }
        _ if LASTING.contains(&code) => LogError::refused(error),
        400..=499 if !PASSING.contains(&code) => LogError::refused(error),
        _ => LogError::unavailable(error),
    }
}

/// Translates a request for `what` without an answer. `has_jetstream` says whether the server, or
/// others of its cluster, have JetStream.
pub(crate) fn request_error(what: &str, error: RequestError, has_jetstream: bool) -> LogError {
    match error.kind() {
        RequestErrorKind::NoResponders if !has_jetstream => {
            LogError::refused("JetStream is not enabled: start the server with -js")
        }
        _ => LogError::unavailable(format!("{what}: {error}")),
    }
}

/// Translates an attempt to connect.
pub(crate) fn connect_error(error: ConnectError) -> LogError {
    let text = error.to_string().to_lowercase();
    // Source: nats-server 2.15, server/client.go: all but the timeout say that what the client has
    // shown is not enough.
    let is_refusal = text.contains("authorization")
        || (text.contains("authentication") && !text.contains("timeout"));
    match error.kind() {
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Authentication
        | ConnectErrorKind::AuthorizationViolation
        | ConnectErrorKind::Tls => LogError::refused(error),
        _ if is_refusal => LogError::refused(error),
        _ => LogError::unavailable(error),
    }
}

/// What a server says when it ignores a request or a subscription without an answer.
pub(crate) fn refusal(error: &ServerError) -> Option<String> {
    let text = error.to_string();
    let is_refusal = text.to_lowercase().contains("permissions violation");
    is_refusal.then_some(text)
}

/// An answer of another form than those of JetStream.
pub(crate) fn unexpected(what: &str) -> LogError {
    LogError::unavailable(format!("the server has answered {what} in another form"))
}
