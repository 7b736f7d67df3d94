//! Streams of the events, and of the items, of an event subscription.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::event_subscription::EventSubscription;
use crate::{Event, Item, RecvError};

/// The events, and gaps as errors. An end other than the close of the bus is the last item.
impl<P> Stream for EventSubscription<P> {
    type Item = Result<Event<P>, RecvError>;

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

impl<P> FusedStream for EventSubscription<P> {
    fn is_terminated(&self) -> bool {
        self.has_ended
    }
}

/// The items of an [`EventSubscription`] as a stream, progress marks included, from
/// [`EventSubscription::items`].
///
/// # Examples
///
/// ```
/// use futures::StreamExt;
/// use rangewatch_bus::{History, Item, RangeWatchBus};
///
/// # futures::executor::block_on(async {
/// let bus = RangeWatchBus::builder().history(History::events(100)).build()?;
/// let mut sub = bus.subscribe("a".."b").events(16)?;
/// bus.emit(7, ["a1"])?;
/// sub.request_progress()?;
/// let mut items = sub.items();
/// assert!(matches!(items.next().await, Some(Ok(Item::Event(_)))));
/// assert_eq!(items.next().await, Some(Ok(Item::Progress(7))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Items<'a, P = ()>(pub(super) &'a mut EventSubscription<P>);

impl<P> Stream for Items<'_, P> {
    type Item = Result<Item<P>, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_item(cx)
    }
}

impl<P> FusedStream for Items<'_, P> {
    fn is_terminated(&self) -> bool {
        self.0.has_ended
    }
}

impl<P> fmt::Debug for Items<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Items").field(&self.0).finish()
    }
}

/// The items of an [`EventSubscription`] as a stream that owns it, progress marks included, from
/// [`EventSubscription::into_items`].
///
/// # Examples
///
/// A stream for the body of a response, which outlives the function that makes it:
///
/// ```
/// use futures::{Stream, StreamExt};
/// use rangewatch_bus::{Item, RangeWatchBus, Selector, SubscribeError};
///
/// fn watch(bus: &RangeWatchBus) -> Result<impl Stream<Item = String> + use<>, SubscribeError> {
///     let jobs = bus.subscribe(Selector::prefix("job/")).events(256)?;
///     Ok(jobs.into_items().map(|item| match item {
///         Ok(Item::Event(event)) => format!("{} changed", event.value()),
///         Ok(_) => String::from("a mark"),
///         Err(gap_or_end) => gap_or_end.to_string(),
///     }))
/// }
///
/// # futures::executor::block_on(async {
/// let bus = RangeWatchBus::new();
/// let lines = watch(&bus)?;
/// bus.emit(7, ["job/1"])?;
/// bus.close();
/// assert_eq!(lines.collect::<Vec<_>>().await, ["7 changed"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct IntoItems<P = ()>(EventSubscription<P>);

impl<P> IntoItems<P> {
    pub(super) const fn new(sub: EventSubscription<P>) -> Self {
        Self(sub)
    }

    /// The subscription.
    pub const fn get_ref(&self) -> &EventSubscription<P> {
        &self.0
    }

    /// The subscription, to edit its selectors, to pause it or to request progress marks. What is
    /// received from it is not an item of the stream.
    pub const fn get_mut(&mut self) -> &mut EventSubscription<P> {
        &mut self.0
    }

    /// Returns the subscription. Nothing is lost: the stream buffers nothing.
    pub fn into_inner(self) -> EventSubscription<P> {
        self.0
    }
}

impl<P> Stream for IntoItems<P> {
    type Item = Result<Item<P>, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_item(cx)
    }
}

impl<P> FusedStream for IntoItems<P> {
    fn is_terminated(&self) -> bool {
        self.0.has_ended
    }
}

impl<P> fmt::Debug for IntoItems<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoItems").field(&self.0).finish()
    }
}

impl<P> EventSubscription<P> {
    fn poll_next_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item<P>, RecvError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_recv_item(cx));
        self.has_ended = item.as_ref().is_err_and(RecvError::is_end);
        Poll::Ready(match item {
            Err(RecvError::Closed) => None,
            item => Some(item),
        })
    }
}
