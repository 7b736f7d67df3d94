//! The log and its configuration.

use std::fmt;
use std::time::Duration;

use rangewatch_bridge::{Log, LogError, LogReader, LogWriter, async_trait};
use redis::{Client, IntoConnectionInfo};
use thiserror::Error;

use crate::connection::Connection;
use crate::names::Names;
use crate::reader::Reader;
use crate::writer::Writer;

/// A log on Redis Streams: Redis 7.0 or Valkey.
///
/// An emit is an entry of a stream, whose id is its value: `<value>-1`. A large emit is several
/// entries, `<value>-1`, `<value>-2` and so on. One script appends a batch, in one step; the
/// stream refuses an id that is not above its last one, so any number of writers may append the
/// same emits. The README lists keys, commands and what durability Redis gives.
///
/// Each reader and each writer has a connection of its own, which never reconnects by itself.
///
/// # Examples
///
/// ```no_run
/// use rangewatch_bridge::{Appender, Reader};
/// use rangewatch_bridge_redis::RedisLog;
/// use rangewatch_bus::{History, RangeWatchBus};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let log = RedisLog::new("redis://127.0.0.1/", "orders")?;
///
/// // Where the emits are made:
/// let bus = RangeWatchBus::builder().history(History::events(100_000)).build()?;
/// tokio::spawn(Appender::builder(log.clone(), &bus).build()?.run());
///
/// // In any process:
/// let reader = Reader::builder(log).open().await?;
/// let mut all = reader.bus().subscribe(..).events(256)?;
/// tokio::spawn(reader.run());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisLog {
    pub(crate) client: Client,
    pub(crate) names: Names,
    pub(crate) options: Options,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) part_bytes: usize,
    pub(crate) read_entries: usize,
    pub(crate) block: Duration,
    pub(crate) timeout: Duration,
}

/// Builds a [`RedisLog`], from [`RedisLog::builder`].
///
/// The defaults: parts of 64 KiB, 256 entries per read, a look at the server every second, 5
/// seconds until a server that is silent counts as away.
#[derive(Debug)]
#[must_use = "nothing is made until `build` is called"]
pub struct RedisLogBuilder {
    client: Client,
    bus: String,
    options: Options,
}

/// Why a [`RedisLog`] could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not one of a Redis server.
    #[error("not the URL of a Redis server, as redis://host:6379/")]
    Url(#[source] redis::RedisError),
    /// The name of the bus is empty.
    #[error("the name of a bus is not empty")]
    EmptyName,
    /// A bound is 0.
    #[error("the bounds of a log are above 0")]
    ZeroBound,
}

impl RedisLog {
    /// The largest frame, in bytes: bounds the memory that a reader takes.
    pub const MAX_FRAME_BYTES: usize = 16 << 20;

    /// The log of the bus of this name on a server, with the defaults. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`], for a URL or a name that cannot be used.
    pub fn new(server: impl IntoConnectionInfo, bus: &str) -> Result<Self, OpenError> {
        Self::builder(server, bus)?.build()
    }

    /// Starts to build the log of the bus of this name on a server.
    ///
    /// # Errors
    ///
    /// [`OpenError::Url`].
    pub fn builder(
        server: impl IntoConnectionInfo,
        bus: &str,
    ) -> Result<RedisLogBuilder, OpenError> {
        Ok(RedisLogBuilder {
            client: Client::open(server).map_err(OpenError::Url)?,
            bus: bus.to_owned(),
            options: Options {
                part_bytes: 64 << 10,
                read_entries: 256,
                block: Duration::from_secs(1),
                timeout: Duration::from_secs(5),
            },
        })
    }
}

impl RedisLogBuilder {
    /// Splits emits that are larger than `n_bytes` into several entries. With
    /// [`read_entries`](Self::read_entries) it bounds the memory of a read.
    pub const fn part_bytes(mut self, n_bytes: usize) -> Self {
        self.options.part_bytes = n_bytes;
        self
    }

    /// Reads at most `n` entries at once.
    pub const fn read_entries(mut self, n: usize) -> Self {
        self.options.read_entries = n;
        self
    }

    /// Sets how long a read waits for entries before it looks whether the log is still there:
    /// `XREAD BLOCK`. A whole number of milliseconds.
    pub const fn block(mut self, time: Duration) -> Self {
        self.options.block = time;
        self
    }

    /// Sets after which time without an answer the server counts as away. A read that waits has
    /// the time of [`block`](Self::block) on top.
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.options.timeout = time;
        self
    }

    /// Makes the log. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::EmptyName`], [`OpenError::ZeroBound`].
    pub fn build(self) -> Result<RedisLog, OpenError> {
        let options = self.options;
        if self.bus.is_empty() {
            return Err(OpenError::EmptyName);
        }
        if options.part_bytes == 0
            || options.read_entries == 0
            || options.block.as_millis() == 0
            || options.timeout.is_zero()
        {
            return Err(OpenError::ZeroBound);
        }
        Ok(RedisLog {
            client: self.client,
            names: Names::new(&self.bus),
            options,
        })
    }
}

#[async_trait]
impl Log for RedisLog {
    async fn writer(&self) -> Result<Box<dyn LogWriter>, LogError> {
        let connection = Connection::open(self, self.options.timeout).await?;
        Ok(Box::new(Writer::new(connection, self.options)))
    }

    async fn reader(&self) -> Result<Box<dyn LogReader>, LogError> {
        let timeout = self.options.timeout + self.options.block;
        let connection = Connection::open(self, timeout).await?;
        Ok(Box::new(Reader::new(connection, self.options)))
    }

    fn max_frame_bytes(&self) -> usize {
        Self::MAX_FRAME_BYTES
    }
}

impl fmt::Debug for RedisLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_struct("RedisLog")
            .field(
                "server",
                &self.client.get_connection_info().addr().to_string(),
            )
            .field("names", &self.names)
            .field("options", &self.options)
            .finish()
    }
}
