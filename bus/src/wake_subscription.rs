//! The subscription that says "something you watch changed".

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::mailbox::Mailbox;
use crate::registration::Registration;
use crate::span::SpanBuffer;
use crate::{Closed, Selectors, Span, TryWakeError};

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
    mailbox: Arc<Mailbox<SpanBuffer>>,
    registration: Registration,
}

impl WakeSubscription {
    pub(crate) const fn new(mailbox: Arc<Mailbox<SpanBuffer>>, registration: Registration) -> Self {
        Self {
            mailbox,
            registration,
        }
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
    /// [`TryWakeError::Empty`] if nothing matched since the last receive, [`TryWakeError::Closed`]
    /// if nothing ever will.
    pub fn try_recv(&mut self) -> Result<Span, TryWakeError> {
        match self.mailbox.try_take() {
            Poll::Ready(Some(span)) => Ok(span),
            Poll::Ready(None) => Err(TryWakeError::Closed),
            Poll::Pending => Err(TryWakeError::Empty),
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
        Poll::Ready(ready!(self.mailbox.poll_take(cx)).ok_or(Closed))
    }

    /// What this subscription watches: the selectors that it was given, in normal form.
    ///
    /// Overlapping and touching selectors are merged; what remains is disjoint, in ascending order
    /// and put in the plainest form.
    #[must_use]
    pub fn selectors(&self) -> Selectors {
        self.registration.selectors()
    }

    /// Ends the subscription: no later emit reaches it, and what it held is gone and its memory
    /// free.
    ///
    /// The same as dropping it, for code that wants to say so. There is nothing to wait for, hence
    /// no `async`: no code of the consumer runs inside the bus.
    pub fn cancel(self) {
        drop(self);
    }
}

impl Stream for WakeSubscription {
    type Item = Span;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Span>> {
        self.mailbox.poll_take(cx)
    }
}

impl fmt::Debug for WakeSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeSubscription")
            .field("selectors", &self.selectors())
            .finish_non_exhaustive()
    }
}
