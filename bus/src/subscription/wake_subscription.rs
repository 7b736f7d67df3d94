//! Wake subscriptions: "something you watch changed".

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::registration::{Edit, Registration};
use crate::subscription::{MailboxArc, Phase, WakeBuffer};
use crate::{Closed, ControlError, Selectors, Seq, Span, Stats, TryWakeError};

/// Receives one [`Span`] for all matching emits since the last receive: "something you watch
/// changed".
///
/// Made by [`SubscribeBuilder::wake`](crate::SubscribeBuilder::wake). Its memory is constant: it
/// cannot overflow, loses nothing and never slows an emitter. The span has both the first value of
/// a burst, from which to rescan, and the latest. To receive from many of them, put them into a
/// [`WatchSet`](crate::WatchSet).
///
/// When an emit that matches has returned, the subscription holds or has delivered a span that
/// covers it, and a waiting receive was woken.
///
/// # Consumer
///
/// A subscription has one consumer: only the waker of the latest pending receive is woken, once.
/// The waker is kept until an emit or the close wakes it or the subscription is dropped, also when
/// the future that registered it was dropped before. Any executor works.
///
/// # Start
///
/// A subscription may begin with a value of the past or the future
/// ([`since`](crate::SubscribeBuilder::since)), [reserved](crate::RangeWatchBus::reserve) or
/// [held](crate::SubscribeBuilder::hold). What matches before it is [started](Self::start) is then
/// received as one span.
///
/// # End
///
/// After the bus is [closed](crate::RangeWatchBus::close), the last span is received and then
/// [`Closed`]; the stream ends. The consumer ends a subscription by dropping it or with
/// [`cancel`](Self::cancel).
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, TryWakeError};
///
/// let bus = RangeWatchBus::new();
/// let mut low = bus.subscribe("a".."m").wake()?;
/// for (value, key) in [(10, "a"), (11, "x"), (12, "b"), (13, "c")] {
///     bus.emit(value, [key])?;
/// }
///
/// let span = low.try_recv()?;
/// assert_eq!((span.first(), span.last(), span.count()), (10, 13, 3));
/// assert_eq!(low.try_recv(), Err(TryWakeError::Empty));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WakeSubscription {
    registration: Registration<WakeBuffer>,
}

impl WakeSubscription {
    pub(crate) const fn new(registration: Registration<WakeBuffer>) -> Self {
        Self { registration }
    }

    pub(crate) const fn mailbox(&self) -> &MailboxArc<WakeBuffer> {
        self.registration.mailbox()
    }

    /// Receives the span of all matching emits since the last receive; waits if there are none.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the bus is closed and the last span has been received.
    ///
    /// # Cancel safety
    ///
    /// Yes. A span leaves the subscription only as the result of this function; if the future is
    /// dropped before, nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use rangewatch_bus::{Closed, RangeWatchBus, Selector};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut jobs = bus.subscribe(Selector::prefix("job/")).wake()?;
    /// bus.emit(1, ["job/7"])?;
    /// bus.close();
    /// assert_eq!(jobs.recv().await?.last(), 1);
    /// assert_eq!(jobs.recv().await, Err(Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn recv(&mut self) -> Result<Span, Closed> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Receives the span of all matching emits since the last receive, without waiting.
    ///
    /// # Errors
    ///
    /// [`TryWakeError::Empty`] if nothing matched since the last receive,
    /// [`TryWakeError::NotStarted`] if it is not [started](Self::start), [`TryWakeError::Closed`]
    /// if the bus is closed and the last span was received.
    pub fn try_recv(&mut self) -> Result<Span, TryWakeError> {
        match self.mailbox().try_take() {
            Poll::Ready(Some(span)) => Ok(span),
            Poll::Ready(None) => Err(TryWakeError::Closed),
            Poll::Pending => Err(match self.mailbox().phase() {
                Phase::Started => TryWakeError::Empty,
                Phase::Reserved | Phase::Held => TryWakeError::NotStarted,
            }),
        }
    }

    /// The poll function of [`recv`](Self::recv).
    ///
    /// On `Pending`, the waker of `cx` is registered in place of that of an earlier call, and woken
    /// by the next matching emit or by the close. A call with the same waker as before does not
    /// clone it.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the bus is closed and the last span has been received.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Span, Closed>> {
        Poll::Ready(ready!(self.mailbox().poll_take(cx)).ok_or(Closed))
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
        self.edit(Edit::Replace, &selectors.into())
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
    /// For a subscription that was held while a snapshot of revision `value` was read. A span from
    /// below to above `value` is cut and [conservative](Span::is_conservative), because it does not
    /// know the values in between. Meant for values that increase.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is reserved.
    pub fn start_after(&mut self, value: u64) -> Result<(), ControlError> {
        self.registration.start(Some(value))
    }

    /// Holds what matches until it is [started](Self::start) again: a receive waits.
    ///
    /// The close of the bus ends a pause: the span is received, then the end.
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
    /// selector holds no key, [`ControlError::Closed`] if the bus is closed. Nothing has changed
    /// then.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{RangeWatchBus, Selector};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut sub = bus.subscribe("a".."c").wake()?;
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

    /// The [count](Span::count) of the next span, at least 1; 0 if there is no span to receive.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.mailbox().peek(|buffer| buffer.span.lag())
    }

    /// The value up to which everything that matches was received: the last of the last span, or
    /// the value before the first that the subscription began with. A new subscription resumes
    /// [after](crate::SubscribeBuilder::since_after) it.
    ///
    /// `None` if nothing was received yet and the subscription did not begin at a value: on a bus
    /// without history, or before its first emit, where a new subscription resumes since 0.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.mailbox().peek(WakeBuffer::position)
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

    fn edit_open(&self, edit: Edit, selectors: &Selectors) -> Result<Seq, ControlError> {
        self.mailbox().require_open()?;
        self.edit(edit, selectors)
    }

    fn edit(&self, edit: Edit, selectors: &Selectors) -> Result<Seq, ControlError> {
        let (_, edited) = self.registration.edit(edit, selectors)?;
        Ok(edited.seq)
    }
}

impl Stream for WakeSubscription {
    type Item = Span;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Span>> {
        self.mailbox().poll_take(cx)
    }
}

impl FusedStream for WakeSubscription {
    fn is_terminated(&self) -> bool {
        self.mailbox().has_closed(|buffer| buffer.span.is_empty())
    }
}

impl fmt::Debug for WakeSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeSubscription")
            .field("selectors", &self.selectors())
            .finish_non_exhaustive()
    }
}
