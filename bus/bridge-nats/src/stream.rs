//! The stream of a log: where it begins and ends, and where a value is.

use std::ops::RangeInclusive;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Info, PurgeResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rangewatch_bridge::{ForeignEntry, Head, LogError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::entry::{Entry, Header, Kind};
use crate::error::{api_error, unexpected};

/// A message of the stream.
pub(crate) struct Stored {
    pub(crate) seq: u64,
    pub(crate) entry: Result<Entry, String>,
}

/// Where a log ends.
pub(crate) struct Tail {
    /// The stream, as it was just before.
    pub(crate) info: Info,
    /// The last sequence of the stream.
    pub(crate) last: u64,
    /// The last message of the log, and its sequence; messages of other programs may follow.
    pub(crate) seq: u64,
    pub(crate) header: Header,
    /// The last message of the subject, if it is not one of a bridge.
    pub(crate) foreign: Option<ForeignEntry>,
}

/// Where the stream of a log is.
pub(crate) enum Found {
    /// There is none.
    Nothing,
    /// There is one, which ends with this sequence, without an epoch.
    Empty(u64),
    Log(Box<Tail>),
}

/// How often a stream may lose all that it had between two questions.
const MAX_LOOKS: u32 = 10;

#[derive(Deserialize)]
struct RawAnswer {
    message: RawMessage,
}

#[derive(Deserialize)]
struct RawMessage {
    seq: u64,
    #[serde(default)]
    data: String,
}

impl Tail {
    pub(crate) const fn epoch(&self) -> u64 {
        self.header.epoch
    }

    pub(crate) const fn head(&self) -> Option<u64> {
        self.header.head()
    }

    pub(crate) const fn check(&self, epoch: u64) -> Result<(), LogError> {
        match self.epoch() {
            current if current == epoch => Ok(()),
            current => Err(LogError::EpochChanged { epoch: current }),
        }
    }
}

impl Connection {
    /// The state of the stream.
    pub(crate) async fn info(&self) -> Result<Info, LogError> {
        let what = format!("STREAM.INFO.{}", self.names.stream);
        match self.ask(what, &json!({})).await? {
            Response::Ok(info) => Ok(info),
            Response::Err { error } => Err(api_error(error)),
        }
    }

    /// The first message at or above a sequence.
    pub(crate) async fn message_from(&self, seq: u64) -> Result<Option<Stored>, LogError> {
        // The wildcard takes a message of any subject.
        let query = json!({"seq": seq, "next_by_subj": ">"});
        self.message(&query).await
    }

    async fn message(&self, query: &Value) -> Result<Option<Stored>, LogError> {
        let what = format!("STREAM.MSG.GET.{}", self.names.stream);
        match self.ask::<RawAnswer>(what, query).await? {
            Response::Ok(RawAnswer { message }) => {
                let body = STANDARD.decode(message.data);
                let body = Bytes::from(body.map_err(|_| unexpected("a message"))?);
                Ok(Some(Stored {
                    seq: message.seq,
                    entry: Entry::decode(&body),
                }))
            }
            Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
                Ok(None)
            }
            Response::Err { error } => Err(api_error(error)),
        }
    }

    /// Removes the messages below a sequence.
    pub(crate) async fn purge_below(&self, seq: u64) -> Result<(), LogError> {
        // In a server 2.9, a purge below 1 is a purge of everything. Source: its
        // server/filestore.go, PurgeEx.
        if seq <= 1 {
            return Ok(());
        }
        let what = format!("STREAM.PURGE.{}", self.names.stream);
        match self
            .ask::<PurgeResponse>(what, &json!({"seq": seq}))
            .await?
        {
            Response::Ok(_) => Ok(()),
            Response::Err { error } => Err(api_error(error)),
        }
    }

    /// Where the log ends.
    pub(crate) async fn tail(&self) -> Result<Tail, LogError> {
        match self.find().await? {
            Found::Log(tail) => Ok(*tail),
            Found::Nothing | Found::Empty(_) => Err(LogError::Missing),
        }
    }

    /// Where the log ends, if it exists: two requests, and one more for each message that was
    /// removed from the end, or is one of another program there.
    pub(crate) async fn find(&self) -> Result<Found, LogError> {
        for _ in 0..MAX_LOOKS {
            let info = match self.info().await {
                Ok(info) => info,
                Err(LogError::Missing) => return Ok(Found::Nothing),
                Err(error) => return Err(error),
            };
            let mut last = info.state.last_sequence;
            if info.state.messages == 0 {
                // Not even asked for a message: a server 2.9 that is just making the stream for
                // another client would crash.
                return Ok(Found::Empty(last));
            }
            let mut foreign = None;
            let mut message = self.last_message(&info).await?;
            let is_empty = message.is_none();
            while let Some(stored) = message {
                // It may have been stored after the state was read.
                last = last.max(stored.seq);
                let reason = match stored.entry {
                    Ok(entry) => {
                        return Ok(Found::Log(Box::new(Tail {
                            info,
                            last,
                            seq: stored.seq,
                            header: entry.header,
                            foreign,
                        })));
                    }
                    Err(reason) => reason,
                };
                foreign.get_or_insert_with(|| self.foreign(stored.seq, &reason));
                let below = stored.seq.saturating_sub(1);
                message = self
                    .last_message_in(info.state.first_sequence..=below)
                    .await?;
            }
            if !is_empty {
                return Ok(Found::Empty(last));
            }
            // What was there was removed by a limit meanwhile.
        }
        Err(unexpected("what its last message is"))
    }

    /// The last message of the stream.
    async fn last_message(&self, info: &Info) -> Result<Option<Stored>, LogError> {
        let query = json!({"last_by_subj": self.names.subject});
        let message = self.message(&query).await?;
        let from = message
            .as_ref()
            .map_or(info.state.first_sequence, |stored| stored.seq + 1);
        // A server 2.9 finds none by the subject after the last one was removed.
        let later = self.last_message_in(from..=info.state.last_sequence);
        Ok(later.await?.or(message))
    }

    /// The last message in a range of sequences, the first of which is 1.
    async fn last_message_in(&self, seqs: RangeInclusive<u64>) -> Result<Option<Stored>, LogError> {
        for seq in seqs.rev().take_while(|seq| *seq > 0) {
            let message = self.message(&json!({"seq": seq})).await?;
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    /// A message of another program, and how to be rid of it.
    pub(crate) fn foreign(&self, seq: u64, reason: &str) -> ForeignEntry {
        let stream = &self.names.stream;
        let reason = format!("{reason}; remove it with `nats stream rmm {stream} {seq}`");
        ForeignEntry::new(seq.to_string(), reason)
    }

    /// The epoch and the bounds of the log.
    pub(crate) async fn bounds(&self, tail: &Tail) -> Result<Head, LogError> {
        Ok(Head {
            epoch: tail.epoch(),
            value: tail.head(),
            floor: self.floor(tail).await?,
        })
    }

    /// The least value from which on the log holds all emits: the one after that before the first
    /// emit that is whole.
    pub(crate) async fn floor(&self, tail: &Tail) -> Result<u64, LogError> {
        let above = |value: Option<u64>| value.map_or(0, |value| value.saturating_add(1));
        let mut next = tail.info.state.first_sequence;
        while let Some(stored) = self.message_from(next).await? {
            next = stored.seq + 1;
            let Ok(Entry { header, .. }) = stored.entry else {
                continue;
            };
            if header.epoch != tail.epoch() {
                // A writer has begun this epoch, and did not remove what was before yet.
                let first = self.first(tail, |_| true).await?;
                return Ok(above(
                    first.map_or_else(|| tail.head(), |(_, header)| header.prev),
                ));
            }
            match header.kind {
                // The rest of an emit whose first parts were removed.
                Kind::Part(part) if part.n > 1 => {}
                _ => return Ok(above(header.prev)),
            }
        }
        Ok(above(tail.head()))
    }

    /// The sequence from which on everything above `after` is to be read.
    pub(crate) async fn locate(&self, tail: &Tail, after: Option<u64>) -> Result<u64, LogError> {
        let found = if tail.head() > after {
            self.first(tail, |header| header.head() > after).await?
        } else {
            // An emit may have begun whose last part is to come.
            Some((tail.seq, tail.header)).filter(|(_, header)| header.is_unfinished())
        };
        let Some((seq, header)) = found else {
            return Ok(tail.last + 1);
        };
        match header.kind {
            Kind::Part(part) if part.n > 1 => {}
            _ => return Ok(seq),
        }
        // Back to the first part, which comes after the emit before it.
        let before = self.first(tail, |other| other.head() >= header.prev);
        let (seq, before) = before.await?.unwrap_or((seq, header));
        let is_part = matches!(before.kind, Kind::Part(_)) && before.value == header.value;
        Ok(if is_part { seq } else { seq + 1 })
    }

    /// The first message of the epoch that passes: the others before it do not, all after it do.
    /// Takes a request for each halving of the stream.
    async fn first(
        &self,
        tail: &Tail,
        passes: impl Fn(&Header) -> bool + Sync,
    ) -> Result<Option<(u64, Header)>, LogError> {
        let mut found = None;
        let mut low = tail.info.state.first_sequence;
        let mut high = tail.seq;
        while low <= high {
            let middle = low + (high - low) / 2;
            let mut at = self.message_from(middle).await?;
            let mut own = None;
            while let Some(stored) = at {
                if stored.seq > high {
                    break;
                }
                if let Ok(entry) = stored.entry {
                    own = Some((stored.seq, entry.header));
                    break;
                }
                at = self.message_from(stored.seq + 1).await?;
            }
            match own {
                Some((seq, header)) if header.epoch != tail.epoch() || !passes(&header) => {
                    low = seq + 1;
                }
                own => {
                    found = own.or(found);
                    let Some(below) = middle.checked_sub(1) else {
                        break;
                    };
                    high = below;
                }
            }
        }
        Ok(found)
    }
}
