//! One connection to the servers, which never connects again by itself.

use std::time::Duration;

use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, Context, ContextBuilder, ErrorCode};
use async_nats::{
    Client, ConnectOptions, Event, HeaderMap, Message, Request, RequestErrorKind, ServerAddr,
    Subscriber, header,
};
use bytes::Bytes;
use rangewatch_bridge::LogError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::error::{api_error, connect_error, refusal, request_error, unexpected};
use crate::names::Names;
use crate::nats_log::NatsLog;

/// A connection that nobody else uses. It ends with the first disconnect: what was in flight then
/// fails, and nothing is sent again.
pub(crate) struct Connection {
    client: Client,
    context: Context,
    prefix: String,
    pub(crate) names: Names,
    /// The largest body of a message, in bytes.
    pub(crate) message_bytes: usize,
    /// What the server has said when it ignored a request.
    refusals: watch::Receiver<Option<String>>,
}

/// What became of a message that was to be stored next.
pub(crate) enum Published {
    /// It is stored, at this sequence.
    Stored(u64),
    /// The stream does not end where it was to end.
    Conflict,
    /// Nobody stores messages of the subject: there is no stream, or it is being made.
    Nobody,
}

/// An address that no server has: after the connection was made, the client may try that one only.
const NOWHERE: &str = "nats://127.0.0.1:0";

impl Connection {
    pub(crate) async fn open(log: &NatsLog) -> Result<Self, LogError> {
        let timeout = log.options.timeout;
        let (refuse, refusals) = watch::channel(None);
        let options = credentials((log.connect_options)(), &log.servers)
            .connection_timeout(timeout)
            .request_timeout(Some(timeout))
            .ignore_discovered_servers()
            // One attempt for each server, and without the delay of the client.
            .max_reconnects(log.servers.len())
            .reconnect_delay_callback(|_| Duration::ZERO)
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    if let Some(text) = refusal(&error) {
                        refuse.send_replace(Some(text));
                    }
                }
                async {}
            });
        let client = options.connect(&log.servers[..]).await;
        let client = client.map_err(connect_error)?;
        let pool = client.set_server_pool(NOWHERE).await;
        pool.map_err(LogError::unavailable)?;
        let context = ContextBuilder::new().timeout(timeout);
        let context = context.api_prefix(&log.options.api_prefix);
        // A server counts the headers, too, and other clients have other bounds.
        let message_bytes = log.options.message_bytes.min(client.max_payload() / 2);
        Ok(Self {
            context: context.build(client.clone()),
            client,
            prefix: log.options.api_prefix.clone(),
            names: log.names.clone(),
            message_bytes,
            refusals,
        })
    }

    /// The largest message that the server takes, in bytes.
    pub(crate) fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// Asks JetStream, which answers or refuses.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        what: String,
        body: &Value,
    ) -> Result<Response<T>, LogError> {
        let answer = self.context.request(what.clone(), body);
        let answer = self.or_refused(answer).await?;
        answer.map_err(|error| {
            let info = self.client.server_info();
            request_error(&what, error, info.jetstream || info.cluster.is_some())
        })
    }

    /// Stores a message, if `last` is the last sequence of the stream.
    ///
    /// The sequence of the stream, and not that of the subject: a cluster of servers 2.9 compares
    /// the one of the subject before it has agreed on the order of messages, so that two writers
    /// pass at once. And no `Nats-Msg-Id`: after this comparison, the window of duplicates could
    /// only hide that a message is not stored, because the stream has lost or removed it since.
    pub(crate) async fn publish(&self, last: u64, body: Bytes) -> Result<Published, LogError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_EXPECTED_STREAM, self.names.stream.as_str());
        headers.insert(header::NATS_EXPECTED_LAST_SEQUENCE, last.to_string());
        let request = Request::new().headers(headers).payload(body);
        let subject = self.names.subject.clone();
        let answer = self.client.send_request(subject, request);
        let answer = match self.or_refused(answer).await? {
            Ok(answer) => answer,
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                return Ok(Published::Nobody);
            }
            Err(error) => return Err(LogError::unavailable(error)),
        };
        match serde_json::from_slice(&answer.payload) {
            Ok(Response::<PublishAck>::Ok(stored)) if !stored.duplicate => {
                Ok(Published::Stored(stored.sequence))
            }
            Ok(Response::Err { error }) => match error.error_code() {
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE
                | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Ok(Published::Conflict),
                _ => Err(api_error(error)),
            },
            _ => Err(unexpected("a message")),
        }
    }

    /// Subscribes to the inboxes under a subject. Returns the subject, too.
    pub(crate) async fn inboxes(&self) -> Result<(String, Subscriber), LogError> {
        let subject = self.client.new_inbox();
        let messages = self.client.subscribe(format!("{subject}.*")).await;
        Ok((subject, messages.map_err(LogError::unavailable)?))
    }

    /// Asks JetStream for something that arrives at an inbox.
    pub(crate) async fn ask_into(
        &self,
        inbox: &str,
        what: &str,
        body: &Value,
    ) -> Result<(), LogError> {
        let subject = format!("{}.{what}", self.prefix);
        let sent =
            self.client
                .publish_with_reply(subject, inbox.to_owned(), body.to_string().into());
        sent.await.map_err(LogError::unavailable)
    }

    /// The sequence of a message from a consumer, and how many follow it in the stream.
    pub(crate) fn place(&self, message: Message) -> Result<(u64, u64), LogError> {
        let context = self.context.clone();
        let message = jetstream::Message { message, context };
        match message.info() {
            Ok(info) => Ok((info.stream_sequence, info.pending)),
            Err(_) => Err(unexpected("what a message is")),
        }
    }

    /// Waits, unless the server refuses what is waited for.
    pub(crate) async fn or_refused<F: Future>(&self, future: F) -> Result<F::Output, LogError> {
        let mut refusals = self.refusals.clone();
        let refused = async {
            let text = refusals.wait_for(Option::is_some).await;
            match text.ok().and_then(|text| text.clone()) {
                Some(text) => text,
                // The connection has ended, and `future` knows.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            text = refused => Err(LogError::refused(text)),
            output = future => Ok(output),
        }
    }
}

/// Applies the credentials of the first address that has some. Without a password, the name is a
/// token.
fn credentials(options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let Some(server) = servers.iter().find(|server| server.has_user_pass()) else {
        return options;
    };
    let user = decode_percent(server.username().unwrap_or_default());
    match server.password() {
        Some(password) => options.user_and_password(user, decode_percent(password)),
        None => options.token(user),
    }
}

/// Decodes `%40` and the like. What is not such an escape stays.
fn decode_percent(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.first_chunk::<2>().filter(|_| *first == b'%');
        let escape = escape.and_then(|digits| str::from_utf8(digits).ok());
        let byte = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::decode_percent;

    #[test]
    fn escapes_of_urls_are_decoded() {
        for (text, decoded) in [
            ("", ""),
            ("plain", "plain"),
            ("a%40b%2Fc%25", "a@b/c%"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%C3%A9", "%zzé"),
        ] {
            assert_eq!(decode_percent(text), decoded, "{text}");
        }
    }
}
