//! Appending directly, with an error when the server is away.

use std::fmt;
use std::sync::Arc;

use crate::encode::Encoder;
use crate::{
    AppendError, Appended, Codec, Frame, Head, Log, LogError, LogWriter, NoPayloads, Outcome,
};

/// Appends emits to a log, and waits until the log has them.
///
/// When the server is away, [`append`](Self::append) fails: the caller has the emit still, and
/// appends it again, which is safe. It connects again at the next call. A program whose emits are
/// on a bus with history uses an [`Appender`](crate::Appender), which waits for the server.
///
/// Several writers may append the same emits, as the replicas of a state machine do: the log takes
/// each value once. A value below the head of the log is never taken.
///
/// # Examples
///
/// ```
/// use rangewatch_bridge::{MemoryLog, Outcome, Writer};
///
/// # futures::executor::block_on(async {
/// let log = MemoryLog::new();
/// let mut first = Writer::open(log.clone()).await?;
/// let mut second = Writer::open(log).await?;
///
/// assert_eq!(first.append(1, ["a"]).await?, Outcome::Appended);
/// assert_eq!(second.append(1, ["a"]).await?, Outcome::Duplicate);
/// assert_eq!(second.append(3, ["b"]).await?, Outcome::Appended);
/// assert_eq!(first.append(2, ["c"]).await?, Outcome::Older);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Writer<P = ()> {
    log: Arc<dyn Log>,
    codec: Arc<dyn Codec<P>>,
    connection: Option<Box<dyn LogWriter>>,
    epoch: u64,
    /// The head of the log, as far as is known.
    head: Option<u64>,
}

impl Writer {
    /// Connects to a log of emits without payloads. Begins the log if it does not exist.
    ///
    /// # Errors
    ///
    /// [`AppendError::Log`] if it cannot be reached, or refuses.
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped, the log may have been begun.
    pub async fn open(log: impl Log) -> Result<Self, AppendError> {
        Self::open_with(log, NoPayloads).await
    }

    /// As [`append_with`](Self::append_with), without payloads.
    ///
    /// # Errors
    ///
    /// As [`append_with`](Self::append_with).
    ///
    /// # Cancel safety
    ///
    /// As [`append_with`](Self::append_with).
    pub async fn append<K: AsRef<[u8]>>(
        &mut self,
        value: u64,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Outcome, AppendError> {
        let entries = keys.into_iter().map(|key| (key, ()));
        self.append_with(value, entries.collect::<Vec<_>>()).await
    }

    /// As [`append_many_with`](Self::append_many_with), without payloads.
    ///
    /// # Errors
    ///
    /// As [`append_many_with`](Self::append_many_with).
    ///
    /// # Cancel safety
    ///
    /// As [`append_with`](Self::append_with).
    pub async fn append_many<K: AsRef<[u8]>, I: IntoIterator<Item = K>>(
        &mut self,
        emits: impl IntoIterator<Item = (u64, I)>,
    ) -> Result<Vec<Outcome>, AppendError> {
        let entries = |keys: I| keys.into_iter().map(|key| (key, ())).collect::<Vec<_>>();
        let emits = emits
            .into_iter()
            .map(|(value, keys)| (value, entries(keys)));
        self.append_many_with(emits).await
    }
}

impl<P: Send + Sync + 'static> Writer<P> {
    /// Connects to a log of emits with payloads. Begins the log if it does not exist.
    ///
    /// # Errors
    ///
    /// As [`open`](Writer::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Writer::open).
    pub async fn open_with(log: impl Log, codec: impl Codec<P>) -> Result<Self, AppendError> {
        let log: Arc<dyn Log> = Arc::new(log);
        let mut connection = log.writer().await?;
        let head = begun(&*log, &mut *connection, None).await?;
        Ok(Self {
            log,
            codec: Arc::new(codec),
            connection: Some(connection),
            epoch: head.epoch,
            head: head.value,
        })
    }

    /// Appends an emit, and returns when the log has it, or will never take it.
    ///
    /// # Errors
    ///
    /// [`AppendError::Log`] if the log cannot be reached or refuses: the next call connects again.
    /// [`LogError::EpochChanged`] once if the log has another epoch, or was lost and is begun by
    /// this call; [`AppendError::Rewound`] once if the log has lost what this writer knows that it
    /// had: the next call continues with what the log has. [`AppendError::LastValue`].
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped, the emit may have been appended; append it again.
    pub async fn append_with<K: AsRef<[u8]>>(
        &mut self,
        value: u64,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Outcome, AppendError> {
        let outcomes = self.append_many_with([(value, entries)]).await?;
        Ok(outcomes.first().copied().unwrap_or(Outcome::Older))
    }

    /// Appends several emits, whose values strictly increase, in one call of the log. Returns the
    /// outcome of each. After an error the first of them may have been appended.
    ///
    /// # Errors
    ///
    /// As [`append_with`](Self::append_with), and [`AppendError::NotIncreasing`].
    ///
    /// # Cancel safety
    ///
    /// As [`append_with`](Self::append_with).
    pub async fn append_many_with<K: AsRef<[u8]>, I: IntoIterator<Item = (K, P)>>(
        &mut self,
        emits: impl IntoIterator<Item = (u64, I)>,
    ) -> Result<Vec<Outcome>, AppendError> {
        let emits = emits.into_iter();
        let emits = emits.map(|(value, entries)| (value, entries.into_iter().collect::<Vec<_>>()));
        let emits = emits.collect::<Vec<_>>();
        for pair in emits.windows(2) {
            let (before, value) = (pair[0].0, pair[1].0);
            if before >= value {
                return Err(AppendError::NotIncreasing { value, before });
            }
        }
        // What lies below the head now is older, whatever happens to the head meanwhile.
        loop {
            let mut connection = self.connected().await?;
            let mut encoder = Encoder::new(
                Arc::clone(&self.codec),
                self.log.max_frame_bytes(),
                self.head,
            );
            let new = emits.iter().filter(|(value, _)| Some(*value) > self.head);
            let frames = new.map(|(value, entries)| {
                encoder.encode(
                    *value,
                    entries.iter().map(|(key, payload)| (key.as_ref(), payload)),
                )
            });
            let frames = match frames.collect::<Result<Vec<_>, _>>() {
                Ok(frames) => frames,
                Err(error) => {
                    self.connection = Some(connection);
                    return Err(error);
                }
            };
            let appended = if frames.is_empty() {
                // Whether the log has them still.
                let head = begun(&*self.log, &mut *connection, Some(self.epoch)).await?;
                if let Some(error) = self.adopt(connection, head) {
                    return Err(error);
                }
                Appended {
                    head_before: head.value,
                }
            } else {
                match connection.append(self.epoch, &frames).await {
                    Ok(appended) => {
                        let last = frames.last().map(Frame::value);
                        self.head = last.max(appended.head_before);
                        self.connection = Some(connection);
                        appended
                    }
                    // Another writer was faster.
                    Err(LogError::NotNext { head }) if head > self.head => {
                        self.head = head;
                        self.connection = Some(connection);
                        continue;
                    }
                    Err(LogError::NotNext { head }) => {
                        self.head = head;
                        self.connection = Some(connection);
                        return Err(AppendError::Rewound { head });
                    }
                    Err(LogError::EpochChanged { .. } | LogError::Missing) => {
                        let head = begun(&*self.log, &mut *connection, Some(self.epoch)).await?;
                        return Err(self.adopt(connection, head).unwrap_or_else(|| {
                            LogError::unavailable("the log has changed meanwhile").into()
                        }));
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            let outcome = |(value, _): &(u64, _)| appended.outcome(*value);
            return Ok(emits.iter().map(outcome).collect());
        }
    }

    /// Removes emits below `before` from the log. Returns its floor, which may be below `before`.
    ///
    /// # Errors
    ///
    /// [`AppendError::Log`].
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped, emits may have been removed.
    pub async fn compact(&mut self, before: u64) -> Result<u64, AppendError> {
        let mut connection = self.connected().await?;
        let floor = connection.compact(self.epoch, before).await?;
        self.connection = Some(connection);
        Ok(floor)
    }

    /// Begins a new epoch of the log, whose first emit follows `head`: after the store that emits
    /// was restored or rolled back to that value. Subscribers of all readers end with `Compacted`.
    /// Returns the epoch.
    ///
    /// # Errors
    ///
    /// [`AppendError::Log`]; with [`LogError::EpochChanged`] if another writer has begun one
    /// meanwhile, which this writer continues with.
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped, the epoch may have begun.
    pub async fn begin_epoch(&mut self, head: Option<u64>) -> Result<u64, AppendError> {
        let mut connection = self.connected().await?;
        let epoch = self.log.new_epoch(Some(self.epoch));
        let last = Some(self.epoch);
        connection.begin_epoch(last, epoch, head).await?;
        let head = connection.head().await?;
        (self.epoch, self.head) = (head.epoch, head.value);
        self.connection = Some(connection);
        if self.epoch != epoch {
            return Err(LogError::EpochChanged { epoch: self.epoch }.into());
        }
        Ok(epoch)
    }

    /// The epoch of the log, as far as is known.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The head of the log, as far as is known; `None` if it is empty.
    #[must_use]
    pub const fn head(&self) -> Option<u64> {
        self.head
    }

    /// Takes the connection, or makes another one. An error or a drop of the future that uses it
    /// leaves none.
    async fn connected(&mut self) -> Result<Box<dyn LogWriter>, AppendError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let mut connection = self.log.writer().await?;
        let head = begun(&*self.log, &mut *connection, Some(self.epoch)).await?;
        match self.adopt(connection, head) {
            Some(error) => Err(error),
            None => self
                .connection
                .take()
                .ok_or_else(|| LogError::unavailable("the connection was lost").into()),
        }
    }

    /// Continues with the head of the log. Returns what the caller has to know first.
    fn adopt(&mut self, connection: Box<dyn LogWriter>, head: Head) -> Option<AppendError> {
        self.connection = Some(connection);
        let before = (self.epoch, self.head);
        (self.epoch, self.head) = (head.epoch, head.value);
        if before.0 != head.epoch {
            return Some(LogError::EpochChanged { epoch: head.epoch }.into());
        }
        let head = head.value;
        (head < before.1).then_some(AppendError::Rewound { head })
    }
}

/// The head of a log, which is begun if it does not exist.
async fn begun(
    log: &dyn Log,
    connection: &mut dyn LogWriter,
    last: Option<u64>,
) -> Result<Head, LogError> {
    match connection.head().await {
        Err(LogError::Missing) => {
            let epoch = log.new_epoch(last);
            connection.begin_epoch(None, epoch, None).await?;
            connection.head().await
        }
        head => head,
    }
}

impl<P> fmt::Debug for Writer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("log", &self.log)
            .field("connected", &self.connection.is_some())
            .field("epoch", &self.epoch)
            .field("head", &self.head)
            .finish()
    }
}
