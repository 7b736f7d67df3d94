//! Reading.

use rangewatch_bridge::{Head, LogError, LogItem, LogReader, Parts, async_trait};
use redis::Value;

use crate::connection::Connection;
use crate::error::{log_error, unexpected};
use crate::redis_log::{Options, RedisLog};
use crate::reply::{Entry, Id, as_text, into_array};

pub(crate) struct Reader {
    connection: Connection,
    options: Options,
    epoch: u64,
    /// Every entry up to this id was read.
    after: Id,
    /// The greatest value that was read, or from which on it was to be read.
    position: Option<u64>,
    parts: Parts,
    /// Whether the stream was read to its end, so that the next read waits.
    is_drained: bool,
    /// Whether the end of the stream was to be above `after` when nothing was read.
    is_behind: bool,
    /// Entries that were read before an epoch began.
    ended: Option<u64>,
}

impl Reader {
    pub(crate) const fn new(connection: Connection, options: Options) -> Self {
        Self {
            connection,
            options,
            epoch: 0,
            after: Id { value: 0, part: 0 },
            position: None,
            parts: Parts::new(RedisLog::MAX_FRAME_BYTES),
            is_drained: false,
            is_behind: false,
            ended: None,
        }
    }

    /// Reads entries, or waits for some. An entry of the epochs ends the epoch.
    async fn read(&mut self) -> Result<Vec<Entry>, LogError> {
        let names = &self.connection.names;
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(self.options.read_entries);
        if self.is_drained {
            command
                .arg("BLOCK")
                .arg(self.options.block.as_millis() as u64);
        }
        command
            .arg("STREAMS")
            .arg(&names.epochs)
            .arg(names.emits(self.epoch));
        command
            .arg(format!("{}-1", self.epoch))
            .arg(self.after.to_string());
        let answer = self.connection.redis.send_packed_command(&command);
        let streams = match answer
            .await
            .and_then(Value::extract_error)
            .map_err(log_error)?
        {
            Value::Nil => return Ok(Vec::new()),
            streams => into_array(streams).ok_or_else(|| unexpected("XREAD"))?,
        };
        let mut entries = Vec::new();
        for stream in streams {
            let stream = into_array(stream).and_then(|pair| <[Value; 2]>::try_from(pair).ok());
            let [name, read] = stream.ok_or_else(|| unexpected("XREAD"))?;
            let read = Entry::parse_all(read).ok_or_else(|| unexpected("an entry"))?;
            if as_text(&name) == Some(&self.connection.names.epochs) {
                self.ended = read.last().map(|entry| entry.id.value);
            } else {
                entries = read;
            }
        }
        // Those of the old epoch were removed with it: these are others.
        Ok(if self.ended.is_some() {
            Vec::new()
        } else {
            entries
        })
    }

    /// Nothing was read: looks whether there is nothing to read.
    async fn look(&mut self) -> Result<Vec<LogItem>, LogError> {
        let head = self.connection.head_of_own(Some(self.epoch)).await?;
        if head.epoch != self.epoch {
            return Err(LogError::EpochChanged { epoch: head.epoch });
        }
        match head.value {
            Some(value) if value > self.after.value => {
                if self.is_behind {
                    // It was appended, and there is nothing to read: it was removed.
                    return Err(LogError::Compacted {
                        floor: value.saturating_add(1),
                    });
                }
                self.is_behind = true;
                self.is_drained = false;
                Ok(Vec::new())
            }
            value => {
                self.is_drained = true;
                let progress = value.min(self.position);
                Ok(progress.map(LogItem::Progress).into_iter().collect())
            }
        }
    }
}

#[async_trait]
impl LogReader for Reader {
    async fn head(&mut self) -> Result<Head, LogError> {
        self.connection.head_of_own(None).await
    }

    async fn seek(&mut self, epoch: u64, after: Option<u64>) -> Result<(), LogError> {
        (self.epoch, self.position) = (epoch, after);
        self.after = match after {
            None => Id { value: 0, part: 0 },
            Some(value) => Id {
                value,
                part: u64::MAX,
            },
        };
        self.parts = Parts::new(RedisLog::MAX_FRAME_BYTES);
        (self.is_drained, self.is_behind, self.ended) = (false, false, None);
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<LogItem>, LogError> {
        let entries = self.read().await?;
        if let Some(epoch) = self.ended {
            return Err(LogError::EpochChanged { epoch });
        }
        if entries.is_empty() {
            return self.look().await;
        }
        self.is_behind = false;
        self.is_drained = entries.len() < self.options.read_entries;
        let mut items = Vec::with_capacity(entries.len() + 1);
        for entry in entries {
            let id = entry.id;
            self.after = id;
            match entry.into_part() {
                Ok(part) => self.parts.push(part, || id.to_string(), &mut items),
                Err(entry) => items.push(LogItem::Foreign(entry)),
            }
        }
        let last = items.iter().rev().find_map(|item| match item {
            LogItem::Emit(frame) => Some(frame.value()),
            _ => None,
        });
        self.position = self.position.max(last);
        if self.is_drained {
            items.extend(self.position.map(LogItem::Progress));
        }
        Ok(items)
    }
}
