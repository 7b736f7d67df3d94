//! Appending.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, Info};
use rangewatch_bridge::{Appended, Frame, Head, LogError, LogWriter, async_trait};

use crate::connection::{Connection, Published};
use crate::entry::Entry;
use crate::error::api_error;
use crate::nats_log::NatsLog;
use crate::stream::{Found, Tail};

pub(crate) struct Writer {
    connection: Connection,
    config: Config,
    /// Where the log ends, as far as is known: what the last append has left.
    tail: Option<Tail>,
}

/// How often an append may be refused although the stream ends where it did: a server of a cluster
/// knows of messages which others store at the moment, or does not store for a stream that another
/// writer is making.
const MAX_STALE: u32 = 10;

impl Writer {
    pub(crate) const fn new(connection: Connection, config: Config) -> Self {
        Self {
            connection,
            config,
            tail: None,
        }
    }

    /// Makes the stream. It may exist. Inside, an error that may be over when the stream exists.
    async fn create(&self) -> Result<Result<(), LogError>, LogError> {
        let what = format!("STREAM.CREATE.{}", self.connection.names.stream);
        let config = serde_json::to_value(&self.config);
        let config = config.map_err(LogError::refused)?;
        match self.connection.ask::<Info>(what, &config).await? {
            Response::Ok(_) => Ok(Ok(())),
            Response::Err { error } => match error.error_code() {
                ErrorCode::STREAM_NAME_EXIST => Ok(Ok(())),
                // A server 2.9 says so, too, while another client makes the same stream.
                ErrorCode::STREAM_SUBJECT_OVERLAP => Ok(Err(api_error(error))),
                _ => Err(api_error(error)),
            },
        }
    }
}

/// The frames that are to be appended to a log that ends with `tail`.
fn missing<'a>(tail: &Tail, epoch: u64, frames: &'a [Frame]) -> Result<&'a [Frame], LogError> {
    tail.check(epoch)?;
    if let Some(foreign) = &tail.foreign {
        return Err(LogError::Foreign(foreign.clone()));
    }
    let head = tail.head();
    let n_old = frames.partition_point(|frame| Some(frame.value()) <= head);
    match &frames[n_old..] {
        [first, ..] if first.prev() != head => Err(LogError::NotNext { head }),
        missing => Ok(missing),
    }
}

fn stale() -> LogError {
    LogError::unavailable("the stream takes no message after its last one")
}

#[async_trait]
impl LogWriter for Writer {
    async fn head(&mut self) -> Result<Head, LogError> {
        self.tail = None;
        let mut tail = self.connection.tail().await?;
        if let Some(foreign) = tail.foreign.take() {
            return Err(LogError::Foreign(foreign));
        }
        let head = self.connection.bounds(&tail).await?;
        self.tail = Some(tail);
        Ok(head)
    }

    async fn append(&mut self, epoch: u64, frames: &[Frame]) -> Result<Appended, LogError> {
        Frame::check_sizes(frames, NatsLog::MAX_FRAME_BYTES)?;
        // What is known from before is enough to try, but not to refuse, or to say that the log has
        // the frames.
        let mut known = self.tail.take();
        let mut head_before = None;
        let mut conflict = None;
        let mut n_stale = 0;
        loop {
            let is_guess = known.is_some() && head_before.is_none();
            let mut tail = match known.take() {
                Some(tail) => tail,
                None => self.connection.tail().await?,
            };
            let missing = match missing(&tail, epoch, frames) {
                Ok([]) | Err(_) if is_guess => continue,
                Ok([]) => {
                    let head_before = head_before.unwrap_or_else(|| tail.head());
                    self.tail = Some(tail);
                    return Ok(Appended { head_before });
                }
                missing => missing?,
            };
            let is_stale = conflict.take() == Some(tail.last);
            n_stale = if is_stale { n_stale + 1 } else { 0 };
            if n_stale > MAX_STALE {
                return Err(stale());
            }
            let max_bytes = self.connection.message_bytes;
            let (header, body) = Entry::next(missing, &tail.header, max_bytes);
            match self.connection.publish(tail.last, body).await? {
                Published::Stored(seq) => {
                    head_before.get_or_insert_with(|| tail.head());
                    (tail.last, tail.seq, tail.header) = (seq, seq, header);
                    known = Some(tail);
                }
                Published::Conflict | Published::Nobody => conflict = Some(tail.last),
            }
        }
    }

    async fn begin_epoch(
        &mut self,
        last: Option<u64>,
        epoch: u64,
        head: Option<u64>,
    ) -> Result<(), LogError> {
        self.tail = None;
        let mut before = None;
        let mut n_stale = 0;
        let mut created = Ok(());
        loop {
            let (current, end) = match self.connection.find().await? {
                Found::Log(tail) => (Some(tail.epoch()), Some(tail.last)),
                Found::Empty(end) => (None, Some(end)),
                Found::Nothing => (None, None),
            };
            if current != last {
                return Ok(());
            }
            n_stale = if before == Some(end) { n_stale + 1 } else { 0 };
            before = Some(end);
            if n_stale > MAX_STALE {
                created?;
                return Err(stale());
            }
            let Some(end) = end else {
                created = self.create().await?;
                continue;
            };
            let body = Entry::begin(epoch, head);
            if let Published::Stored(seq) = self.connection.publish(end, body).await? {
                return match self.connection.purge_below(seq).await {
                    // Readers skip what is before, and the limits of the stream remove it.
                    Ok(()) | Err(LogError::Refused(_)) => Ok(()),
                    Err(error) => Err(error),
                };
            }
        }
    }

    async fn compact(&mut self, epoch: u64, before: u64) -> Result<u64, LogError> {
        let tail = self.connection.tail().await?;
        tail.check(epoch)?;
        if let Some(after) = before.checked_sub(1) {
            let first = self.connection.locate(&tail, Some(after)).await?;
            // The last message says where the log is.
            let first = first.min(tail.seq);
            if first > tail.info.state.first_sequence {
                self.connection.purge_below(first).await?;
            }
        }
        let tail = self.connection.tail().await?;
        tail.check(epoch)?;
        self.connection.floor(&tail).await
    }
}
