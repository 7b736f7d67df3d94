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
