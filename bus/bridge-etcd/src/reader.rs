//! Reading.

use etcd_client::WatchStream;
use rangewatch_bridge::{Head, LogError, LogItem, LogReader, async_trait};
use tokio::time::{Instant, timeout, timeout_at};

use crate::EtcdSource;
use crate::client::{Connection, silent};
use crate::error::{log_error, unexpected};
use crate::lineage::revision;
use crate::responses::{Responses, Stop, floor};
use crate::version::orders_progress;

/// A connection to one member.
pub(crate) struct EtcdReader {
    source: EtcdSource,
    connection: Connection,
    /// Whether progress may be requested, once that is known.
    orders_progress: Option<bool>,
    watch: Option<Watch>,
}

struct Watch {
    cluster_id: u64,
    stream: WatchStream,
    responses: Responses,
    requests_progress: bool,
    /// When to request progress.
    next_request: Instant,
    /// Why nothing more can be read, after items were.
    stop: Option<LogError>,
}

impl EtcdReader {
    pub(crate) const fn new(source: EtcdSource, connection: Connection) -> Self {
        Self {
            source,
            connection,
            orders_progress: None,
            watch: None,
        }
    }

    /// The epoch, the id of the cluster and the head, from a linearizable read.
    async fn current(&self) -> Result<(u64, u64, u64), LogError> {
        let inner = &self.source.inner;
        let before = inner.lineage.before();
        let header = self.connection.header(&inner.range.key).await?;
        let epoch = inner.lineage.head(&before, &header);
        Ok((epoch, header.cluster_id, revision(&header)))
    }

    async fn orders_progress(&mut self) -> Result<bool, LogError> {
        if let Some(known) = self.orders_progress {
            return Ok(known);
        }
        let version = self.connection.version().await?;
        let orders = version.as_deref().is_some_and(orders_progress);
        self.orders_progress = Some(orders);
        Ok(orders)
    }
}

#[async_trait]
impl LogReader for EtcdReader {
    async fn head(&mut self) -> Result<Head, LogError> {
        let key = &self.source.inner.range.key;
        let compacted = self.connection.compact_revision(key).await?;
        let (epoch, _, head) = self.current().await?;
        Ok(Head {
            epoch,
            value: Some(head),
            floor: compacted.map_or(0, floor),
        })
    }

    async fn seek(&mut self, epoch: u64, after: Option<u64>) -> Result<(), LogError> {
        self.watch = None;
        let requests_progress = self.orders_progress().await?;
        let inner = &self.source.inner;
        let timeout_after = inner.options.timeout;
        // One revision early: see `Responses`. The first revision is 1, and has no events.
        let start = after.unwrap_or(1).max(1);
        let mut stream = self.connection.watch(&inner.range, start).await?;
        let begun = timeout(timeout_after, stream.message()).await;
        let begun = begun.map_err(|_| silent())?.map_err(log_error)?;
        let begun = begun.ok_or_else(|| unexpected("the end of a watch"))?.0;
        // After the watch has begun: whatever answers now is what the watch is of, or the watch
        // ends with its connection.
        let (current, cluster_id, _) = self.current().await?;
        if current != epoch {
            return Err(LogError::EpochChanged { epoch: current });
        }
        let inner = &self.source.inner;
        let mut responses = Responses::new(cluster_id, after, inner.options.max_frame_bytes);
        let begun = responses.begin(&begun);
        begun.map_err(|stop| stopped(&self.source, cluster_id, stop))?;
        self.watch = Some(Watch {
            cluster_id,
            stream,
            responses,
            requests_progress,
            next_request: Instant::now() + inner.options.progress,
            stop: None,
        });
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<LogItem>, LogError> {
        let Some(watch) = &mut self.watch else {
            return Err(unexpected("nothing: no position was sought"));
        };
        let read = watch.read(&self.source).await;
        if read.is_err() {
            self.watch = None;
        }
        read
    }
}

impl Watch {
    async fn read(&mut self, source: &EtcdSource) -> Result<Vec<LogItem>, LogError> {
        if let Some(stop) = self.stop.take() {
            return Err(stop);
        }
        let mut items = Vec::new();
        while items.is_empty() {
            let Ok(response) = timeout_at(self.next_request, self.stream.message()).await else {
                self.next_request = Instant::now() + source.inner.options.progress;
                if self.requests_progress {
                    let requested = self.stream.request_progress();
                    let requested = timeout(source.inner.options.timeout, requested).await;
                    requested.map_err(|_| silent())?.map_err(log_error)?;
                }
                return Ok(items);
            };
            let response = response.map_err(log_error)?;
            let response = response.ok_or_else(|| unexpected("the end of a watch"))?;
            if let Err(stop) = self.responses.take(response.0, &mut items) {
                let stop = stopped(source, self.cluster_id, stop);
                if items.is_empty() {
                    return Err(stop);
                }
                self.stop = Some(stop);
            }
        }
        if let Some(position) = self.responses.position() {
            source.inner.lineage.has_read(self.cluster_id, position);
        }
        Ok(items)
    }
}

/// Why a watch of a cluster has stopped, as an error of the log.
fn stopped(source: &EtcdSource, cluster_id: u64, stop: Stop) -> LogError {
    let lineage = &source.inner.lineage;
    match stop {
        Stop::Log(error) => error,
        Stop::Cluster(other) => LogError::EpochChanged {
            epoch: lineage.epoch(other),
        },
        Stop::Contradiction => LogError::EpochChanged {
            epoch: lineage.broken(cluster_id),
        },
    }
}
