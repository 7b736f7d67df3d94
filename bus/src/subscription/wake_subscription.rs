//! The subscription that says "something you watch changed".

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::registration::{Edit, Registration};
use crate::order::Edited;
use crate::subscription::{Mailbox, Phase, WakeBuffer};
use crate::{Closed, ControlError, Selectors, Seq, Span, Stats, TryWakeError};

/// Receives one [`Span`] for all the matching emits since the last receive: "something you watch
/// changed".
///
/// Made by [`SubscribeBuilder::wake`](crate::SubscribeBuilder::wake). Its memory is constant for
/// ever: it cannot overflow, loses nothing and never slows an emitter. The span gives both the
/// first value of a burst, from which to rescan, and the latest.
///
/// When an emit that matches has returned, the subscription holds or has delivered a span that
/// covers it, and a waiting receive has been woken.
///
/// # Consumer
///
/// There is one consumer at a time, whichever way it receives: only the waker of the latest pending
/// receive is woken, and once per wait. It is kept until an emit or the close wakes it or the
/// subscription is dropped, also when the future that registered it is dropped before. No executor
/// is needed: any that polls futures will do, and [`poll_recv`](Self::poll_recv) by hand.
///
/// # Begin
///
/// A subscription may begin with a value of the past or the future
/// ([`since`](crate::SubscribeBuilder::since)), [reserved](crate::RangeWatchBus::reserve) or
/// [held](crate::SubscribeBuilder::hold). What matched before it was [started](Self::start) is received as
/// one span then.
///
/// # End
///
/// After the bus is [closed](crate::RangeWatchBus::close), the last span is received and then
/// [`Closed`]; the stream ends. Dropping the subscription, or [`cancel`](Self::cancel), ends it
/// from this side.
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

    pub(crate) const fn mailbox(&self) -> &Arc<Mailbox<WakeBuffer>> {
        self.registration.mailbox()
    }

    /// Receives the span of all matching emits since the last receive, waiting for one if there was
    /// none.
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
    /// [`TryWakeError::Empty`] if nothing matched since the last receive, [`TryWakeError::NotStarted`] if there will be no
    /// span before it is [started](Self::start), [`TryWakeError::Closed`]
    /// if nothing ever will.
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

    /// [`recv`](Self::recv) for those who poll by hand.
    ///
    /// On `Pending`, the waker of `cx` is woken by the next matching emit or by the close, in place
    /// of the waker of any earlier call. A call with the same waker as before does not clone it
    /// again.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the bus is closed and the last span has been received.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Span, Closed>> {
        Poll::Ready(ready!(self.mailbox().poll_take(cx)).ok_or(Closed))
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
        self.mailbox()
            .with(|buffer| buffer.position = buffer.position.max(edited.head));
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
    /// For a subscription that was held while a snapshot of revision `value` was read. A span that begins below and
    /// ends above is cut and [conservative](Span::is_conservative): it cannot tell which of its emits were
    /// which. Meant for values that rise.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotOpen`] if it is only reserved.
    pub fn start_after(&mut self, value: u64) -> Result<(), ControlError> {
        self.registration.start(Some(value))
    }

    /// Gathers and does not deliver, until it is [started](Self::start) again: a receive waits.
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

    /// The number of emits that the next span will count, but 1 for a [conservative](Span::is_conservative) one that
    /// counts none; 0 if there is no span to receive.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.mailbox().peek(|buffer| buffer.span.lag())
    }

    /// The value up to which everything that matches was received: the last of the last span, or what the
    /// subscription began after. A new subscription resumes with one more.
    ///
    /// `None` if nothing was received yet and the subscription did not begin at a value.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.mailbox().peek(|buffer| buffer.position)
    }

    /// Ends the subscription, in any state: no later emit reaches it, and what it held is gone and its memory
    /// free.
    ///
    /// The same as dropping it, for code that wants to say so. There is nothing to wait for, hence
    /// no `async`: no code of the consumer runs inside the bus.
    pub fn cancel(self) {
        drop(self);
    }

    fn edit_open(&self, edit: Edit, selectors: &Selectors) -> Result<Seq, ControlError> {
        self.mailbox().require_open()?;
        self.edit(edit, selectors).map(|edited| edited.seq)
    }

    fn edit(&self, edit: Edit, selectors: &Selectors) -> Result<Edited, ControlError> {
        let (_, edited) = self.registration.edit(edit, selectors)?;
        Ok(edited)
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
