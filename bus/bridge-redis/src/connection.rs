//! One connection to the server, and the head of the log.

use std::time::Duration;

use rangewatch_bridge::{ForeignEntry, Frame, Head, LogError};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Script, Value};

use crate::error::{log_error, unexpected};
use crate::names::Names;
use crate::redis_log::RedisLog;
use crate::reply::{Checked, Entry, as_text, as_value, foreign_end, into_array, take};
use crate::scripts;

/// A connection that nobody else uses: a read that waits would make others wait.
pub(crate) struct Connection {
    pub(crate) redis: MultiplexedConnection,
    pub(crate) names: Names,
}

impl Connection {
    pub(crate) async fn open(log: &RedisLog, timeout: Duration) -> Result<Self, LogError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(log.options.timeout))
            .set_response_timeout(Some(timeout));
        let redis = log
            .client
            .get_multiplexed_async_connection_with_config(&config);
        Ok(Self {
            redis: redis.await.map_err(log_error)?,
            names: log.names.clone(),
        })
    }

    /// Runs a script on the epochs, and the emits of one of them.
    pub(crate) async fn run(
        &mut self,
        script: &Script,
        epoch: u64,
        fill: impl FnOnce(&mut redis::ScriptInvocation<'_>),
    ) -> Result<Vec<Value>, LogError> {
        let mut call = script.prepare_invoke();
        call.key(&self.names.epochs).key(self.names.emits(epoch));
        fill(&mut call);
        let answer: Value = call
            .invoke_async(&mut self.redis)
            .await
            .map_err(log_error)?;
        into_array(answer).ok_or_else(|| unexpected("a script"))
    }

    /// The current epoch, and the value that it began after.
    pub(crate) async fn epoch(&mut self) -> Result<(u64, Option<u64>), LogError> {
        let answer = self.run(&scripts::EPOCH, 0, |_| {}).await?;
        let epoch = as_value(answer.first(), "an epoch")?.ok_or(LogError::Missing)?;
        Ok((epoch, as_value(answer.get(1), "a head")?))
    }

    /// The bounds of the log, whose last entry has to be one of a bridge. `epoch` is a guess, which
    /// spares a question.
    pub(crate) async fn head(&mut self, epoch: Option<u64>) -> Result<Head, LogError> {
        match self.bounds(epoch).await? {
            (head, None) => Ok(head),
            (_, Some(foreign)) => Err(LogError::Foreign(foreign)),
        }
    }

    /// The bounds of the log, as its own entries tell: one of another program does not count.
    pub(crate) async fn head_of_own(&mut self, epoch: Option<u64>) -> Result<Head, LogError> {
        let (mut head, foreign) = self.bounds(epoch).await?;
        if foreign.is_none() {
            return Ok(head);
        }
        head.value = head.floor.checked_sub(1);
        let mut below = "+".to_owned();
        loop {
            let mut command = redis::cmd("XREVRANGE");
            command
                .arg(self.names.emits(head.epoch))
                .arg(&below)
                .arg("-");
            command.arg("COUNT").arg(100);
            let answer = self.redis.send_packed_command(&command).await;
            let entries = answer.and_then(Value::extract_error).map_err(log_error)?;
            let entries = Entry::parse_all(entries).ok_or_else(|| unexpected("XREVRANGE"))?;
            let Some(last) = entries.last() else {
                return Ok(head);
            };
            below = format!("({}", last.id);
            for entry in entries {
                let value = entry.id.value;
                if self.foreign_end(head.epoch, entry).await?.is_none() {
                    head.value = Some(value);
                    return Ok(head);
                }
            }
        }
    }

    /// Why the last entry of a stream is not the end of an emit.
    pub(crate) async fn foreign_end(
        &mut self,
        epoch: u64,
        last: Entry,
    ) -> Result<Option<ForeignEntry>, LogError> {
        let id = last.id;
        match last.check_last() {
            Err(foreign) => return Ok(Some(foreign)),
            Ok(Checked::Frame) => return Ok(None),
            Ok(Checked::LastPart) => {}
        }
        let mut command = redis::cmd("XRANGE");
        command
            .arg(self.names.emits(epoch))
            .arg(id.value)
            .arg(id.value);
        command.arg("COUNT").arg(1);
        let answer = self.redis.send_packed_command(&command).await;
        let entries = answer.and_then(Value::extract_error).map_err(log_error)?;
        let entries = Entry::parse_all(entries).ok_or_else(|| unexpected("XRANGE"))?;
        Ok(match entries.into_iter().next() {
            Some(first) => first.check_first(id).err(),
            // It was removed meanwhile.
            None => Some(foreign_end(id, "its parts are missing")),
        })
    }

    /// The bounds of the log, and its last entry if that is foreign.
    async fn bounds(
        &mut self,
        epoch: Option<u64>,
    ) -> Result<(Head, Option<ForeignEntry>), LogError> {
        let mut epoch = match epoch {
            Some(epoch) => epoch,
            None => self.epoch().await?.0,
        };
        loop {
            let mut answer = self
                .run(&scripts::HEAD, epoch, |call| {
                    call.arg(epoch);
                })
                .await?;
            let current = as_value(answer.first(), "an epoch")?.ok_or(LogError::Missing)?;
            if current != epoch {
                epoch = current;
                continue;
            }
            let begun_after = as_value(answer.get(1), "a head")?;
            let last = take(&mut answer, 4);
            let head = match &last {
                Value::Nil => begun_after,
                id => {
                    let id = as_text(id).and_then(|id| id.split_once('-'));
                    let value = id.and_then(|(value, _)| value.parse().ok());
                    Some(value.ok_or_else(|| unexpected("an id"))?)
                }
            };
            let fields = take(&mut answer, 5);
            let mut foreign = None;
            if fields != Value::Nil {
                let entry = Entry::new(&last, fields).ok_or_else(|| unexpected("an entry"))?;
                foreign = self.foreign_end(epoch, entry).await?;
            }
            let first = take(&mut answer, 2);
            let floor = match first {
                Value::Nil => head.map_or(0, |head| head.saturating_add(1)),
                first => {
                    let fields = take(&mut answer, 3);
                    let entry = Entry::new(&first, fields).ok_or_else(|| unexpected("an entry"))?;
                    floor_of(entry)
                }
            };
            let head = Head {
                epoch,
                value: head,
                floor,
            };
            return Ok((head, foreign));
        }
    }
}

/// The floor of a stream that begins with this entry.
fn floor_of(first: Entry) -> u64 {
    let after = first.id.value.saturating_add(1);
    let Ok(part) = first.into_part() else {
        // What was before it is not known.
        return after;
    };
    if part.n != 1 {
        return after;
    }
    match Frame::peek(&part.bytes) {
        Ok((prev, _)) => prev.map_or(0, |prev| prev.saturating_add(1)),
        Err(_) => after,
    }
}
