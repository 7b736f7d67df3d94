//! The subscription that receives every event.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::progress::Interval;
use super::registration::{Edit, Registration};
use crate::history::{CatchUp, ChunkSize};
use crate::order::Edited;
use crate::queue::{End, EventQueue, Taken};
use crate::subscription::{Mailbox, Phase, RangeVersions};
use crate::{
    ControlError, Event, Item, ProgressError, RecvError, Selectors, Seq, Stats, TryRecvError,
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
/// The queue is bounded in events and in bytes, and an emit never waits for it. What happens to a matching
/// emit that finds it full was [chosen](crate::Overflow) when subscribing. Errors of a receive report gaps, after
/// which the events go on, and ends; [`RecvError::is_end`] tells which.
///
/// # History
///
/// On a bus with history, a subscription that begins in the past or that was parked reads from the history in
/// its receives, in pieces, until it has caught up: every receive that reads returns at least one event, if there
/// is one. [`lag`](Self::lag) says how far behind it is, [`position`](Self::position) where to
/// resume.
///
/// # Consumer
///
/// There is one consumer at a time, whichever way it receives: only the waker of the latest pending
/// receive is woken, and once per wait. It is kept until an emit or the close wakes it or the
/// subscription is dropped, also when the future that registered it is dropped before. No executor
/// is needed: any that polls futures will do, and [`poll_recv`](Self::poll_recv) by hand.
///
/// # End
///
/// After the bus is [closed](crate::RangeWatchBus::close), everything still in the queue is
/// received, then [`RecvError::Closed`]; the stream ends. Dropping the subscription, or
/// [`cancel`](Self::cancel), ends it from this side.
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
pub struct EventSubscription {
    registration: Registration<EventQueue>,
    watched: RangeVersions,
    interval: Option<Box<Interval>>,
    chunk_size: ChunkSize,
    /// Whether the stream has given the error that is its end.
    has_ended: bool,
}

impl EventSubscription {
    pub(crate) fn new(
        registration: Registration<EventQueue>,
        watched: RangeVersions,
        interval: Option<Box<Interval>>,
    ) -> Self {
        let capacity = registration
            .mailbox()
            .peek(|queue| queue.entries().capacity());
        Self {
            registration,
            watched,
            interval,
            chunk_size: ChunkSize::new(capacity.get()),
            has_ended: false,
        }
    }

    pub(crate) const fn mailbox(&self) -> &Arc<Mailbox<EventQueue>> {
        self.registration.mailbox()
    }

    /// Receives the next event, waiting for one if there is none. Progress marks are passed over. Of a subscription
    /// that is not [started](Self::start) it waits for the start, which is the caller's own, or for the end.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] and [`RecvError::Coalesced`] report a gap; what follows it is next.
    /// [`RecvError::Disconnected`], [`RecvError::Compacted`] and [`RecvError::Closed`] are the end.
    ///
    /// # Cancel safety
    ///
    /// Yes. An event, or the report that events were missed, leaves the subscription only as the
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
    pub async fn recv(&mut self) -> Result<Event, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Receives the next item, an event, a gap or a progress mark, waiting for one if there is none.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), but a gap that was coalesced is an [`Item::Gap`].
    ///
    /// # Cancel safety
    ///
    /// Yes, as [`recv`](Self::recv).
    pub async fn recv_item(&mut self) -> Result<Item, RecvError> {
        poll_fn(|cx| self.poll_recv_item(cx)).await
    }

    /// The items as a stream: events, gaps and progress marks, and the error that is the end, unless it is the close
    /// of the bus.
    pub const fn items(&mut self) -> Items<'_> {
        Items(self)
    }

    /// Receives the next event without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is none for now, [`TryRecvError::CatchingUp`] if there was none in
    /// the part of the history that this call has read, [`TryRecvError::NotStarted`] if there will be none before it is
    /// [started](Self::start), the others as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
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
    pub fn try_recv_item(&mut self) -> Result<Item, TryRecvError> {
        for _ in 0..MAX_PIECES_PER_POLL {
            let taken = match self.mailbox().try_take() {
                Poll::Ready(Some(taken)) => taken,
                Poll::Ready(None) => return Err(TryRecvError::Closed),
                Poll::Pending => {
                    #[cfg(feature = "tracing")]
                    super::slow::report_recovery(self.mailbox());
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

    /// [`recv`](Self::recv) for those who poll by hand.
    ///
    /// On `Pending`, the waker of `cx` is woken by the next matching emit or by the close, in place
    /// of the waker of any earlier call. A call with the same waker as before does not clone it
    /// again. While much of the history is read that does not match, `Pending` may be answered with the waker
    /// already woken.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, RecvError>> {
        self.poll_interval(cx);
        loop {
            if let Some(event) = without_marks(ready!(self.poll_item(cx))) {
                return Poll::Ready(event);
            }
        }
    }

    /// [`recv_item`](Self::recv_item) for those who poll by hand, as [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    ///
    /// As [`recv_item`](Self::recv_item).
    pub fn poll_recv_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, RecvError>> {
        self.poll_interval(cx);
        self.poll_item(cx)
    }

    /// Asks for a mark if one is due. Once per poll: a timer that is always ready must not keep the poll
    /// from ending.
    fn poll_interval(&mut self, cx: &mut Context<'_>) {
        let is_due = |interval: &mut Box<Interval>| interval.poll_due(cx).is_ready();
        if self.interval.as_mut().is_some_and(is_due) {
            let registration = &self.registration;
            // Who polls looks at once: nobody is to be woken.
            drop(registration.shared().mark(self.mailbox()));
        }
    }

    fn poll_item(&mut self, cx: &Context<'_>) -> Poll<Result<Item, RecvError>> {
        for _ in 0..MAX_PIECES_PER_POLL {
            let taken = match self.mailbox().poll_take(cx) {
                Poll::Ready(Some(taken)) => taken,
                Poll::Ready(None) => return Poll::Ready(Err(RecvError::Closed)),
                Poll::Pending => {
                    #[cfg(feature = "tracing")]
                    super::slow::report_recovery(self.mailbox());
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

    /// Asks for a [progress mark](Item::Progress), which comes after everything that matched before this call.
    /// Returns the value that it will have at least; `None`, and no mark comes, if nothing was emitted yet, the
    /// subscription begins above the head or has ended, or the bus is closed.
    ///
    /// Marks are received with [`recv_item`](Self::recv_item). While the subscription reads from the history, the
    /// mark comes once it has caught up. Of marks that are asked for and not received only a few are kept, the
    /// latest among them.
    ///
    /// # Errors
    ///
    /// [`ProgressError::NoHistory`] if the bus has no history: its values promise nothing about later ones.
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
        let shared = self.registration.shared();
        if shared.bounds().is_none() {
            return Err(ProgressError::NoHistory);
        }
        let Some((head, waker)) = shared.mark(self.mailbox()) else {
            return Ok(None);
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(Some(head))
    }

    /// The number of events and gaps in the queue, at most the [`capacity`](Self::capacity). What waits in the
    /// history is not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mailbox().peek(|queue| queue.entries().len())
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the events in the queue count for in bytes, at most [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.mailbox().peek(|queue| queue.entries().n_bytes())
    }

    /// How many emits the subscription is behind: those that it has yet to receive or to hear of and, while it reads
    /// from the history, those that it has yet to look at or that the history has lost. It is 0 if and only if the
    /// subscription does not read from the history and holds no emit, whether it is started or not; marks and the end
    /// do not count.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.registration.shared().lag(self.mailbox())
    }

    /// The value up to which everything that matches was received or reported as missed: the last that was received, a
    /// mark's included, or what the subscription began after. A new subscription resumes with one more.
    ///
    /// `None` if nothing was received yet and the subscription did not begin at a value: on a bus without
    /// history, or before its first emit.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.mailbox().peek(EventQueue::position)
    }

    /// The greatest number of events that the queue holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.mailbox()
            .peek(|queue| queue.entries().capacity().get())
    }

    /// The greatest number of bytes that the events in the queue count for, as
    /// [`queue_bytes`](crate::SubscribeBuilder::queue_bytes) set it.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.mailbox().peek(|queue| queue.entries().max_bytes())
    }

    /// Opens a [reserved](crate::RangeWatchBus::reserve) subscription: it gathers what `selectors` select from the emit
    /// on whose position is returned, and delivers once it is [started](Self::start).
    ///
    /// # Errors
    ///
    /// [`ControlError::AlreadyOpen`] if it was opened before or never reserved, [`ControlError::EmptyRange`] if a
    /// range selector holds no key, [`ControlError::Closed`] if the bus is closed.
    pub fn open(&mut self, selectors: impl Into<Selectors>) -> Result<Seq, ControlError> {
        if self.mailbox().phase() != Phase::Reserved {
            return Err(ControlError::AlreadyOpen);
        }
        let edited = self.edit(Edit::Replace, &selectors.into())?;
        self.mailbox().with(|queue| queue.begin_after(edited.head));
        self.mailbox().open();
        Ok(edited.seq)
    }

    /// Delivers from now on, beginning with what was gathered. Starting twice does nothing.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is only reserved.
    pub fn start(&mut self) -> Result<(), ControlError> {
        self.registration.start(None)
    }

    /// As [`start`](Self::start), without the emits of values up to `value`, neither those gathered nor later ones, nor a
    /// report that such were missed. For good: a later call with a lower value does not bring them back.
    ///
    /// For a subscription that was held while a snapshot of revision `value` was read: what the snapshot has is
    /// not received.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is only reserved.
    pub fn start_after(&mut self, value: u64) -> Result<(), ControlError> {
        self.registration.start(Some(value))
    }

    /// Gathers and does not deliver, until it is [started](Self::start) again: a receive waits. The queue may
    /// overflow meanwhile, as that of a slow consumer.
    ///
    /// The close of the bus ends a pause, and so does an end by overflow: what was gathered is received, then the end. Of
    /// a subscription that has ended this changes nothing.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is only reserved.
    pub fn pause(&mut self) -> Result<(), ControlError> {
        self.mailbox().pause()
    }

    /// Watches what `selectors` select, too, from the emit on whose position is returned.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is only reserved, [`ControlError::EmptyRange`] if a range selector holds no
    /// key, [`ControlError::Ended`] if it has ended by overflow, [`ControlError::Closed`] if the bus is closed. Nothing
    /// has changed then.
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

    /// Watches no longer what `selectors` select, from the emit on whose position is returned. What was gathered
    /// before is still received.
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

    /// Watches what `selectors` select and nothing else, from the emit on whose position is returned. What was
    /// gathered before is still received.
    ///
    /// # Errors
    ///
    /// As [`add_selectors`](Self::add_selectors).
    pub fn set_selectors(&mut self, selectors: impl Into<Selectors>) -> Result<Seq, ControlError> {
        self.edit_open(Edit::Replace, &selectors.into())
    }

    /// What this subscription watches: its selectors, in normal form.
    ///
    /// Overlapping and touching selectors are merged; what remains is disjoint, in ascending order
    /// and put in the plainest form.
    #[must_use]
    pub fn selectors(&self) -> Selectors {
        self.registration.selectors()
    }

    /// What became of the emits that matched.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.registration.stats()
    }

    /// Ends the subscription, in any state: no later emit reaches it, and what it held is gone and its memory
    /// free.
    ///
    /// The same as dropping it, for code that wants to say so. There is nothing to wait for, hence
    /// no `async`: no code of the consumer runs inside the bus.
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

    /// What was taken, for the consumer; `None` if it was nothing to receive.
    fn item(&mut self, taken: Taken) -> Option<Result<Item, RecvError>> {
        let taken = match taken {
            Taken::Replay(next) => {
                let registration = &self.registration;
                let caught_up = registration.shared().catch_up(
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
            Taken::Event(emit) => {
                let seq = emit.seq();
                self.watched.forget_before(Some(seq));
                let watched = Arc::clone(self.watched.at(seq));
                Ok(Item::Event(Event::new(emit, watched)))
            }
            Taken::Gap(gap) => Ok(Item::Gap(gap)),
            Taken::Progress(mark) => Ok(Item::Progress(mark)),
            Taken::Lagged(missed) => Err(RecvError::Lagged(missed)),
            Taken::End(End::Disconnected { resume }) => Err(RecvError::Disconnected { resume }),
            Taken::End(End::Compacted { floor }) => Err(RecvError::Compacted { floor }),
            Taken::Replay(_) => return None,
        })
    }
}

/// An item as those see it who receive events only: a gap is an error, a mark is nothing.
fn without_marks<E: From<RecvError>>(item: Result<Item, E>) -> Option<Result<Event, E>> {
    match item {
        Ok(Item::Event(event)) => Some(Ok(event)),
        Ok(Item::Gap(gap)) => Some(Err(RecvError::Coalesced(gap).into())),
        Ok(Item::Progress(_)) => None,
        Err(error) => Some(Err(error)),
    }
}

/// The events, gaps as errors in between, and the error that is the end, unless it is the close of the
/// bus.
impl Stream for EventSubscription {
    type Item = Result<Event, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let event = ready!(self.poll_recv(cx));
        self.has_ended = event.as_ref().is_err_and(RecvError::is_end);
        Poll::Ready(match event {
            Err(RecvError::Closed) => None,
            event => Some(event),
        })
    }
}

impl FusedStream for EventSubscription {
    fn is_terminated(&self) -> bool {
        self.has_ended
    }
}

/// The items of an [`EventSubscription`] as a stream, progress marks included, from
/// [`EventSubscription::items`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Items<'a>(&'a mut EventSubscription);

impl Stream for Items<'_> {
    type Item = Result<Item, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.0.has_ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.0.poll_recv_item(cx));
        self.0.has_ended = item.as_ref().is_err_and(RecvError::is_end);
        Poll::Ready(match item {
            Err(RecvError::Closed) => None,
            item => Some(item),
        })
    }
}

impl FusedStream for Items<'_> {
    fn is_terminated(&self) -> bool {
        self.0.has_ended
    }
}

impl fmt::Debug for EventSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSubscription")
            .field("selectors", &self.selectors())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
