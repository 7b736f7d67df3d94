//! The source and its configuration.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::ConnectOptions;
#[cfg(feature = "tls")]
use etcd_client::TlsOptions;
use rangewatch_bridge::{Log, LogError, LogReader, LogWriter, async_trait};
use rangewatch_bus::{EmptyRangeError, KeyRange, Selector};
use thiserror::Error;

use crate::client::Connection;
use crate::keys::EtcdRange;
use crate::lineage::Lineage;
use crate::reader::EtcdReader;

/// The keys of an etcd cluster, or a range of them, as a log that can only be read.
///
/// Each revision that changes a key of the range is an emit: its value is the revision, its keys
/// are those that have changed, and the payload of each is an [`EtcdEvent`](crate::EtcdEvent). A
/// transaction is one emit. Revisions that change other keys advance the bus. The README says what
/// is promised, and what etcd's versions do.
///
/// A clone shares what was seen of the cluster, which tells when it has gone back: make one source
/// per cluster and range.
///
/// # Examples
///
/// ```no_run
/// use rangewatch_bridge::Reader;
/// use rangewatch_bridge_etcd::{EtcdEvents, EtcdSource};
/// use rangewatch_bus::Selector;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let source = EtcdSource::builder(["http://127.0.0.1:2379"]);
/// let source = source.keys(Selector::prefix("/registry/pods/")).build()?;
///
/// let reader = Reader::builder(source).payloads(EtcdEvents).open().await?;
/// let mut pods = reader.bus().subscribe(Selector::prefix("/registry/pods/web-")).events(256)?;
/// tokio::spawn(reader.run());
/// while let Ok(event) = pods.recv().await {
///     for (key, change) in event.entries() {
///         println!("{} {key:?} {change:?}", event.value());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EtcdSource {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) keys: KeyRange,
    pub(crate) range: EtcdRange,
    pub(crate) lineage: Lineage,
    /// The next endpoint to connect to.
    next: AtomicUsize,
}

/// Builds an [`EtcdSource`], from [`EtcdSource::builder`].
///
/// The defaults: all keys, no user, emits of at most 64 MiB, 5 seconds until a server that does
/// not answer counts as away, a sign of life after 6 seconds of silence, a request for progress
/// every second, 500 keys per page of a scan.
#[must_use = "nothing is made until `build` is called"]
pub struct EtcdSourceBuilder {
    options: Options,
    keys: Selector,
}

#[derive(Clone)]
pub(crate) struct Options {
    endpoints: Vec<String>,
    user: Option<(String, String)>,
    #[cfg(feature = "tls")]
    tls: Option<TlsOptions>,
    pub(crate) timeout: Duration,
    keep_alive: Duration,
    pub(crate) progress: Duration,
    pub(crate) max_frame_bytes: usize,
    pub(crate) page_keys: usize,
}

/// Why an [`EtcdSource`] could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No endpoint was given.
    #[error("no endpoint was given, as http://127.0.0.1:2379")]
    NoEndpoint,
    /// The range holds no key.
    #[error(transparent)]
    EmptyRange(#[from] EmptyRangeError),
    /// The range holds no key but the empty one, which etcd does not have.
    #[error("the range holds the empty key only, which etcd does not have")]
    EmptyKey,
    /// A bound or a time is 0.
    #[error("the bounds and times of a source are above 0")]
    ZeroBound,
}

impl EtcdSource {
    /// Starts to build a source: the endpoints of the members of one cluster, as
    /// `http://127.0.0.1:2379`. Each connection is to one of them, in turn.
    pub fn builder<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> EtcdSourceBuilder {
        EtcdSourceBuilder {
            options: Options {
                endpoints: endpoints.into_iter().map(Into::into).collect(),
                user: None,
                #[cfg(feature = "tls")]
                tls: None,
                timeout: Duration::from_secs(5),
                keep_alive: Duration::from_secs(6),
                progress: Duration::from_secs(1),
                max_frame_bytes: 64 << 20,
                page_keys: 500,
            },
            keys: Selector::all(),
        }
    }

    /// Connects to the next endpoint.
    pub(crate) async fn connect(&self) -> Result<Connection, LogError> {
        let options = &self.inner.options;
        let n = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let endpoint = &options.endpoints[n % options.endpoints.len()];
        Connection::open(endpoint, options).await
    }
}

impl EtcdSourceBuilder {
    /// Sets the keys to read: a key, a range, a prefix, all from a key on, or all. What a
    /// subscription selects outside of them is never emitted.
    pub fn keys(mut self, keys: impl Into<Selector>) -> Self {
        self.keys = keys.into();
        self
    }

    /// Sets the user and the password. Each connection authenticates.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.user = Some((name.into(), password.into()));
        self
    }

    /// Sets certificates, for endpoints with `https://`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.options.tls = Some(tls);
        self
    }

    /// Sets the largest emit, in bytes of its keys and payloads. A revision that changes more than
    /// that, as a large deletion may, is reported as
    /// [`Compacted`](rangewatch_bus::RecvError::Compacted), and is in the next scan.
    pub const fn max_emit_bytes(mut self, n_bytes: usize) -> Self {
        self.options.max_frame_bytes = n_bytes;
        self
    }

    /// Sets after which time without an answer a request has failed.
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.options.timeout = time;
        self
    }

    /// Sets after which silence the server is asked for a sign of life, an HTTP/2 ping, which it
    /// answers in half of that time. A server that is asked more often than its
    /// `--grpc-keepalive-min-time` says, which is 5 seconds, closes the connection.
    pub const fn keep_alive(mut self, time: Duration) -> Self {
        self.options.keep_alive = time;
        self
    }

    /// Sets how often progress is requested: how soon the bus advances past revisions that change
    /// other keys. Without effect on servers before 3.4.25 and 3.5.8: see the README.
    pub const fn progress(mut self, interval: Duration) -> Self {
        self.options.progress = interval;
        self
    }

    /// Sets how many keys a [scan](EtcdSource::scan) reads at once.
    pub const fn page_keys(mut self, n_keys: usize) -> Self {
        self.options.page_keys = n_keys;
        self
    }

    /// Makes the source. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`SourceError`], for what cannot be used.
    pub fn build(self) -> Result<EtcdSource, SourceError> {
        let options = self.options;
        if options.endpoints.is_empty() {
            return Err(SourceError::NoEndpoint);
        }
        let times = [options.timeout, options.keep_alive, options.progress];
        let bounds = [options.max_frame_bytes, options.page_keys];
        if times.contains(&Duration::ZERO) || bounds.contains(&0) {
            return Err(SourceError::ZeroBound);
        }
        let keys = KeyRange::try_from(&self.keys)?;
        Ok(EtcdSource {
            inner: Arc::new(Inner {
                range: EtcdRange::new(&keys).ok_or(SourceError::EmptyKey)?,
                keys,
                options,
                lineage: Lineage::default(),
                next: AtomicUsize::new(0),
            }),
        })
    }
}

impl Options {
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        // Pings without a request would break the rules of the server.
        let options = ConnectOptions::new()
            .with_connect_timeout(self.timeout)
            .with_keep_alive(self.keep_alive, self.keep_alive / 2)
            .with_keep_alive_while_idle(false)
            .with_require_leader(true);
        #[cfg(feature = "tls")]
        let options = match &self.tls {
            Some(tls) => options.with_tls(tls.clone()),
            None => options,
        };
        match &self.user {
            Some((name, password)) => options.with_user(name, password),
            None => options,
        }
    }
}

#[async_trait]
impl Log for EtcdSource {
    async fn writer(&self) -> Result<Box<dyn LogWriter>, LogError> {
        Err(LogError::ReadOnly)
    }

    async fn reader(&self) -> Result<Box<dyn LogReader>, LogError> {
        let reader = EtcdReader::new(self.clone(), self.connect().await?);
        Ok(Box::new(reader))
    }

    fn max_frame_bytes(&self) -> usize {
        self.inner.options.max_frame_bytes
    }
}

impl fmt::Debug for EtcdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdSource")
            .field("endpoints", &self.inner.options.endpoints)
            .field("keys", &self.inner.keys)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EtcdSourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdSourceBuilder")
            .field("endpoints", &self.options.endpoints)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
