//! The log and its configuration.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use async_nats::{ConnectOptions, ServerAddr, ToServerAddrs};
use rangewatch_bridge::{Log, LogError, LogReader, LogWriter, async_trait};
use thiserror::Error;

use crate::connection::Connection;
use crate::entry::{HEADER_BYTES, LENGTH_BYTES};
use crate::names::Names;
use crate::reader::Reader;
use crate::writer::Writer;

/// A log on NATS JetStream: nats-server 2.9 or later.
///
/// A log is a stream with one subject. A message holds the emits of one append, or a part of a
/// large emit; the stream takes it only if it still ends where the writer has seen it end, so any
/// number of writers may append the same emits. The README lists the names, the requests, the
/// rights that they need, and what durability JetStream gives.
///
/// Each reader and each writer has a connection of its own, which never reconnects by itself.
///
/// # Examples
///
/// ```no_run
/// use rangewatch_bridge::{Appender, Reader};
/// use rangewatch_bridge_nats::NatsLog;
/// use rangewatch_bus::{History, RangeWatchBus};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let log = NatsLog::new("nats://127.0.0.1:4222", "orders")?;
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
pub struct NatsLog {
    pub(crate) servers: Arc<[ServerAddr]>,
    pub(crate) names: Names,
    pub(crate) options: Arc<Options>,
    pub(crate) connect_options: Arc<dyn Fn() -> ConnectOptions + Send + Sync>,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) api_prefix: String,
    pub(crate) stream: Config,
    pub(crate) message_bytes: usize,
    pub(crate) read_messages: usize,
    pub(crate) idle: Duration,
    pub(crate) timeout: Duration,
}

/// Builds a [`NatsLog`], from [`NatsLog::builder`].
///
/// The defaults: messages of 256 KiB, 256 messages per read, a look at the server after 5 seconds
/// without a message, another 5 seconds until a server that is silent counts as away, a stream of
/// one replica on files without limits, the API of the account of the client, no credentials but
/// those of the URL.
#[must_use = "nothing is made until `build` is called"]
pub struct NatsLogBuilder {
    servers: Vec<ServerAddr>,
    bus: String,
    options: Options,
    connect_options: Arc<dyn Fn() -> ConnectOptions + Send + Sync>,
}

/// Why a [`NatsLog`] could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not one of a NATS server.
    #[error("not the URL of a NATS server, as nats://host:4222")]
    Url(#[source] std::io::Error),
    /// There is no server in the list.
    #[error("the list of servers is empty")]
    NoServers,
    /// The name of the bus is empty, or too long for that of a stream.
    #[error("the name of a bus has 1 to 160 bytes")]
    Name,
    /// A bound is 0, or messages are too small.
    #[error("the bounds of a log are above 0, and messages have at least 64 bytes")]
    Bounds,
    /// The stream would not keep what is stored, or not answer.
    #[error("the stream of a log acknowledges what it stores, and keeps it until a limit")]
    Stream,
}

impl NatsLog {
    /// The largest frame, in bytes: bounds the memory that a reader takes.
    pub const MAX_FRAME_BYTES: usize = 16 << 20;

    /// The log of the bus of this name on some servers of one cluster, with the defaults. Nothing
    /// is connected yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`], for a URL or a name that cannot be used.
    pub fn new(servers: impl ToServerAddrs, bus: &str) -> Result<Self, OpenError> {
        Self::builder(servers, bus)?.build()
    }

    /// Starts to build the log of the bus of this name on some servers of one cluster. A connection
    /// is made to the first one that answers, in random order.
    ///
    /// `tls://` demands TLS. A user and a password in the first URL that has some are used;
    /// a user alone is a token. See [`connect_options`](NatsLogBuilder::connect_options) for more.
    ///
    /// # Errors
    ///
    /// [`OpenError::Url`].
    pub fn builder(servers: impl ToServerAddrs, bus: &str) -> Result<NatsLogBuilder, OpenError> {
        Ok(NatsLogBuilder {
            servers: servers.to_server_addrs().map_err(OpenError::Url)?.collect(),
            bus: bus.to_owned(),
            options: Options {
                api_prefix: "$JS.API".to_owned(),
                stream: Config::default(),
                message_bytes: 256 << 10,
                read_messages: 256,
                idle: Duration::from_secs(5),
                timeout: Duration::from_secs(5),
            },
            connect_options: Arc::new(ConnectOptions::new),
        })
    }
}

impl NatsLogBuilder {
    /// Sets options of the client: certificates, credentials, a name. It is called for each
    /// connection. What the log needs is set afterwards: timeouts, the callback of events, that
    /// nothing is connected again. Leave out `retry_on_initial_connect`.
    pub fn connect_options(
        mut self,
        options: impl Fn() -> ConnectOptions + Send + Sync + 'static,
    ) -> Self {
        self.connect_options = Arc::new(options);
        self
    }

    /// Uses JetStream of a domain, such as that of a hub from a leaf node.
    pub fn domain(mut self, domain: &str) -> Self {
        self.options.api_prefix = format!("$JS.{domain}.API");
        self
    }

    /// Sets how the stream is made if it does not exist: replicas, storage, limits. Its name and
    /// its subject are set by the log. A stream that exists stays as it is.
    ///
    /// A reader that is overtaken by a limit reports what it has missed. If a limit of age removes
    /// all messages, the log has ended, and the next append begins an epoch.
    pub fn stream(mut self, config: Config) -> Self {
        self.options.stream = config;
        self
    }

    /// Bounds messages: several emits are one message up to this size, and a larger emit is split.
    /// At most half of what the server takes, its `max_payload`, is used.
    pub const fn message_bytes(mut self, n_bytes: usize) -> Self {
        self.options.message_bytes = n_bytes;
        self
    }

    /// Asks for at most `n` messages at once. With [`message_bytes`](Self::message_bytes), and 8
    /// MiB or two messages of the size that the server takes, it bounds the memory of a read.
    pub const fn read_messages(mut self, n: usize) -> Self {
        self.options.read_messages = n;
        self
    }

    /// Sets how long a read waits for messages before it looks whether the log is still there.
    pub const fn idle(mut self, time: Duration) -> Self {
        self.options.idle = time;
        self
    }

    /// Sets after which time without an answer the server counts as away. A read that waits has
    /// the time of [`idle`](Self::idle) and half of this on top.
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.options.timeout = time;
        self
    }

    /// Makes the log. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`], for anything but a URL.
    pub fn build(self) -> Result<NatsLog, OpenError> {
        let mut options = self.options;
        if self.servers.is_empty() {
            return Err(OpenError::NoServers);
        }
        // A file of this name is made, and 4 bytes are made of 3.
        if !(1..=160).contains(&self.bus.len()) {
            return Err(OpenError::Name);
        }
        if options.message_bytes <= HEADER_BYTES + LENGTH_BYTES
            || options.read_messages == 0
            || options.idle.is_zero()
            || options.timeout.is_zero()
        {
            return Err(OpenError::Bounds);
        }
        let names = Names::new(&self.bus);
        let stream = &mut options.stream;
        if stream.no_ack || stream.retention != RetentionPolicy::Limits {
            return Err(OpenError::Stream);
        }
        stream.name = names.stream.clone();
        stream.subjects = vec![names.subject.clone()];
        Ok(NatsLog {
            servers: self.servers.into(),
            names,
            options: Arc::new(options),
            connect_options: self.connect_options,
        })
    }
}

#[async_trait]
impl Log for NatsLog {
    async fn writer(&self) -> Result<Box<dyn LogWriter>, LogError> {
        let connection = Connection::open(self).await?;
        Ok(Box::new(Writer::new(
            connection,
            self.options.stream.clone(),
        )))
    }

    async fn reader(&self) -> Result<Box<dyn LogReader>, LogError> {
        let connection = Connection::open(self).await?;
        Ok(Box::new(Reader::new(connection, Arc::clone(&self.options))))
    }

    fn max_frame_bytes(&self) -> usize {
        Self::MAX_FRAME_BYTES
    }
}

/// The addresses of servers, without passwords.
struct Addresses<'a>(&'a [ServerAddr]);

impl fmt::Debug for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.0.iter();
        let addresses = addresses.map(|server| format!("{}:{}", server.host(), server.port()));
        f.debug_list().entries(addresses).finish()
    }
}

impl fmt::Debug for NatsLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLog")
            .field("servers", &Addresses(&self.servers))
            .field("names", &self.names)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NatsLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLogBuilder")
            .field("servers", &Addresses(&self.servers))
            .field("bus", &self.bus)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
