//! Reading.

use std::sync::Arc;

use async_nats::jetstream::stream::Info;
use rangewatch_bridge::{Head, LogError, LogItem, LogReader, Parts, async_trait};

use crate::connection::Connection;
use crate::consumer::{Consumer, Delivered, Received};
use crate::nats_log::{NatsLog, Options};

pub(crate) struct Reader {
    connection: Connection,
    options: Arc<Options>,
    position: Option<Position>,
}

/// How far a reader has read.
struct Position {
    epoch: u64,
    /// The greatest value that was read, or from which on it was to be read.
    value: Option<u64>,
    /// Whether an emit was read.
    has_read: bool,
    /// The sequence of the message that is to come.
    next: u64,
    parts: Parts,
    consumer: Consumer,
    /// The stream, as it was when the position was sought.
    info: Info,
    /// The message that was to come at the last look, and did not.
    behind: Option<u64>,
    /// What is returned after the items that were read before it.
    failed: Option<LogError>,
}

impl Reader {
    pub(crate) const fn new(connection: Connection, options: Arc<Options>) -> Self {
        Self {
            connection,
            options,
            position: None,
        }
    }
}

impl Position {
    /// Reads what is there, or waits for some.
    async fn read(
        &mut self,
        connection: &Connection,
        options: &Options,
        items: &mut Vec<LogItem>,
    ) -> Result<(), LogError> {
        // Then the server is asked why, and has the time of an answer.
        let silence = options.idle + options.timeout / 2;
        let mut received = loop {
            self.consumer.ask(connection, options).await?;
            match self.consumer.next(connection, silence).await? {
                Received::Done => {}
                Received::Expired => return self.look(connection, items).await,
                received => break Some(received),
            }
        };
        let mut is_last = false;
        while let Some(message) = received {
            match message {
                Received::Message(message) => {
                    is_last = message.is_last;
                    self.take(connection, message, items).await?;
                }
                Received::Done | Received::Expired => break,
                Received::Stopped(why) => return Err(self.irregular(connection, why).await),
            }
            received = self.consumer.ready(connection)?;
        }
        if is_last {
            self.progress(items);
        }
        Ok(())
    }

    /// The log was read to its head.
    fn progress(&self, items: &mut Vec<LogItem>) {
        if self.has_read && !self.parts.is_unfinished() {
            items.extend(self.value.map(LogItem::Progress));
        }
    }

    /// Takes the next message.
    async fn take(
        &mut self,
        connection: &Connection,
        message: Delivered,
        items: &mut Vec<LogItem>,
    ) -> Result<(), LogError> {
        let Delivered { seq, entry, .. } = message;
        if seq < self.next {
            let why = format!("the consumer went back to message {seq}");
            return Err(self.irregular(connection, why).await);
        }
        if seq > self.next {
            self.check_gap(connection, seq).await?;
        }
        self.next = seq + 1;
        self.behind = None;
        let entry = match entry {
            Ok(entry) => entry,
            Err(reason) => {
                items.push(LogItem::Foreign(connection.foreign(seq, &reason)));
                return Ok(());
            }
        };
        if entry.header.epoch != self.epoch {
            let epoch = entry.header.epoch;
            return Err(LogError::EpochChanged { epoch });
        }
        for part in entry.into_parts() {
            // A message may begin below the value that was sought.
            if Some(part.value) <= self.value {
                continue;
            }
            self.parts.push(part, || seq.to_string(), items);
            if let Some(LogItem::Emit(frame)) = items.last() {
                self.value = Some(frame.value());
                self.has_read = true;
            }
        }
        Ok(())
    }

    /// Messages between the one that was to come and the one that came are missing: they were
    /// removed, or the consumer has skipped them.
    async fn check_gap(&self, connection: &Connection, came: u64) -> Result<(), LogError> {
        let tail = connection.tail().await?;
        tail.check(self.epoch)?;
        if tail.info.created != self.info.created {
            return Err(LogError::unavailable("the stream is another one"));
        }
        match connection.message_from(self.next).await? {
            Some(stored) if stored.seq < came => {
                let why = format!("the consumer has skipped message {}", stored.seq);
                Err(LogError::unavailable(why))
            }
            _ => self.check_floor(connection.floor(&tail).await?),
        }
    }

    /// Whether the log has what follows.
    fn check_floor(&self, floor: u64) -> Result<(), LogError> {
        if below(self.value, floor) {
            return Err(LogError::Compacted { floor });
        }
        Ok(())
    }

    /// Why something came that was not to come, or nothing more comes: the log is another one, or
    /// the consumer does not do what it should.
    async fn irregular(&self, connection: &Connection, why: String) -> LogError {
        let checked = async {
            let tail = connection.tail().await?;
            tail.check(self.epoch)?;
            self.check_floor(connection.floor(&tail).await?)
        };
        match checked.await {
            Ok(()) => LogError::unavailable(why),
            Err(error) => error,
        }
    }

    /// Nothing came for a while: looks whether there is nothing.
    async fn look(
        &mut self,
        connection: &Connection,
        items: &mut Vec<LogItem>,
    ) -> Result<(), LogError> {
        let info = connection.info().await?;
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        if info.created != self.info.created || last + 1 < self.next {
            let why = "the stream was made again, or has lost its end".to_owned();
            return Err(self.irregular(connection, why).await);
        }
        if info.state.messages == 0 {
            return Err(LogError::Missing);
        }
        if first > self.next {
            self.check_gap(connection, first).await?;
            self.next = first;
        }
        if last < self.next {
            self.behind = None;
            self.progress(items);
            return Ok(());
        }
        // A message may have been stored since. If it is still to come at the next look, it was
        // removed, or the consumer does not send it.
        if self.behind.replace(self.next) == Some(self.next) {
            if let Some(stored) = connection.message_from(self.next).await? {
                let why = format!("the consumer does not send message {}", stored.seq);
                return Err(LogError::unavailable(why));
            }
        }
        Ok(())
    }
}

/// Whether emits are missing between this value and the floor of a log.
fn below(value: Option<u64>, floor: u64) -> bool {
    value.map_or(0, |value| value.saturating_add(1)) < floor
}

#[async_trait]
impl LogReader for Reader {
    async fn head(&mut self) -> Result<Head, LogError> {
        let tail = self.connection.tail().await?;
        self.connection.bounds(&tail).await
    }

    async fn seek(&mut self, epoch: u64, after: Option<u64>) -> Result<(), LogError> {
        let connection = &self.connection;
        if let Some(before) = self.position.take() {
            before.consumer.end(connection).await;
        }
        let tail = connection.tail().await?;
        tail.check(epoch)?;
        let floor = connection.floor(&tail).await?;
        if below(after, floor) {
            return Err(LogError::Compacted { floor });
        }
        let next = connection.locate(&tail, after).await?;
        self.position = Some(Position {
            epoch,
            value: after,
            has_read: false,
            next,
            parts: Parts::new(NatsLog::MAX_FRAME_BYTES),
            consumer: Consumer::start(connection, next).await?,
            info: tail.info,
            behind: None,
            failed: None,
        });
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<LogItem>, LogError> {
        let Some(position) = &mut self.position else {
            return Err(LogError::unavailable("no position was sought"));
        };
        if let Some(error) = position.failed.take() {
            return Err(error);
        }
        let mut items = Vec::new();
        let read = position.read(&self.connection, &self.options, &mut items);
        match read.await {
            Err(error) if items.is_empty() => return Err(error),
            read => position.failed = read.err(),
        }
        Ok(items)
    }
}
