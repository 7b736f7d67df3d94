//! The requests that a source makes.

use std::time::Duration;

use etcd_client::proto::{PbRangeResponse, PbResponseHeader};
use etcd_client::{Client, Error, GetOptions, WatchOptions, WatchStream};
use rangewatch_bridge::LogError;
use tokio::time::timeout;

use crate::error::{is_compacted, is_too_large, log_error, unexpected};
use crate::keys::EtcdRange;
use crate::source::Options;

/// A client of one endpoint. The connection is made by the first request.
///
/// The crate connects again at the next request after a connection was lost. That does no harm:
/// [`seek`](crate::reader::EtcdReader) compares the head of the cluster after its watch has begun,
/// and a watch ends with its connection.
pub(crate) struct Connection {
    client: Client,
    timeout: Duration,
}

/// The largest answer, in bytes: bounds the memory that it takes. A server splits what it sends at
/// its `--max-request-bytes`, 1.5 MiB, but not at every moment.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// What to read of a range.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read {
    /// The number of keys, now.
    Count,
    /// The number of keys, at the first revision.
    CountFirst,
    /// So many keys with their values, at a revision.
    Page { n_keys: usize, at: u64 },
}

/// Why a range was not read.
pub(crate) enum RangeError {
    /// The revision was compacted.
    Compacted,
    /// The answer exceeds the bound of a message.
    TooLarge,
    /// Another reason.
    Failed(LogError),
}

impl Connection {
    pub(crate) async fn open(endpoint: &str, options: &Options) -> Result<Self, LogError> {
        let connected = Client::connect([endpoint], Some(options.connect_options()));
        let client = timeout(options.timeout, connected).await;
        Ok(Self {
            client: answered(client)?,
            timeout: options.timeout,
        })
    }

    /// Reads a range, linearizably.
    pub(crate) async fn range(
        &self,
        range: &EtcdRange,
        read: Read,
    ) -> Result<PbRangeResponse, RangeError> {
        let mut options = GetOptions::new();
        if !range.end.is_empty() {
            options = options.with_range(range.end.as_slice());
        }
        options = match read {
            Read::Count => options.with_count_only(),
            Read::CountFirst => options.with_count_only().with_revision(1),
            Read::Page { n_keys, at } => {
                options.with_limit(n_keys as i64).with_revision(signed(at))
            }
        };
        let kv = self.client.kv_client();
        let mut kv = kv.max_decoding_message_size(MAX_MESSAGE_BYTES);
        let answer = kv.get(range.key.as_slice(), Some(options));
        match timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer.0),
            Ok(Err(error)) if is_compacted(&error) => Err(RangeError::Compacted),
            Ok(Err(error)) if is_too_large(&error) => Err(RangeError::TooLarge),
            Ok(Err(error)) => Err(RangeError::Failed(log_error(error))),
            Err(_) => Err(RangeError::Failed(silent())),
        }
    }

    /// The header of a linearizable read. It needs the permission to read `key`.
    pub(crate) async fn header(&self, key: &[u8]) -> Result<PbResponseHeader, LogError> {
        let answer = self.range(&one(key), Read::Count).await;
        let header = answer.map_err(RangeError::into_log_error)?.header;
        header.ok_or_else(|| unexpected("an answer without a header"))
    }

    /// The revision that the cluster was compacted to; `None` if its history is complete. It needs
    /// the permission to read `key`.
    pub(crate) async fn compact_revision(&self, key: &[u8]) -> Result<Option<u64>, LogError> {
        match self.range(&one(key), Read::CountFirst).await {
            Ok(_) => return Ok(None),
            Err(RangeError::Compacted) => {}
            Err(error) => return Err(error.into_log_error()),
        }
        // Only the end of a watch that begins too early tells the number.
        let mut watch = self.watch(&one(key), 1).await?;
        let told = async {
            while let Some(response) = watch.message().await? {
                if let compacted @ 1.. = response.compact_revision() {
                    return Ok(u64::try_from(compacted).ok());
                }
                if response.canceled() {
                    break;
                }
            }
            Ok::<_, Error>(None)
        };
        let told = answered(timeout(self.timeout, told).await)?;
        told.map(Some)
            .ok_or_else(|| unexpected("a watch of compacted revisions"))
    }

    /// Watches a range from a revision on. The server ends the watch when it has no leader.
    pub(crate) async fn watch(
        &self,
        range: &EtcdRange,
        start: u64,
    ) -> Result<WatchStream, LogError> {
        let mut options = WatchOptions::new()
            .with_start_revision(signed(start))
            .with_progress_notify()
            .with_fragment();
        if !range.end.is_empty() {
            options = options.with_range(range.end.as_slice());
        }
        let watch = self.client.watch_client();
        let mut watch = watch.max_decoding_message_size(MAX_MESSAGE_BYTES);
        let stream = watch.watch(range.key.as_slice(), Some(options));
        answered(timeout(self.timeout, stream).await)
    }

    /// The version of the server; `None` if it does not tell.
    pub(crate) async fn version(&mut self) -> Result<Option<String>, LogError> {
        match answered(timeout(self.timeout, self.client.status()).await) {
            Ok(status) => Ok(Some(status.0.version)),
            Err(LogError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl RangeError {
    pub(crate) fn into_log_error(self) -> LogError {
        match self {
            Self::Compacted => unexpected("that a current revision was compacted"),
            Self::TooLarge => unexpected("an answer above the bound of a message"),
            Self::Failed(error) => error,
        }
    }
}

fn one(key: &[u8]) -> EtcdRange {
    EtcdRange {
        key: key.to_vec(),
        end: Vec::new(),
    }
}

/// A revision as etcd writes it.
fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn answered<T>(
    answer: Result<Result<T, Error>, tokio::time::error::Elapsed>,
) -> Result<T, LogError> {
    match answer {
        Ok(answer) => answer.map_err(log_error),
        Err(_) => Err(silent()),
    }
}

/// The server has not answered in time.
pub(crate) fn silent() -> LogError {
    LogError::unavailable("etcd does not answer")
}
