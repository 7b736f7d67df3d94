//! Event subscriptions: every matching emit, in order.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::event_stream::{IntoItems, Items};
use super::progress::Interval;
use super::registration::{Edit, Registration};
use crate::emit::{Record, WakeList};
use crate::history::{CatchUp, ChunkSize, Epoch};
use crate::order::Edited;
use crate::queue::{End, EventQueue, Taken};
use crate::subscription::{MailboxArc, Phase, RangeVersions};
use crate::{
    ControlError, Event, Item, KeyRange, ProgressError, RecvError, Selectors, Seq, Stats,
    TryRecvError,
};

/// How many pieces of the history one receive reads that hold nothing for the consumer, before it
/// returns: bounds the time of a receive, whatever the length of the history.
pub(crate) const MAX_PIECES_PER_POLL: usize = 16;

/// Receives every matching emit as an [`Event`], in order, through a bounded queue.
///
/// Made by [`SubscribeBuilder::events`](crate::SubscribeBuilder::events). One emit is one event,
/// however many keys and selectors match.
///
/// # Overflow
///
/// The queue is bounded in events and in bytes, and an emit never waits for it. The
/// [policy](crate::Overflow) that was chosen when subscribing decides what an emit does when the
/// queue is full. An error of a receive is either a gap, after which more events follow, or the
/// end: see [`RecvError::is_end`].
///
/// # History
///
/// On a bus with history, a subscription that begins in the past or was parked is replayed from the
/// history: its receives read the history in pieces, until it has caught up and is live.
/// [`lag`](Self::lag) is the number of emits that it is behind, [`position`](Self::position) the
/// value after which to resume.
///
/// # Consumer
///
/// A subscription has one consumer: only the waker of the latest pending receive is woken, once.
/// The waker is kept until an emit or the close wakes it or the subscription is dropped, also when
/// the future that registered it was dropped before. Any executor works.
///
/// # End
///
/// After the bus is [closed](crate::RangeWatchBus::close), everything still in the queue is
/// received, then [`RecvError::Closed`]; the stream ends. The consumer ends a subscription by
/// dropping it or with [`cancel`](Self::cancel).
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, TryRecvError};
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe("a".."m").events(2)?;
/// for value in 1..=5 {
///     bus.emit(value, ["a", "x", "b"])?;
/// }
///
/// assert_eq!(sub.try_recv().unwrap_err(), TryRecvError::Lagged(3));
/// let event = sub.try_recv()?;
/// assert_eq!(event.value(), 4);
/// assert!(event.keys().eq([b"a", b"b"]));
/// assert_eq!(sub.try_recv()?.value(), 5);
/// assert_eq!(sub.try_recv().unwrap_err(), TryRecvError::Empty);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventSubscription<P = ()> {
    registration: Registration<EventQueue<P>>,
    watched: RangeVersions,
    interval: Option<Box<Interval>>,
    chunk_size: ChunkSize,
    /// `None` without history.
    epoch: Option<Epoch>,
    /// Whether the stream has returned its last item.
    pub(super) has_ended: bool,
}

impl<P> EventSubscription<P> {
    pub(crate) fn new(
        registration: Registration<EventQueue<P>>,
        watched: RangeVersions,
        interval: Option<Box<Interval>>,
        epoch: Option<Epoch>,
    ) -> Self {
        let capacity = registration
            .mailbox()
            .peek(|queue| queue.entries().capacity());
        Self {
            registration,
            watched,
            interval,
            chunk_size: ChunkSize::new(capacity.get()),
            epoch,
            has_ended: false,
        }
    }

    /// The events of this subscription show all keys of their emits, whatever its ranges are.
    pub(crate) fn showing_all_keys(mut self) -> Self {
        self.watched = RangeVersions::new([KeyRange::unbounded([])].into_iter().collect());
        self
    }

    /// Adds a range after the others, which it may overlap.
    pub(crate) fn push_range(&self, range: KeyRange) -> Result<Seq, ControlError> {
        let shared = self.registration.host();
        shared.push_range(self.mailbox(), range)
    }

    /// Removes the range at `place`; the last one moves there.
    pub(crate) fn swap_remove_range(&self, place: usize) {
        let shared = self.registration.host();
        shared.swap_remove_range(self.mailbox(), place);
    }

    pub(crate) const fn mailbox(&self) -> &MailboxArc<EventQueue<P>> {
        self.registration.mailbox()
    }

    /// Receives the next event; waits if there is none. Progress marks are skipped. On a
    /// subscription that is not [started](Self::start) it waits for the end, because starting needs
    /// the same mutable reference.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] and [`RecvError::Coalesced`] report a gap; what follows it is next.
    /// [`RecvError::Disconnected`], [`RecvError::Compacted`] and [`RecvError::Closed`] are the end.
    ///
    /// # Cancel safety
    ///
    /// Yes. An event or an error leaves the subscription only as the
    /// result of this function; if the future is dropped before, nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use rangewatch_bus::{RangeWatchBus, RecvError, Selector};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut jobs = bus.subscribe(Selector::prefix("job/")).events(16)?;
    /// bus.emit(1, ["job/7", "other"])?;
    /// bus.close();
    /// loop {
    ///     match jobs.recv().await {
    ///         Ok(event) => assert!(event.keys().eq([b"job/7"])),
    ///         Err(RecvError::Closed) => break,
    ///         Err(gap) if !gap.is_end() => println!("{gap}"),
    ///         Err(end) => return Err(end.into()),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn recv(&mut self) -> Result<Event<P>, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Receives the next item, an event, a gap or a progress mark; waits if there is none.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), but a gap that was coalesced is an [`Item::Gap`].
    ///
    /// # Cancel safety
    ///
    /// Yes, as [`recv`](Self::recv).
    ///
    /// # Examples
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use rangewatch_bus::{Item, Overflow, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut sub = bus.subscribe(..).overflow(Overflow::Coalesce).events(1)?;
    /// for value in 1..=3 {
    ///     bus.emit(value, ["k"])?;
    /// }
    /// assert!(matches!(sub.recv_item().await?, Item::Event(event) if event.value() == 1));
    /// let Item::Gap(gap) = sub.recv_item().await? else { panic!("not a gap") };
    /// assert_eq!((gap.first(), gap.last()), (2, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn recv_item(&mut self) -> Result<Item<P>, RecvError> {
        poll_fn(|cx| self.poll_recv_item(cx)).await
    }

    /// The items as a stream: events, gaps and progress marks. An end other than the close of the
    /// bus is the last item, an error. To request marks or to edit selectors meanwhile, use
    /// [`into_items`](Self::into_items), which gives access to the subscription.
    pub const fn items(&mut self) -> Items<'_, P> {
        Items(self)
    }

    /// As [`items`](Self::items), a stream that owns the subscription: `'static` if the payloads
    /// are. Dropping it ends the subscription.
    pub const fn into_items(self) -> IntoItems<P> {
        IntoItems::new(self)
    }

    /// Receives at least one event and at most `limit`, appended to `buf`, and returns their
    /// number; waits if there is none. After the first it takes what it can without waiting: what
    /// the queue holds, up to a gap or the end. While the subscription catches up from the history
    /// that is what one piece of the history has filled the queue with.
    ///
    /// A gap or the end is returned by a call of its own, after the events before it. Progress
    /// marks are skipped. With a `limit` of 0 it returns 0 at once, also after the end.
    ///
    /// `buf` grows as needed; events in it are kept. The lock of the queue is taken once for up to
    /// 32 events.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv). `buf` is unchanged then.
    ///
    /// # Cancel safety
    ///
    /// Yes. Events leave the subscription only in the poll that returns their number, and are in
    /// `buf` then; if the future is dropped before, nothing is lost and `buf` is unchanged.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use rangewatch_bus::{RangeWatchBus, RecvError};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut sub = bus.subscribe(..).events(16)?;
    /// bus.emit_many((1..=5).map(|value| (value, ["k"])))?;
    /// bus.close();
    ///
    /// let mut events = Vec::new();
    /// assert_eq!(sub.recv_many(&mut events, 3).await, Ok(3));
    /// assert_eq!(sub.recv_many(&mut events, 3).await, Ok(2));
    /// assert_eq!(sub.recv_many(&mut events, 3).await, Err(RecvError::Closed));
    /// assert!(events.iter().map(|event| event.value()).eq(1..=5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn recv_many(
        &mut self,
        buf: &mut Vec<Event<P>>,
        limit: usize,
    ) -> Result<usize, RecvError> {
        poll_fn(|cx| self.poll_recv_many(cx, buf, limit)).await
    }

    /// Receives the next event without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is none, [`TryRecvError::CatchingUp`] if there was none in
    /// the part of the history that this call has read, [`TryRecvError::NotStarted`] if it is not
    /// [started](Self::start), the others as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Event<P>, TryRecvError> {
        loop {
            if let Some(event) = without_marks(self.try_recv_item()) {
                return event;
            }
        }
    }

    /// Receives the next item without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv), but a gap that was coalesced is an [`Item::Gap`].
    pub fn try_recv_item(&mut self) -> Result<Item<P>, TryRecvError> {
        for _ in 0..MAX_PIECES_PER_POLL {
            let taken = match self.mailbox().try_take() {
                Poll::Ready(Some(taken)) => taken,
                Poll::Ready(None) => return Err(TryRecvError::Closed),
                Poll::Pending => {
                    #[cfg(feature = "tracing")]
                    super::slow::report_recovery(self.mailbox(), self.registration.host().name());
                    return Err(match self.mailbox().phase() {
                        Phase::Started => TryRecvError::Empty,
                        Phase::Reserved | Phase::Held => TryRecvError::NotStarted,
                    });
                }
            };
            if let Some(item) = self.item(taken) {
                return item.map_err(TryRecvError::from);
            }
        }
        Err(TryRecvError::CatchingUp)
    }

    /// The poll function of [`recv`](Self::recv).
    ///
    /// On `Pending`, the waker of `cx` is registered in place of that of an earlier call, and woken
    /// by the next matching emit or by the close. A call with the same waker as before does not
    /// clone it. While a long part of the history does not match, it returns `Pending` with the
    /// waker already woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event<P>, RecvError>> {
        self.poll_interval(cx);
        loop {
            if let Some(event) = without_marks(ready!(self.poll_item(cx))) {
                return Poll::Ready(event);
            }
        }
    }

    /// The poll function of [`recv_item`](Self::recv_item), as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    ///
    /// As [`recv_item`](Self::recv_item).
    pub fn poll_recv_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item<P>, RecvError>> {
        self.poll_interval(cx);
        self.poll_item(cx)
    }

    /// The poll function of [`recv_many`](Self::recv_many), as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    ///
    /// As [`recv_many`](Self::recv_many).
    pub fn poll_recv_many(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut Vec<Event<P>>,
        limit: usize,
    ) -> Poll<Result<usize, RecvError>> {
        if limit == 0 {
            return Poll::Ready(Ok(0));
        }
        buf.push(ready!(self.poll_recv(cx))?);
        let mut n_received = 1;
        while n_received < limit {
            let emits = self.mailbox().take_events(limit - n_received);
            if emits.is_empty() {
                break;
            }
            n_received += emits.len();
            buf.extend(emits.into_iter().map(|emit| self.event(emit)));
        }
        Poll::Ready(Ok(n_received))
    }

    /// Requests a mark if one is due, once per poll: a timer that is always ready must not keep the
    /// poll from ending.
    fn poll_interval(&mut self, cx: &mut Context<'_>) {
        let is_due = |interval: &mut Box<Interval>| interval.poll_due(cx).is_ready();
        if self.interval.as_mut().is_some_and(is_due) {
            let shared = self.registration.host();
            // The consumer is polling, so its waker is dropped and need not be woken.
            shared.mark(self.mailbox(), &mut WakeList::new());
        }
    }

    fn poll_item(&mut self, cx: &Context<'_>) -> Poll<Result<Item<P>, RecvError>> {
        for _ in 0..MAX_PIECES_PER_POLL {
            let taken = match self.mailbox().poll_take(cx) {
                Poll::Ready(Some(taken)) => taken,
                Poll::Ready(None) => return Poll::Ready(Err(RecvError::Closed)),
                Poll::Pending => {
                    #[cfg(feature = "tracing")]
                    super::slow::report_recovery(self.mailbox(), self.registration.host().name());
                    return Poll::Pending;
                }
            };
            if let Some(item) = self.item(taken) {
                return Poll::Ready(item);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Requests a [progress mark](Item::Progress), which is received after everything that matched
    /// before this call. Returns the least value that it will have; `None`, and no mark follows, if
    /// nothing was emitted yet, the subscription begins above the head or has ended, or the bus is
    /// closed.
    ///
    /// Marks are received with [`recv_item`](Self::recv_item). A parked subscription receives the
    /// mark when it has caught up. At most 5 marks are queued; one more replaces the latest.
    ///
    /// # Errors
    ///
    /// [`ProgressError::NoHistory`] if the bus has no history: its values need not increase.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, Item, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(100)).build()?;
    /// let mut sub = bus.subscribe("a".."b").events(16)?;
    /// bus.emit(7, ["elsewhere"])?;
    /// assert_eq!(sub.request_progress()?, Some(7));
    /// assert_eq!(sub.try_recv_item()?, Item::Progress(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request_progress(&mut self) -> Result<Option<u64>, ProgressError> {
        let shared = self.registration.host();
        if shared.bounds().is_none() {
            return Err(ProgressError::NoHistory);
        }
        let mut wakers = WakeList::new();
        let head = shared.mark(self.mailbox(), &mut wakers);
        wakers.wake_all();
        Ok(head)
    }

    /// The number of events and gaps in the queue, at most the [`capacity`](Self::capacity). Events
    /// to be read from the history are not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mailbox().peek(|queue| queue.entries().len())
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of the events in the queue in bytes, at most [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.mailbox().peek(|queue| queue.entries().n_bytes())
    }

    /// The number of emits that the subscription is behind: those that it holds or has to report as
    /// missed and, while it is parked, those of the history that it has yet to read, or that were
    /// removed from there. It is 0 if and only if the subscription is not parked and holds no emit,
    /// in every state. Marks and the end do not count.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.registration.host().lag(self.mailbox())
    }

    /// The value up to which everything that matches was received or reported as missed: that of
    /// the last item, a mark included, or the value before the first that the subscription began
    /// with. A new subscription resumes [after](crate::SubscribeBuilder::since_after) it.
    ///
    /// `None` if nothing was received yet and the subscription did not begin at a value: on a bus
    /// without history, or before its first emit, where a new subscription resumes since 0.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.mailbox().peek(EventQueue::position)
    }

    /// The [epoch](crate::RangeWatchBus::epoch) in which the values of this subscription count:
    /// that of the bus when it was made or, if it was reserved, opened. It never changes, because a
    /// [restore](crate::RangeWatchBus::restore) ends the subscription. `None` without history.
    ///
    /// A checkpoint is the [`position`](Self::position) and this epoch: a new subscription
    /// [gives both](crate::SubscribeBuilder::epoch).
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.epoch.map(|epoch| epoch.number)
    }

    /// As [`epoch`](Self::epoch), different after each restore.
    pub(crate) const fn exact_epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// The bound of the queue in events.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.mailbox()
            .peek(|queue| queue.entries().capacity().get())
    }

    /// The bound of the queue in bytes, as set with
    /// [`queue_bytes`](crate::SubscribeBuilder::queue_bytes).
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.mailbox().peek(|queue| queue.entries().max_bytes())
    }

    /// Opens a [reserved](crate::RangeWatchBus::reserve) subscription, which is held then. Returns
    /// the position of the first emit that is matched against `selectors`.
    ///
    /// # Errors
    ///
    /// [`ControlError::AlreadyOpen`] if it is not reserved, [`ControlError::EmptyRange`] if a
    /// range selector holds no key, [`ControlError::Closed`] if the bus is closed.
    pub fn open(&mut self, selectors: impl Into<Selectors>) -> Result<Seq, ControlError> {
        if self.mailbox().phase() != Phase::Reserved {
            return Err(ControlError::AlreadyOpen);
        }
        let edited = self.edit(Edit::Replace, &selectors.into())?;
        self.epoch = edited.epoch;
        Ok(edited.seq)
    }

    /// Starts to deliver, first what it holds. Starting twice has no effect.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is reserved.
    pub fn start(&mut self) -> Result<(), ControlError> {
        self.registration.start(None)
    }

    /// As [`start`](Self::start), without the emits of values up to `value`: those that it holds,
    /// later ones, and those missed are neither delivered nor reported. A later call with a lower
    /// value has no effect.
    ///
    /// For a subscription that was held while a snapshot of revision `value` was read. The number
    /// of [missed](RecvError::Lagged) events is that of those above `value`; only if the values of
    /// the missed events form more than 64 runs of consecutive values may it include some below.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is reserved.
    pub fn start_after(&mut self, value: u64) -> Result<(), ControlError> {
        self.registration.start(Some(value))
    }

    /// Holds what matches until it is [started](Self::start) again: a receive waits. The queue may
    /// overflow meanwhile.
    ///
    /// The close of the bus ends a pause, and so does the end by
    /// [`Overflow::Disconnect`](crate::Overflow::Disconnect): what the queue holds is received,
    /// then the end. An ended subscription stays as it is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is reserved.
    pub fn pause(&mut self) -> Result<(), ControlError> {
        self.mailbox().pause()
    }

    /// Adds `selectors`. Returns the position of the first emit that is matched against them.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is reserved, [`ControlError::EmptyRange`] if a range
    /// selector holds no key, [`ControlError::Ended`] if it has ended by overflow or compaction,
    /// [`ControlError::Closed`] if the bus is closed. Nothing has changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{RangeWatchBus, Selector};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut sub = bus.subscribe("a".."c").events(16)?;
    /// let first = sub.add_selectors(Selector::key("x"))?;
    /// assert_eq!(bus.emit(1, ["x"])?.seq(), first);
    /// sub.remove_selectors("b".."c")?;
    /// assert_eq!(bus.emit(2, ["b"])?.matched(), 0);
    /// sub.set_selectors(Selector::all())?;
    /// assert_eq!(bus.emit(3, ["b"])?.matched(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_selectors(&mut self, selectors: impl Into<Selectors>) -> Result<Seq, ControlError> {
        self.edit_open(Edit::Add, &selectors.into())
    }

    /// Removes the keys that `selectors` select. Returns the position of the first emit that is
    /// matched without them. What matched before is still received.
    ///
    /// # Errors
    ///
    /// As [`add_selectors`](Self::add_selectors).
    pub fn remove_selectors(
        &mut self,
        selectors: impl Into<Selectors>,
    ) -> Result<Seq, ControlError> {
        self.edit_open(Edit::Remove, &selectors.into())
    }

    /// Replaces all selectors by `selectors`. Returns the position of the first emit that is
    /// matched against them. What matched before is still received.
    ///
    /// # Errors
    ///
    /// As [`add_selectors`](Self::add_selectors).
    pub fn set_selectors(&mut self, selectors: impl Into<Selectors>) -> Result<Seq, ControlError> {
        self.edit_open(Edit::Replace, &selectors.into())
    }

    /// The selectors of this subscription in normal form: disjoint, in ascending order, overlapping
    /// and adjacent ones merged, each in its simplest form.
    #[must_use]
    pub fn selectors(&self) -> Selectors {
        self.registration.selectors()
    }

    /// Counts what happened to the emits that matched.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.registration.stats()
    }

    /// Why the bus was closed: `Some` as soon as it is closed [with a
    /// reason](crate::RangeWatchBus::close_with), also while there is something left to receive.
    #[must_use]
    pub fn close_reason(&self) -> Option<Arc<str>> {
        self.registration.close_reason()
    }

    /// Ends the subscription, in any state: no later emit reaches it, and what it holds is freed.
    /// The same as dropping it.
    ///
    /// Not `async`, because there is nothing to wait for: no code of the consumer runs inside the
    /// bus.
    pub fn cancel(self) {
        drop(self);
    }

    fn edit_open(&mut self, edit: Edit, selectors: &Selectors) -> Result<Seq, ControlError> {
        self.mailbox().require_open()?;
        self.edit(edit, selectors).map(|edited| edited.seq)
    }

    fn edit(&mut self, edit: Edit, selectors: &Selectors) -> Result<Edited, ControlError> {
        let (ranges, edited) = self.registration.edit(edit, selectors)?;
        self.watched.replace(ranges, edited.seq, edited.unread);
        Ok(edited)
    }

    fn event(&mut self, emit: Record<P>) -> Event<P> {
        let seq = emit.seq();
        self.watched.forget_before(Some(seq));
        let watched = Arc::clone(self.watched.at(seq));
        Event::new(emit, watched)
    }

    /// Turns what was taken from the queue into an item; `None` if there is none to receive.
    #[inline]
    fn item(&mut self, taken: Taken<P>) -> Option<Result<Item<P>, RecvError>> {
        match taken {
            Taken::Event(emit) => Some(Ok(Item::Event(self.event(emit)))),
            taken => self.item_but_event(taken),
        }
    }

    /// Kept out of line: most of what is taken are events.
    #[inline(never)]
    fn item_but_event(&mut self, taken: Taken<P>) -> Option<Result<Item<P>, RecvError>> {
        let taken = match taken {
            Taken::Replay(next) => {
                let registration = &self.registration;
                let caught_up = registration.host().catch_up(
                    self.registration.mailbox(),
                    &self.watched,
                    next,
                    &mut self.chunk_size,
                );
                match caught_up {
                    CatchUp::Event(taken) => taken,
                    CatchUp::Again => return None,
                }
            }
            taken => taken,
        };
        Some(match taken {
            Taken::Event(emit) => Ok(Item::Event(self.event(emit))),
            Taken::Gap(gap) => Ok(Item::Gap(gap)),
            Taken::Progress(mark) => Ok(Item::Progress(mark)),
            Taken::Lagged(missed) => Err(RecvError::Lagged(missed)),
            Taken::End(End::Disconnected { resume }) => Err(RecvError::Disconnected { resume }),
            Taken::End(End::Compacted { floor, epoch }) => {
                Err(RecvError::Compacted { floor, epoch })
            }
            Taken::Replay(_) => return None,
        })
    }
}

/// Maps an item for `recv`: a gap becomes an error, a progress mark is skipped.
fn without_marks<P, E: From<RecvError>>(item: Result<Item<P>, E>) -> Option<Result<Event<P>, E>> {
    match item {
        Ok(Item::Event(event)) => Some(Ok(event)),
        Ok(Item::Gap(gap)) => Some(Err(RecvError::Coalesced(gap).into())),
        Ok(Item::Progress(_)) => None,
        Err(error) => Some(Err(error)),
    }
}

impl<P> fmt::Debug for EventSubscription<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSubscription")
            .field("selectors", &self.selectors())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
