//! Appending.

use rangewatch_bridge::{Appended, Frame, Head, LogError, LogWriter, Parts, async_trait};
use redis::Value;

use crate::connection::Connection;
use crate::error::unexpected;
use crate::redis_log::{Options, RedisLog};
use crate::reply::{Entry, Id, as_text, as_value, foreign_end, take};
use crate::scripts;

pub(crate) struct Writer {
    connection: Connection,
    options: Options,
    /// The epoch that the log had last.
    epoch: Option<u64>,
}

impl Writer {
    pub(crate) const fn new(connection: Connection, options: Options) -> Self {
        Self {
            connection,
            options,
            epoch: None,
        }
    }

    /// Checks the last entry of the stream, which is in the answer when frames were left out.
    async fn check_last(&mut self, epoch: u64, answer: &mut [Value]) -> Result<(), LogError> {
        let fields = take(answer, 3);
        if fields == Value::Nil {
            return Ok(());
        }
        let id = take(answer, 2);
        let entry = Entry::new(&id, fields).ok_or_else(|| unexpected("an entry"))?;
        match self.connection.foreign_end(epoch, entry).await? {
            Some(foreign) => Err(LogError::Foreign(foreign)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl LogWriter for Writer {
    async fn head(&mut self) -> Result<Head, LogError> {
        let head = self.connection.head(self.epoch).await?;
        self.epoch = Some(head.epoch);
        Ok(head)
    }

    async fn append(&mut self, epoch: u64, frames: &[Frame]) -> Result<Appended, LogError> {
        Frame::check_sizes(frames, RedisLog::MAX_FRAME_BYTES)?;
        let part_bytes = self.options.part_bytes;
        let mut answer = self
            .connection
            .run(&scripts::APPEND, epoch, |call| {
                let prev = frames.first().and_then(Frame::prev);
                call.arg(epoch).arg(text(prev));
                for frame in frames {
                    call.arg(format!("{}-1", frame.value()));
                    let bytes = frame.bytes();
                    if bytes.len() <= part_bytes {
                        call.arg(&bytes[..]);
                        continue;
                    }
                    call.arg("").arg(bytes.len().div_ceil(part_bytes));
                    for (_, part, _) in Parts::split(frame, part_bytes) {
                        call.arg(&part[..]);
                    }
                }
            })
            .await?;
        match answer.first().and_then(as_text) {
            Some("ok") => {
                self.check_last(epoch, &mut answer).await?;
                let head_before = as_value(answer.get(1), "a head")?;
                Ok(Appended { head_before })
            }
            Some("notnext") => {
                self.check_last(epoch, &mut answer).await?;
                let head = as_value(answer.get(1), "a head")?;
                Err(LogError::NotNext { head })
            }
            Some("epoch") => Err(epoch_error(&answer)),
            Some("foreign") => {
                let id = answer.get(1).and_then(Id::parse);
                let id = id.ok_or_else(|| unexpected("an id"))?;
                Err(LogError::Foreign(foreign_end(
                    id,
                    "it has not one field, `k`",
                )))
            }
            _ => Err(unexpected("an append")),
        }
    }

    async fn begin_epoch(
        &mut self,
        last: Option<u64>,
        epoch: u64,
        head: Option<u64>,
    ) -> Result<(), LogError> {
        let stream = last.unwrap_or(epoch);
        let fill = |call: &mut redis::ScriptInvocation<'_>| {
            call.arg(text(last)).arg(epoch).arg(text(head));
        };
        self.connection
            .run(&scripts::BEGIN, stream, fill)
            .await
            .map(drop)
    }

    async fn compact(&mut self, epoch: u64, before: u64) -> Result<u64, LogError> {
        loop {
            let answer = self
                .connection
                .run(&scripts::TRIM, epoch, |call| {
                    call.arg(epoch).arg(before);
                })
                .await?;
            match answer.first().and_then(as_text) {
                Some("ok") => break,
                Some("more") => {}
                Some("epoch") => return Err(epoch_error(&answer)),
                _ => return Err(unexpected("a trim")),
            }
        }
        let head = self.connection.head(Some(epoch)).await?;
        if head.epoch != epoch {
            return Err(LogError::EpochChanged { epoch: head.epoch });
        }
        Ok(head.floor)
    }
}

fn epoch_error(answer: &[Value]) -> LogError {
    match as_value(answer.get(1), "an epoch") {
        Ok(Some(epoch)) => LogError::EpochChanged { epoch },
        Ok(None) => LogError::Missing,
        Err(error) => error,
    }
}

fn text(value: Option<u64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
