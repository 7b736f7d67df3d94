//! The stream of a snapshot and the changes after it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::{Follow, FollowError};
use crate::history::Epoch;
use crate::queue::EventQueue;
use crate::subscription::{EventTemplate, Phase, Since};
use crate::{
    EventSubscription, Item, ProgressError, RecvError, Selectors, Seq, SubscribeBuilder,
    SubscribeError,
};

/// So many snapshots in a row that could not be joined end a follower: a store that is scanned more
/// slowly than its history is compacted would be scanned without end.
const MAX_UNJOINED: u32 = 3;

/// A snapshot of a store, then every change after it, as a [`Stream`] of [`Follow`] items, from
/// [`SubscribeBuilder::follow`].
///
/// A miss of any kind, [`Compacted`](RecvError::Compacted), [`Lagged`](RecvError::Lagged),
/// [`Coalesced`](RecvError::Coalesced) or [`Disconnected`](RecvError::Disconnected), begins a new
/// snapshot, which [`Follow::SnapshotBegin`] announces. So does a poll after the scan has failed.
/// If three snapshots in a row cannot be joined with the events after them, because some above the
/// value of the scan were missed or are no longer in the history, the stream ends with
/// [`FollowError::SnapshotTooSlow`]. A panic of the scan passes through; a poll after it begins a
/// new snapshot, too.
///
/// Events that are emitted during a scan are held in the queue, which is bounded as any other; with
/// history and [`Overflow::Park`](crate::Overflow::Park), the default, those that do not fit are
/// read from the history.
///
/// After the close of the bus the snapshot is completed, the events after it are received, and the
/// stream ends. What can no longer be read then is an error, [`FollowError::Subscribe`]: a new
/// snapshot after a miss, and the history after a scan that states a value below the head with
/// which the follower has begun. [`close_now`](crate::RangeWatchBus::close_now) discards events
/// without an error.
///
/// To store a follower in a struct, box it as a
/// `Pin<Box<dyn Stream<Item = Result<Follow<T, P>, FollowError<E>>> + Send>>`.
///
/// # Cancel safety
///
/// Yes. The state is in this value: if a `next()` is dropped, nothing is lost, and the scan
/// continues with the next poll. Dropping the follower drops the scan.
#[must_use = "streams do nothing unless polled"]
pub struct Follower<P, F, Fut, S> {
    template: EventTemplate<P>,
    scan: F,
    stage: Stage<Fut, S>,
    /// Held during a scan. `None` between a miss and the next scan, and at the end.
    sub: Option<EventSubscription<P>>,
    /// The last miss.
    cause: Option<RecvError>,
    /// The number of snapshots in a row that could not be joined.
    n_unjoined: u32,
    /// Set during a poll, and still set after one that has panicked.
    is_polling: bool,
}

enum Stage<Fut, S> {
    /// The scan is called next.
    Begin,
    /// The scan has yet to state its value.
    Scan(Pin<Box<Fut>>),
    Entries {
        value: u64,
        entries: Pin<Box<S>>,
    },
    /// `joins` is the last emit during the scan, until it is certain that none up to it is missing.
    Events {
        joins: Option<Seq>,
    },
    /// The bus is closed, and everything was received.
    Complete,
    Ended,
}

/// What a follower returns.
type Next<T, P, E> = Result<Follow<T, P>, FollowError<E>>;

impl<P: Send + Sync + 'static> SubscribeBuilder<'_, P> {
    /// Makes a [`Follower`]: a snapshot of your store, then every change after it, in one stream,
    /// without a gap in between; and a new snapshot whenever changes were missed.
    ///
    /// `scan` is called with the selectors for each snapshot. It returns a value and a stream of
    /// entries: every change up to this value must be in the entries, later ones may be. To state
    /// it read the revision of the store before its entries. Let each entry carry the revision of
    /// its last change: an event that is not above it is in the entry already. With history the
    /// value may be below the head of the bus, as that of a replica is. Without, the store must
    /// have what was emitted before the scan is called.
    ///
    /// `capacity` bounds the queue in events, as for [`events`](Self::events). The other settings
    /// of this builder hold as well. With [`since`](Self::since) or
    /// [`since_after`](Self::since_after) the stream begins with events, without a snapshot, if the
    /// history reaches back. With [`Overflow::Backpressure`](crate::Overflow::Backpressure)
    /// asynchronous emits wait for the end of a scan when the queue is full.
    ///
    /// # Errors
    ///
    /// As [`events`](Self::events), without [`SubscribeError::Compacted`], which is a snapshot.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use futures::{StreamExt, stream};
    /// use rangewatch_bus::{Follow, FollowError, RangeWatchBus, Selector};
    ///
    /// # futures::executor::block_on(async {
    /// let store = BTreeMap::from([("pods/a", 1), ("pods/b", 2)]);
    /// let revision = 2;
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut pods = bus.subscribe(Selector::prefix("pods/")).follow(256, |_selectors| {
    ///     let entries: Vec<_> = store.iter().map(Ok::<_, std::io::Error>).collect();
    ///     async move { Ok((revision, stream::iter(entries))) }
    /// })?;
    /// bus.emit(3, ["pods/c"])?;
    /// bus.close();
    ///
    /// let mut n_entries = 0;
    /// while let Some(item) = pods.next().await {
    ///     match item? {
    ///         Follow::SnapshotBegin { .. } => n_entries = 0,
    ///         Follow::Snapshot((_pod, _revision)) => n_entries += 1,
    ///         Follow::SnapshotEnd { value } => assert_eq!((value, n_entries), (2, 2)),
    ///         Follow::Event(event) => assert!(event.keys().eq([b"pods/c"])),
    ///         Follow::Progress(_) => {}
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// A follower that is moved into a task has a scan that owns the store. An `async move` closure
    /// is no such scan, because its future borrows what the closure owns; a closure that clones it
    /// into the future is:
    ///
    /// ```
    /// use std::io;
    /// use std::sync::Arc;
    ///
    /// use futures::{Stream, StreamExt, stream};
    /// use rangewatch_bus::{RangeWatchBus, Selectors};
    ///
    /// # type Entries = stream::Empty<io::Result<String>>;
    /// # struct Store;
    /// impl Store {
    ///     async fn scan(&self, selectors: &Selectors) -> io::Result<(u64, Entries)> {
    ///         // ..
    /// #       Ok((0, stream::empty()))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (bus, store) = (RangeWatchBus::new(), Arc::new(Store));
    /// let mut follower = bus.subscribe("a".."m").follow(256, move |selectors| {
    ///     let store = Arc::clone(&store);
    ///     async move { store.scan(&selectors).await }
    /// })?;
    /// let task = tokio::spawn(async move { follower.next().await });
    /// # task.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow<F, Fut, S, T, E>(
        self,
        capacity: usize,
        scan: F,
    ) -> Result<Follower<P, F, Fut, S>, SubscribeError>
    where
        F: FnMut(Selectors) -> Fut,
        Fut: Future<Output = Result<(u64, S), E>>,
        S: Stream<Item = Result<T, E>>,
    {
        let (template, since) = self.into_following(capacity)?;
        let (stage, phase) = match since {
            Some(_) => (Stage::Events { joins: None }, Phase::Started),
            None => (Stage::Begin, Phase::Held),
        };
        let (stage, sub, cause) = match template.subscribe(since, phase) {
            Ok(sub) => (stage, sub, None),
            Err(SubscribeError::Compacted { floor, epoch }) => {
                let sub = template.subscribe(None, Phase::Held)?;
                let cause = RecvError::Compacted { floor, epoch };
                (Stage::Begin, sub, Some(cause))
            }
            Err(error) => return Err(error),
        };
        Ok(Follower {
            template,
            scan,
            stage,
            sub: Some(sub),
            cause,
            n_unjoined: 0,
            is_polling: false,
        })
    }
}

impl<P, F, Fut, S> Follower<P, F, Fut, S> {
    pub(super) const fn template(&self) -> &EventTemplate<P> {
        &self.template
    }

    /// The [epoch](crate::RangeWatchBus::epoch) in which the values of the events after the current
    /// snapshot count. `None` without history, and from a miss to the begin of the next snapshot.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.exact_epoch().map(|epoch| epoch.number)
    }

    /// As [`epoch`](Self::epoch), different after each restore.
    pub(super) fn exact_epoch(&self) -> Option<Epoch> {
        let sub = self.sub.as_ref();
        sub.and_then(EventSubscription::exact_epoch)
    }

    /// Whether everything up to the close of the bus was received.
    pub(super) const fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Complete)
    }

    /// Begins a new snapshot, unless this is the end: an item was lost by a panic.
    pub(super) fn begin_again(&mut self) {
        if !matches!(self.stage, Stage::Complete | Stage::Ended) {
            self.stage = Stage::Begin;
        }
    }
}

impl<P, F, Fut, S, T, E> Follower<P, F, Fut, S>
where
    P: Send + Sync + 'static,
    F: FnMut(Selectors) -> Fut,
    Fut: Future<Output = Result<(u64, S), E>>,
    S: Stream<Item = Result<T, E>>,
{
    /// Requests a progress mark, as [`EventSubscription::request_progress`]. Returns `None`, and no
    /// mark follows, before the first event after a snapshot can be received.
    ///
    /// # Errors
    ///
    /// [`ProgressError::NoHistory`] if the bus has no history.
    pub fn request_progress(&mut self) -> Result<Option<u64>, ProgressError> {
        match (&self.stage, &mut self.sub) {
            (Stage::Events { .. }, Some(sub)) => sub.request_progress(),
            _ if self.template.shared.bounds().is_none() => Err(ProgressError::NoHistory),
            _ => Ok(None),
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Next<T, P, E>>> {
        loop {
            match &mut self.stage {
                Stage::Begin => return Poll::Ready(Some(self.begin())),
                Stage::Scan(scan) => match ready!(scan.as_mut().poll(cx)) {
                    Ok((value, entries)) => {
                        let entries = Box::pin(entries);
                        self.stage = Stage::Entries { value, entries };
                        if let Err(error) = self.hold_after(value) {
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                    Err(error) => return Poll::Ready(Some(self.scan_failed(error))),
                },
                Stage::Entries { value, entries } => {
                    let value = *value;
                    return Poll::Ready(Some(match ready!(entries.as_mut().poll_next(cx)) {
                        Some(Ok(entry)) => Ok(Follow::Snapshot(entry)),
                        Some(Err(error)) => self.scan_failed(error),
                        None => Ok(self.end_snapshot(value)),
                    }));
                }
                Stage::Events { joins } => {
                    let Some(sub) = &mut self.sub else {
                        return Poll::Ready(None);
                    };
                    let item = sub.poll_recv_item(cx);
                    let joined = match &item {
                        Poll::Ready(Ok(Item::Event(event))) => Some(event.seq()) >= *joins,
                        Poll::Ready(_) => false,
                        // What it still has to read from the history may be removed.
                        Poll::Pending => joins.is_some() && sub.lag() == 0,
                    };
                    if joined {
                        *joins = None;
                        self.n_unjoined = 0;
                    }
                    let miss = match ready!(item) {
                        Ok(Item::Event(event)) => {
                            return Poll::Ready(Some(Ok(Follow::Event(event))));
                        }
                        Ok(Item::Progress(mark)) => {
                            return Poll::Ready(Some(Ok(Follow::Progress(mark))));
                        }
                        Ok(Item::Gap(gap)) => RecvError::Coalesced(gap),
                        Err(RecvError::Closed) => {
                            let is_cut_off = sub.mailbox().peek(EventQueue::is_cut_off);
                            self.end();
                            if !is_cut_off {
                                self.stage = Stage::Complete;
                            }
                            return Poll::Ready(None);
                        }
                        Err(miss) => miss,
                    };
                    if let Err(error) = self.missed(miss) {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Stage::Complete | Stage::Ended => return Poll::Ready(None),
            }
        }
    }

    /// Calls the scan, with a subscription that holds what is emitted meanwhile.
    fn begin(&mut self) -> Next<T, P, E> {
        if self.sub.is_none() {
            match self.template.subscribe(None, Phase::Held) {
                Ok(sub) => self.sub = Some(sub),
                Err(error) => {
                    self.end();
                    return Err(FollowError::Subscribe(error));
                }
            }
        }
        let scan = (self.scan)(self.template.selectors.clone());
        self.stage = Stage::Scan(Box::pin(scan));
        Ok(Follow::SnapshotBegin { cause: self.cause })
    }

    /// Replaces the subscription if it began above `value`: the store is behind the bus, whose
    /// history has what is in between.
    fn hold_after(&mut self, value: u64) -> Result<(), FollowError<E>> {
        let position = self.sub.as_ref().and_then(EventSubscription::position);
        if position <= Some(value) {
            return Ok(());
        }
        let epoch = self.exact_epoch();
        // First, because a bus may be built for few subscriptions.
        self.sub = None;
        let since = Some(Since::after(value));
        match self.template.subscribe(since, Phase::Held) {
            Ok(sub) if sub.exact_epoch() == epoch => {
                self.sub = Some(sub);
                Ok(())
            }
            // The bus was restored during the scan.
            Ok(sub) => self.missed(RecvError::Compacted {
                floor: self.template.shared.bounds().map_or(0, |(_, floor)| floor),
                epoch: sub.epoch().unwrap_or(0),
            }),
            Err(SubscribeError::Compacted { floor, epoch }) => {
                self.missed(RecvError::Compacted { floor, epoch })
            }
            Err(error) => {
                self.end();
                Err(FollowError::Subscribe(error))
            }
        }
    }

    fn scan_failed(&mut self, error: E) -> Next<T, P, E> {
        self.stage = Stage::Begin;
        Err(FollowError::Scan(error))
    }

    fn end_snapshot(&mut self, value: u64) -> Follow<T, P> {
        if let Some(sub) = &mut self.sub {
            let started = sub.start_after(value);
            debug_assert!(started.is_ok(), "only a reserved one cannot start");
        }
        let joins = self.template.shared.last_seq();
        self.stage = Stage::Events { joins };
        Follow::SnapshotEnd { value }
    }

    /// Begins again, unless too many snapshots could not be joined.
    fn missed(&mut self, miss: RecvError) -> Result<(), FollowError<E>> {
        if !matches!(self.stage, Stage::Events { joins: None }) {
            self.n_unjoined += 1;
        }
        // Events that it still holds are older than the next snapshot.
        self.end();
        if self.n_unjoined == MAX_UNJOINED {
            let n_snapshots = self.n_unjoined;
            return Err(FollowError::SnapshotTooSlow { n_snapshots });
        }
        self.cause = Some(miss);
        self.stage = Stage::Begin;
        Ok(())
    }

    fn end(&mut self) {
        self.sub = None;
        self.stage = Stage::Ended;
    }
}

impl<P, F, Fut, S, T, E> Stream for Follower<P, F, Fut, S>
where
    P: Send + Sync + 'static,
    F: FnMut(Selectors) -> Fut,
    Fut: Future<Output = Result<(u64, S), E>>,
    S: Stream<Item = Result<T, E>>,
{
    type Item = Result<Follow<T, P>, FollowError<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_polling {
            // A scan that has panicked may have lost entries.
            self.begin_again();
        }
        self.is_polling = true;
        let polled = self.poll_item(cx);
        self.is_polling = false;
        polled
    }
}

impl<P, F, Fut, S, T, E> FusedStream for Follower<P, F, Fut, S>
where
    P: Send + Sync + 'static,
    F: FnMut(Selectors) -> Fut,
    Fut: Future<Output = Result<(u64, S), E>>,
    S: Stream<Item = Result<T, E>>,
{
    fn is_terminated(&self) -> bool {
        matches!(self.stage, Stage::Complete | Stage::Ended)
    }
}

/// The scan and its future are not pinned in place.
impl<P, F, Fut, S> Unpin for Follower<P, F, Fut, S> {}

impl<P, F, Fut, S> fmt::Debug for Follower<P, F, Fut, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Begin => "Begin",
            Stage::Scan(_) | Stage::Entries { .. } => "Scan",
            Stage::Events { .. } => "Events",
            Stage::Complete | Stage::Ended => "Ended",
        };
        f.debug_struct("Follower")
            .field("selectors", &self.template.selectors)
            .field("stage", &stage)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}
