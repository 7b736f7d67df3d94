//! The future that keeps a mirror.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::mirror::{Change, Copied, Entry, Map, apply};
use super::{Follow, FollowError, Follower, Mirror, WaiterId};
use crate::history::Epoch;
use crate::keys::KeyRanges;
use crate::{Event, Selectors, SubscribeBuilder, SubscribeError};

/// The items that one poll takes before it lets other tasks of its thread run.
const MAX_ITEMS_PER_POLL: usize = 128;

/// Keeps a [`Mirror`] while [`run`](Self::run) is polled: spawn
/// `async move { driver.run().await }`. Made by [`SubscribeBuilder::mirror`].
///
/// Dropping it stops the mirror, which stays readable.
#[must_use = "a mirror has nothing until `run` is polled"]
pub struct MirrorDriver<P, V, F, Fut, S, C> {
    follower: Follower<P, F, Fut, S>,
    change: C,
    /// The keys that are mirrored.
    ranges: KeyRanges,
    copied: Arc<Copied<V>>,
    /// A new copy, until it is as far as the one that readers see.
    next: Option<Map<V>>,
    /// The epoch of the values of the copy.
    epoch: Option<Epoch>,
    /// The registration to be woken when the bus reaches the value that a reader waits for.
    head: Option<WaiterId>,
    /// The value of the progress mark that was requested and is yet to be received.
    requested: Option<u64>,
    /// Set while an item is applied, and still set after one that has panicked.
    is_applying: bool,
}

impl<P: Send + Sync + 'static> SubscribeBuilder<'_, P> {
    /// Makes a [`Mirror`]: a local ordered copy of the keys that the selectors select, and the
    /// driver that keeps it, to be spawned. It [follows](Self::follow) the bus.
    ///
    /// `scan` is as for [`follow`](Self::follow), which shows one for a driver that is spawned.
    /// Each entry is a key, the value of the emit that last changed it, and what the mirror shows
    /// for it. A store that does not know when a key was last changed, but scans one revision of
    /// all keys, gives the value that the scan states. Keys that are not selected are ignored.
    ///
    /// `change` says what the emit of a key with a payload does to the key: `Some` sets what the
    /// mirror shows, `None` removes the key.
    ///
    /// `capacity` bounds the queue in events, as for [`events`](Self::events). The memory of the
    /// mirror is that of the keys and values, twice during a new snapshot.
    ///
    /// # Errors
    ///
    /// As [`follow`](Self::follow); [`SubscribeError::NoHistory`] if the bus has no history: only
    /// values that increase say which change is newer; [`SubscribeError::SinceMirror`] if `since`
    /// was called: a mirror begins with a snapshot.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::stream;
    /// use rangewatch_bus::{History, RangeWatchBus, Selector};
    ///
    /// # futures::executor::block_on(async {
    /// // Each key carries its new value, or None when it is deleted.
    /// let history = History::events(10_000);
    /// let builder = RangeWatchBus::builder().payloads::<Option<u32>>();
    /// let bus = builder.history(history).head(7).build()?;
    ///
    /// let (mirror, mut driver) = bus.subscribe(Selector::prefix("stock/")).mirror(
    ///     256,
    ///     async |_selectors| {
    ///         let entries = [Ok::<_, std::io::Error>(("stock/apples", 3, 12))]; // set by emit 3
    ///         Ok((7, stream::iter(entries)))
    ///     },
    ///     |_key, stock: &Option<u32>| *stock,
    /// )?;
    /// # let run = async move { driver.run().await };
    /// # let serve = async move {
    /// // Spawn `async move { driver.run().await }` on your executor.
    /// bus.emit_with(8, [("stock/pears", Some(5)), ("stock/apples", None)])?;
    /// mirror.wait_until(8).await?;
    /// assert_eq!((mirror.get("stock/pears"), mirror.get("stock/apples")), (Some(5), None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # };
    /// # let (driven, served) = futures::join!(run, serve);
    /// # driven?;
    /// # served
    /// # }).unwrap();
    /// ```
    #[expect(
        clippy::type_complexity,
        reason = "the parts are those of the arguments"
    )]
    pub fn mirror<V, F, Fut, S, K, E, C>(
        self,
        capacity: usize,
        scan: F,
        change: C,
    ) -> Result<(Mirror<V>, MirrorDriver<P, V, F, Fut, S, C>), SubscribeError>
    where
        F: FnMut(Selectors) -> Fut,
        Fut: Future<Output = Result<(u64, S), E>>,
        S: Stream<Item = Result<(K, u64, V), E>>,
        K: AsRef<[u8]>,
        C: FnMut(&[u8], &P) -> Option<V>,
    {
        let ranges = self.mirrored()?;
        let follower = self.follow(capacity, scan)?;
        let (mirror, copied) = Mirror::new();
        let driver = MirrorDriver {
            follower,
            change,
            ranges,
            copied,
            next: None,
            epoch: None,
            head: None,
            requested: None,
            is_applying: false,
        };
        Ok((mirror, driver))
    }
}

impl<P, V, F, Fut, S, C, K, E> MirrorDriver<P, V, F, Fut, S, C>
where
    P: Send + Sync + 'static,
    F: FnMut(Selectors) -> Fut,
    Fut: Future<Output = Result<(u64, S), E>>,
    S: Stream<Item = Result<(K, u64, V), E>>,
    K: AsRef<[u8]>,
    C: FnMut(&[u8], &P) -> Option<V>,
{
    /// Keeps the mirror until the bus is closed and everything was applied that the close did not
    /// discard, or until the last handle of the mirror is dropped.
    ///
    /// # Errors
    ///
    /// Those of the [`Follower`]. After [`FollowError::Scan`] call this again, after a delay that
    /// suits the store: it begins a new snapshot, and readers go on waiting. After the others the
    /// mirror has stopped, and this returns `Ok` at once.
    ///
    /// # Panics
    ///
    /// Not by itself. Panics of the scan, of `change` and of the wakers of readers pass through.
    /// The next call begins a new snapshot.
    ///
    /// # Cancel safety
    ///
    /// Yes: the next call continues.
    ///
    /// # Examples
    ///
    /// A driver that retries:
    ///
    /// ```
    /// # use std::future::ready;
    /// # use std::time::Duration;
    /// # use futures::{Stream, stream};
    /// # use rangewatch_bus::{FollowError, History, RangeWatchBus};
    /// # use rangewatch_bus::timer::{ThreadTimer, Timer};
    /// # async fn scan() -> Result<(u64, impl Stream<Item = Result<(String, u64, u32), u8>>), u8> {
    /// #     Ok((0, stream::empty()))
    /// # }
    /// # futures::executor::block_on(async {
    /// # let bus = RangeWatchBus::builder().history(History::events(10)).build()?;
    /// let (mirror, mut driver) = bus.subscribe(..).mirror(256, |_| scan(), |_, ()| Some(1))?;
    /// # bus.close();
    /// while let Err(FollowError::Scan(error)) = driver.run().await {
    ///     eprintln!("the scan failed with {error}");
    ///     ThreadTimer.sleep(Duration::from_secs(1)).await;
    /// }
    /// # assert_eq!(mirror.value(), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn run(&mut self) -> Result<(), FollowError<E>> {
        poll_fn(|cx| self.poll_run(cx)).await
    }

    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FollowError<E>>> {
        if std::mem::take(&mut self.is_applying) {
            self.follower.begin_again();
        }
        let mut n_items = 0;
        while n_items < MAX_ITEMS_PER_POLL {
            match Pin::new(&mut self.follower).poll_next(cx) {
                Poll::Ready(Some(Ok(item))) => {
                    self.is_applying = true;
                    self.take(item);
                    self.is_applying = false;
                }
                Poll::Ready(Some(Err(error))) => {
                    if error.is_end() {
                        self.copied.stop();
                    }
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(None) => {
                    self.end();
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {
                    let wanted = self.copied.register_driver(cx);
                    if wanted.has_no_reader {
                        return Poll::Ready(Ok(()));
                    }
                    // A mark that was requested may be there already.
                    if !wanted.value.is_some_and(|value| self.request(value, cx)) {
                        return Poll::Pending;
                    }
                }
            }
            n_items += 1;
        }
        if self.copied.has_no_reader() {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take(&mut self, item: Follow<(K, u64, V), P>) {
        match item {
            Follow::SnapshotBegin { .. } => {
                // A mark of the subscription before is lost.
                self.requested = None;
                let epoch = self.follower.exact_epoch();
                if std::mem::replace(&mut self.epoch, epoch) != epoch {
                    self.copied.forget_value();
                }
                self.next = Some(Map::new());
            }
            Follow::Snapshot((key, changed, value)) => {
                let key = key.as_ref();
                if let Some(next) = self.next.as_mut().filter(|_| self.ranges.contains(key)) {
                    next.insert(key.into(), Entry { changed, value });
                }
            }
            Follow::SnapshotEnd { value } => self.advance(value),
            Follow::Event(event) => {
                let changes = self.changes(&event);
                match &mut self.next {
                    Some(next) => {
                        apply(next, event.value(), changes);
                        self.advance(event.value());
                    }
                    None => self.copied.apply(event.value(), changes),
                }
            }
            Follow::Progress(mark) => self.advance(mark),
        }
    }

    fn changes(&mut self, event: &Event<P>) -> Vec<Change<V>> {
        let change = |(key, payload): (&[u8], &P)| (key.into(), (self.change)(key, payload));
        event.entries().map(change).collect()
    }

    /// Notes that everything up to `value` was received. Shows a new copy when it is as far as the
    /// one that readers see: a scan of a store that lags would take it back.
    fn advance(&mut self, value: u64) {
        match self.next.take() {
            Some(next) if Some(value) >= self.copied.value() => self.copied.replace(next, value),
            Some(next) => self.next = Some(next),
            None => self.copied.advance(value),
        }
    }

    /// Sees to it that the driver is woken when everything up to `value` can be received. Returns
    /// whether to look at once.
    fn request(&mut self, value: u64, cx: &Context<'_>) -> bool {
        let shared = &self.follower.template().shared;
        if self.requested >= Some(value) || shared.poll_head(value, &mut self.head, cx).is_pending()
        {
            return false;
        }
        // During a scan, and at the end, no mark can be requested, and none is needed.
        match self.follower.request_progress() {
            Ok(Some(mark)) => {
                self.requested = Some(mark);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    /// The follower has ended, mostly because the bus is closed.
    fn end(&mut self) {
        if self.follower.is_complete() {
            let bounds = self.follower.template().shared.bounds();
            if let Some((Some(head), _)) = bounds {
                self.advance(head);
            }
        }
        self.copied.stop();
    }
}

impl<P, V, F, Fut, S, C> Drop for MirrorDriver<P, V, F, Fut, S, C> {
    fn drop(&mut self) {
        if let Some(id) = self.head {
            self.follower.template().shared.forget_head(id);
        }
        self.copied.stop();
    }
}

impl<P, V, F, Fut, S, C> fmt::Debug for MirrorDriver<P, V, F, Fut, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorDriver")
            .field("follower", &self.follower)
            .field("value", &self.copied.value())
            .finish_non_exhaustive()
    }
}
