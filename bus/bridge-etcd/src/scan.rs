//! Reading the keys as they are.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, vec};

use bytes::Bytes;
use etcd_client::proto::PbKeyValue;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use rangewatch_bridge::LogError;
use rangewatch_bus::Selectors;

use crate::client::{Connection, RangeError, Read};
use crate::keys::{EtcdRange, intersection};
use crate::lineage::revision;
use crate::responses::floor;
use crate::{EtcdEvent, EtcdSource, EventKind};

impl EtcdSource {
    /// Reads the keys that `selectors` select, as they are at one revision, for
    /// [`follow`](rangewatch_bus::SubscribeBuilder::follow) and
    /// [`mirror`](rangewatch_bus::SubscribeBuilder::mirror) on the bus of a reader.
    ///
    /// Returns the revision, and a stream of the keys in ascending order, each with the revision
    /// that changed it last and the event that did. Keys that this source does not read are left
    /// out. The scan has a connection of its own, and reads
    /// [pages](crate::EtcdSourceBuilder::page_keys), fewer keys at a time where they are large. It
    /// does not see what is written after it has begun.
    ///
    /// The future does not borrow the source.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`], [`LogError::Refused`]; in the stream also
    /// [`LogError::Compacted`], if the cluster was compacted above the revision meanwhile. Scan
    /// again.
    ///
    /// # Cancel safety
    ///
    /// Yes. The scan ends.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use rangewatch_bridge::Reader;
    /// # use rangewatch_bridge_etcd::{EtcdEvent, EtcdEvents, EtcdSource};
    /// # use rangewatch_bus::{FollowError, Selector};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let source = EtcdSource::builder(["http://127.0.0.1:2379"]).build()?;
    /// let reader = Reader::builder(source.clone()).payloads(EtcdEvents).open().await?;
    /// let (mirror, mut driver) = reader.bus().subscribe(Selector::prefix("stock/")).mirror(
    ///     256,
    ///     move |selectors| source.scan(selectors),
    ///     |_key, event: &EtcdEvent| event.is_put().then(|| event.clone()),
    /// )?;
    /// tokio::spawn(reader.run());
    /// tokio::spawn(async move {
    ///     while let Err(FollowError::Scan(error)) = driver.run().await {
    ///         eprintln!("the scan failed: {error}");
    ///         tokio::time::sleep(Duration::from_secs(1)).await;
    ///     }
    /// });
    /// mirror.wait_until(0).await?;
    /// println!("{:?}", mirror.get("stock/apples"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan(
        &self,
        selectors: Selectors,
    ) -> impl Future<Output = Result<(u64, Scan), LogError>> + Send + use<> {
        begin(self.clone(), selectors)
    }
}

/// The keys of a [scan](EtcdSource::scan): each with the revision that changed it last, and the
/// event that did.
#[must_use = "streams do nothing unless polled"]
pub struct Scan(BoxStream<'static, Result<(Bytes, u64, EtcdEvent), LogError>>);

impl Stream for Scan {
    type Item = Result<(Bytes, u64, EtcdEvent), LogError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").finish_non_exhaustive()
    }
}

/// How far a scan is.
struct Pages {
    connection: Connection,
    revision: u64,
    /// What is yet to be read, in descending order.
    ranges: Vec<EtcdRange>,
    n_keys: usize,
    page: vec::IntoIter<PbKeyValue>,
}

async fn begin(source: EtcdSource, selectors: Selectors) -> Result<(u64, Scan), LogError> {
    let inner = &source.inner;
    let selected = selectors.ranges();
    let selected = selected
        .iter()
        .filter_map(|range| intersection(range, &inner.keys))
        .filter_map(|range| EtcdRange::new(&range));
    let connection = source.connect().await?;
    // Every page is of this revision.
    let header = connection.header(&inner.range.key).await?;
    let pages = Pages {
        connection,
        revision: revision(&header),
        ranges: selected.rev().collect(),
        n_keys: inner.options.page_keys,
        page: Vec::new().into_iter(),
    };
    let entries = stream::try_unfold(pages, async |mut pages| {
        let entry = pages.next().await?;
        Ok(entry.map(|entry| (entry, pages)))
    });
    Ok((revision(&header), Scan(entries.boxed())))
}

impl Pages {
    async fn next(&mut self) -> Result<Option<(Bytes, u64, EtcdEvent)>, LogError> {
        loop {
            if let Some(kv) = self.page.next() {
                return Ok(Some(entry(kv)));
            }
            let Some(range) = self.ranges.last() else {
                return Ok(None);
            };
            let read = Read::Page {
                n_keys: self.n_keys,
                at: self.revision,
            };
            match self.connection.range(range, read).await {
                Ok(page) => {
                    let rest = page.kvs.last().filter(|_| page.more);
                    let rest = rest.map(|last| range.after(&last.key));
                    self.ranges.pop();
                    self.ranges.extend(rest);
                    self.page = page.kvs.into_iter();
                }
                Err(RangeError::TooLarge) if self.n_keys > 1 => self.n_keys /= 2,
                Err(RangeError::Compacted) => {
                    let floor = floor(self.revision.saturating_add(1));
                    return Err(LogError::Compacted { floor });
                }
                Err(error) => return Err(error.into_log_error()),
            }
        }
    }
}

fn entry(kv: PbKeyValue) -> (Bytes, u64, EtcdEvent) {
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let event = EtcdEvent {
        kind: EventKind::Put,
        value: kv.value.into(),
        create_revision: number(kv.create_revision),
        mod_revision: number(kv.mod_revision),
        version: number(kv.version),
        lease: kv.lease,
    };
    (kv.key.into(), event.mod_revision, event)
}
