//! The body of a watch response.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_core::Stream;
use rangewatch_bus::{EventSubscription, RecvError};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::encode::Encoder;
use crate::in_flight::{FRAME_BYTES, InFlight};
use crate::streams::{EndReason, OpenStream};

/// The items of an event subscription as the bytes of server-sent events, from
/// [`EventStreams::open`](crate::EventStreams::open). As a response it has the headers that a watch
/// needs.
///
/// Ends after an event that says why: see the [crate](crate#events). Its drop ends the
/// subscription.
///
/// # Memory
///
/// At most 8 KiB are in flight, handed out and not yet dropped by the HTTP server. While they are,
/// the stream takes nothing from the subscription, whose queue is bounded by its capacity and its
/// bytes. In between are at most 4 KiB and one event. A server that copies frames, as for TLS
/// without vectored writes, drops them at once, and buffers by its own bound.
///
/// # Errors
///
/// [`StalledError`] if the server drops no frame for the stall timeout. The server closes the
/// connection then.
pub struct EventStream<P = ()> {
    /// `None` after the end, so that its memory is free while the rest is written.
    subscription: Option<EventSubscription<P>>,
    encoder: Encoder<P>,
    in_flight: InFlight,
    /// Encoded, and not handed out yet.
    pending: Bytes,
    stall_timeout: Duration,
    stall: Option<Pin<Box<Sleep>>>,
    heartbeat: Duration,
    next_heartbeat: Option<Pin<Box<Sleep>>>,
    open: OpenStream,
    has_failed: bool,
}

/// The error of an [`EventStream`] whose client does not read.
///
/// # Examples
///
/// ```
/// let error = rangewatch_http::StalledError::default();
/// assert!(error.to_string().starts_with("the client does not read"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Error)]
#[error("the client does not read: the connection is closed, and it can resume after its last id")]
#[non_exhaustive]
pub struct StalledError;

impl<P> EventStream<P> {
    pub(crate) fn new(
        mut subscription: EventSubscription<P>,
        mut encoder: Encoder<P>,
        heartbeat: Duration,
        stall_timeout: Duration,
        open: OpenStream,
        mut preamble: Vec<u8>,
    ) -> Self {
        // A client has an id from the start, so that it misses nothing if it has to reconnect
        // before the first event.
        encoder.epoch = subscription.epoch();
        if matches!(subscription.request_progress(), Ok(None)) && subscription.position().is_none()
        {
            encoder.progress(&mut preamble, None);
        }
        Self {
            subscription: Some(subscription),
            encoder,
            in_flight: InFlight::default(),
            pending: preamble.into(),
            stall_timeout,
            stall: None,
            heartbeat,
            next_heartbeat: None,
            open,
            has_failed: false,
        }
    }

    /// A stream of nothing but `pending`.
    pub(crate) fn ended(
        encoder: Encoder<P>,
        stall_timeout: Duration,
        open: OpenStream,
        pending: Vec<u8>,
    ) -> Self {
        Self {
            subscription: None,
            encoder,
            in_flight: InFlight::default(),
            pending: pending.into(),
            stall_timeout,
            stall: None,
            heartbeat: Duration::MAX,
            next_heartbeat: None,
            open,
            has_failed: false,
        }
    }

    /// Encodes what the subscription has, up to the size of a frame.
    fn fill(&mut self, cx: &mut Context<'_>) {
        let Some(subscription) = &mut self.subscription else {
            return;
        };
        let mut out = Vec::new();
        if self.open.poll_shutdown(cx).is_ready() {
            self.encoder.shutdown(&mut out);
            self.subscription = None;
            self.pending = out.into();
            return;
        }
        if poll_interval(&mut self.next_heartbeat, self.heartbeat, cx).is_ready()
            && !matches!(subscription.request_progress(), Ok(Some(_)))
        {
            // There is no mark to send: a comment keeps the connection open.
            out.extend_from_slice(b":\n\n");
        }
        while out.len() < FRAME_BYTES {
            match subscription.poll_recv_item(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(item)) => self.encoder.item(&mut out, &item),
                Poll::Ready(Err(RecvError::Closed)) => {
                    let reason = subscription.close_reason();
                    self.encoder.closed(&mut out, reason.as_deref());
                    self.subscription = None;
                    break;
                }
                Poll::Ready(Err(error)) => {
                    self.encoder.error(&mut out, error);
                    if error.is_end() {
                        if matches!(error, RecvError::Compacted { .. }) {
                            self.open.count(EndReason::Compacted);
                        }
                        self.subscription = None;
                        break;
                    }
                }
            }
        }
        // Exactly as large as what it holds, because it is held for as long as a client does not
        // read.
        self.pending = out.into_boxed_slice().into();
    }

    /// Ready when no frame was written for the stall timeout.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(since) = self.in_flight.stalled_since() else {
                self.stall = None;
                return Poll::Pending;
            };
            let Some(deadline) = since.checked_add(self.stall_timeout) else {
                return Poll::Pending;
            };
            if let Some(sleep) = &mut self.stall {
                // The deadline has moved if frames were written since the timer was set. It is set
                // again when it is ready, not for each frame.
                if sleep.deadline() <= deadline {
                    ready!(sleep.as_mut().poll(cx));
                }
                if deadline <= Instant::now() {
                    return Poll::Ready(());
                }
                sleep.as_mut().reset(deadline);
            } else {
                self.stall = Some(Box::pin(sleep_until(deadline)));
            }
        }
    }
}

impl<P> Stream for EventStream<P> {
    type Item = Result<Bytes, StalledError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_failed {
            return Poll::Ready(None);
        }
        if this.in_flight.has_room(cx.waker()) {
            if this.pending.is_empty() {
                this.fill(cx);
            }
            if !this.pending.is_empty() {
                let n_bytes = this.pending.len().min(FRAME_BYTES);
                let frame = this.in_flight.frame(this.pending.split_to(n_bytes));
                return Poll::Ready(Some(Ok(frame)));
            }
            // The end is returned when everything is written, so that a client that does not read
            // cannot keep the connection open.
            if this.subscription.is_none() && this.in_flight.is_empty(cx.waker()) {
                return Poll::Ready(None);
            }
        }
        ready!(this.poll_stall(cx));
        this.open.count(EndReason::Stalled);
        this.has_failed = true;
        this.subscription = None;
        this.pending = Bytes::new();
        Poll::Ready(Some(Err(StalledError)))
    }
}

impl<P: 'static> IntoResponse for EventStream<P>
where
    Self: Send,
{
    fn into_response(self) -> Response {
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream"),
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            // nginx would collect the events in a buffer.
            (
                header::HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            ),
        ];
        (headers, Body::from_stream(self)).into_response()
    }
}

impl<P> fmt::Debug for EventStream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("subscription", &self.subscription)
            .field("n_pending_bytes", &self.pending.len())
            .finish_non_exhaustive()
    }
}

/// Ready when `interval` has passed since it was ready. The first interval is up to a half shorter,
/// so that streams that were opened together do not have their heartbeats together.
fn poll_interval(
    next: &mut Option<Pin<Box<Sleep>>>,
    interval: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let sleep = match next {
        Some(sleep) => sleep,
        None => {
            let share = (RandomState::new().hash_one(()) % 1000) as f64 / 2000.0;
            let Some(deadline) = Instant::now().checked_add(interval - interval.mul_f64(share))
            else {
                return Poll::Pending;
            };
            next.insert(Box::pin(sleep_until(deadline)))
        }
    };
    ready!(sleep.as_mut().poll(cx));
    // Once per poll, also if the interval is zero.
    if let Some(deadline) = Instant::now().checked_add(interval) {
        sleep.as_mut().reset(deadline);
        if sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
    Poll::Ready(())
}
