//! A consumer of the stream.

use std::time::Duration;

use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::response::Response;
use async_nats::{Message, StatusCode, Subscriber};
use futures::{FutureExt as _, StreamExt as _};
use rangewatch_bridge::LogError;
use serde_json::json;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::entry::Entry;
use crate::error::api_error;
use crate::nats_log::Options;

/// An ephemeral consumer, which sends what it is asked for to an inbox. It may stop, skip or repeat
/// messages when servers of a cluster change their roles: its user checks each sequence.
pub(crate) struct Consumer {
    name: String,
    /// An inbox for each question.
    inbox: String,
    messages: Subscriber,
    /// The number of the last question.
    question: u64,
    /// How many messages were asked for, and are to come.
    n_asked: usize,
    /// Whether some of them came.
    has_answered: bool,
}

/// What has come from a consumer.
pub(crate) enum Received {
    Message(Delivered),
    /// What was asked for has come, or no more of it will.
    Done,
    /// Nothing more has come in the time that the question was open.
    Expired,
    /// The consumer answers no more.
    Stopped(String),
}

/// A message of the stream.
pub(crate) struct Delivered {
    pub(crate) seq: u64,
    /// Whether it is the last one of the stream.
    pub(crate) is_last: bool,
    pub(crate) entry: Result<Entry, String>,
}

/// When a consumer that is asked nothing is removed. A reader that comes back later connects again.
const INACTIVE: Duration = Duration::from_secs(120);
/// How many bytes a consumer may send at once, if the server takes no larger messages.
const READ_BYTES: usize = 8 << 20;

impl Consumer {
    /// Makes one that begins at a sequence, or at the first one above it.
    pub(crate) async fn start(connection: &Connection, seq: u64) -> Result<Self, LogError> {
        let (inbox, messages) = connection.inboxes().await?;
        let stream = &connection.names.stream;
        let body = json!({
            "stream_name": stream,
            "config": {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": seq,
                "ack_policy": "none",
                "replay_policy": "instant",
                "inactive_threshold": INACTIVE.as_nanos() as u64,
                "mem_storage": true,
                "num_replicas": 1,
            },
        });
        let info = connection.ask::<Info>(format!("CONSUMER.CREATE.{stream}"), &body);
        match info.await? {
            Response::Ok(info) => Ok(Self {
                name: info.name,
                inbox,
                messages,
                question: 0,
                n_asked: 0,
                has_answered: false,
            }),
            Response::Err { error } => Err(api_error(error)),
        }
    }

    /// Removes it. The server does that by itself if this fails.
    pub(crate) async fn end(self, connection: &Connection) {
        let what = format!("CONSUMER.DELETE.{}.{}", connection.names.stream, self.name);
        let _ = connection
            .ask::<serde::de::IgnoredAny>(what, &json!({}))
            .await;
    }

    /// Asks for messages, if all that was asked for has come.
    pub(crate) async fn ask(
        &mut self,
        connection: &Connection,
        options: &Options,
    ) -> Result<(), LogError> {
        if self.n_asked > 0 {
            return Ok(());
        }
        let body = json!({
            "batch": options.read_messages,
            // A message that is larger than that would never come.
            "max_bytes": READ_BYTES.max(2 * connection.max_payload()),
            "expires": options.idle.as_nanos() as u64,
        });
        let stream = &connection.names.stream;
        let what = format!("CONSUMER.MSG.NEXT.{stream}.{}", self.name);
        self.question += 1;
        connection.ask_into(&self.reply(), &what, &body).await?;
        (self.n_asked, self.has_answered) = (options.read_messages, false);
        Ok(())
    }

    /// The inbox of the last question.
    fn reply(&self) -> String {
        format!("{}.{}", self.inbox, self.question)
    }

    /// Waits for what comes next.
    pub(crate) async fn next(
        &mut self,
        connection: &Connection,
        time: Duration,
    ) -> Result<Received, LogError> {
        loop {
            let message = connection.or_refused(timeout(time, self.messages.next()));
            let received = match message.await? {
                Ok(Some(message)) => self.receive(connection, message)?,
                Ok(None) => return Err(LogError::unavailable("the connection was lost")),
                // A server 2.9 does not say that the consumer is gone.
                Err(_) => Some(Received::Stopped("the consumer is silent".to_owned())),
            };
            if let Some(received) = received {
                return Ok(received);
            }
        }
    }

    /// What has come already.
    pub(crate) fn ready(&mut self, connection: &Connection) -> Result<Option<Received>, LogError> {
        // If the connection was lost, the next wait finds it.
        while let Some(Some(message)) = self.messages.next().now_or_never() {
            let received = self.receive(connection, message)?;
            if received.is_some() {
                return Ok(received);
            }
        }
        Ok(None)
    }

    /// What a message means; nothing if it belongs to an earlier question.
    fn receive(
        &mut self,
        connection: &Connection,
        message: Message,
    ) -> Result<Option<Received>, LogError> {
        let Some(status) = message.status.filter(|status| *status != StatusCode::OK) else {
            let entry = Entry::decode(&message.payload);
            let (seq, n_pending) = connection.place(message)?;
            self.n_asked = self.n_asked.saturating_sub(1);
            self.has_answered = true;
            return Ok(Some(Received::Message(Delivered {
                seq,
                is_last: n_pending == 0,
                entry,
            })));
        };
        // A server may say that a question was answered after the last answer.
        if message.subject.as_str() != self.reply() {
            return Ok(None);
        }
        let text = message.description.as_deref().unwrap_or_default();
        let is_bound = text.contains("MaxBytes") || text.contains("Batch Completed");
        Ok(Some(match status {
            StatusCode::TIMEOUT => {
                self.n_asked = 0;
                Received::Expired
            }
            StatusCode::REQUEST_TERMINATED if is_bound && self.has_answered => {
                self.n_asked = 0;
                Received::Done
            }
            status => {
                let status = status.as_u16();
                Received::Stopped(format!("the consumer has stopped: {status} {text}"))
            }
        }))
    }
}
