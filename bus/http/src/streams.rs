//! The open streams of a service: their settings, their limit, their shutdown.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rangewatch_bus::{EventSubscription, SubscribeError};
use thiserror::Error;
use tokio::sync::watch;

use crate::encode::Encoder;
use crate::event_stream::EventStream;
use crate::payload::{PayloadWriter, Payloads};

/// Opens streams of server-sent events, counts and limits them, and ends them at a shutdown.
///
/// Clones share their streams. Several routes, of buses with payloads of one type, may use one.
///
/// # Examples
///
/// A route of the service's own, in place of a [`WatchRoute`](crate::WatchRoute):
///
/// ```
/// use axum::extract::State;
/// use axum::http::HeaderMap;
/// use axum::response::{IntoResponse, Response};
/// use axum::{Router, routing};
/// use rangewatch_bus::{History, RangeWatchBus, Selector};
/// use rangewatch_http::{EventStreams, Resume, resume_since};
///
/// #[derive(Clone)]
/// struct Service { bus: RangeWatchBus, streams: EventStreams }
///
/// async fn orders(State(service): State<Service>, headers: HeaderMap) -> Response {
///     let resume = match resume_since(&headers) {
///         Ok(resume) => resume,
///         Err(refused) => return refused.into_response(),
///     };
///     let orders = service.bus.subscribe(Selector::prefix("order/"));
///     let orders = orders.since(resume.map(Resume::since)).epoch(resume.map(Resume::epoch));
///     service.streams.respond(orders.queue_bytes(256 << 10).events(256))
/// }
///
/// let bus = RangeWatchBus::builder().history(History::events(10_000)).build()?;
/// let streams = EventStreams::builder().max_streams(5_000).build();
/// let app: Router = Router::new()
///     .route("/orders", routing::get(orders))
///     .with_state(Service { bus, streams });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventStreams<P = ()> {
    settings: Settings<P>,
    shared: Arc<Shared>,
}

/// Builds [`EventStreams`], from [`EventStreams::builder`].
///
/// The defaults: [1,000 streams](EventStreams::DEFAULT_STREAMS), a heartbeat [every 15
/// s](EventStreams::DEFAULT_HEARTBEAT), a stall timeout of [30
/// s](EventStreams::DEFAULT_STALL_TIMEOUT), and clients reconnect after [3
/// s](EventStreams::DEFAULT_RETRY).
#[must_use = "nothing is made until `build` is called"]
pub struct EventStreamsBuilder<P = ()> {
    settings: Settings<P>,
    max_streams: usize,
}

/// Counts the streams of [`EventStreams`], from [`EventStreams::stats`].
///
/// # Examples
///
/// ```
/// use rangewatch_http::EventStreams;
///
/// let streams = EventStreams::builder().build();
/// assert_eq!((streams.stats().n_open(), streams.stats().n_stalled()), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    open: usize,
    opened: u64,
    refused: u64,
    compacted: u64,
    stalled: u64,
}

/// Why no stream was opened: as many are open as may be.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_http::{EventStreams, TooManyStreamsError};
///
/// let bus = RangeWatchBus::new();
/// let streams = EventStreams::builder().max_streams(1).build();
/// let first = streams.open(bus.subscribe(..).events(8)?)?;
/// let second = streams.open(bus.subscribe(..).events(8)?);
/// assert!(matches!(second, Err(TooManyStreamsError { .. })));
/// drop(first);
/// assert!(streams.open(bus.subscribe(..).events(8)?).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{max} streams are open, which is the limit: try again later")]
#[non_exhaustive]
pub struct TooManyStreamsError {
    /// The greatest number of open streams.
    pub max: usize,
}

struct Settings<P> {
    payloads: Payloads<P>,
    heartbeat: Duration,
    stall_timeout: Duration,
    retry: Duration,
}

struct Shared {
    max: usize,
    n_open: AtomicUsize,
    n_opened: AtomicU64,
    n_refused: AtomicU64,
    n_compacted: AtomicU64,
    n_stalled: AtomicU64,
    shutdown: watch::Sender<bool>,
}

/// Why a stream has ended, as far as it is counted.
#[derive(Clone, Copy)]
pub(crate) enum EndReason {
    Compacted,
    Stalled,
}

/// One of the open streams. Its drop makes room for another.
pub(crate) struct OpenStream {
    shared: Arc<Shared>,
    shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl EventStreams {
    /// The default limit of open streams: 1,000.
    ///
    /// Prevents that clients take all memory by opening streams that they do not read. Each costs
    /// up to its queue, 64 KiB and the buffers of its socket.
    pub const DEFAULT_STREAMS: usize = 1_000;

    /// The default interval of heartbeats: 15 s.
    ///
    /// Prevents that a proxy closes an idle stream; usual proxies wait for 60 s.
    pub const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);

    /// The default stall timeout: 30 s.
    ///
    /// Prevents that a client that does not read, or that disappeared, holds its stream. A client
    /// that takes less than 4 KiB in this time while more is waiting is disconnected.
    pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(30);

    /// The default time after which a client reconnects: 3 s.
    ///
    /// Prevents that clients whose stream ends at once reconnect without a pause.
    pub const DEFAULT_RETRY: Duration = Duration::from_secs(3);

    /// Starts to build the streams of a bus without payloads.
    /// [`payloads`](EventStreamsBuilder::payloads) changes the type.
    pub fn builder() -> EventStreamsBuilder {
        EventStreamsBuilder {
            settings: Settings {
                payloads: None,
                heartbeat: Self::DEFAULT_HEARTBEAT,
                stall_timeout: Self::DEFAULT_STALL_TIMEOUT,
                retry: Self::DEFAULT_RETRY,
            },
            max_streams: Self::DEFAULT_STREAMS,
        }
    }
}

impl EventStreamsBuilder {
    /// Writes the payload of each key with `write`, as JSON, into the list `payloads` of an event,
    /// in the order of its `keys`.
    ///
    /// `write` runs once per stream and key, in the task of the connection. An event with a payload
    /// for which it fails is not sent: `event: failed` with the value and the error is.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_http::EventStreams;
    ///
    /// let texts: EventStreams<String> = EventStreams::builder()
    ///     .payloads(|_key, payload: &String, json| json.write(payload))
    ///     .build();
    /// ```
    pub fn payloads<P>(
        self,
        write: impl Fn(&[u8], &P, PayloadWriter<'_>) -> Result<(), serde_json::Error>
        + Send
        + Sync
        + 'static,
    ) -> EventStreamsBuilder<P> {
        self.with_payloads(Some(Arc::new(write)))
    }

    /// Leaves the payloads of the bus out: its events are sent as those of a bus without payloads.
    pub fn without_payloads<P>(self) -> EventStreamsBuilder<P> {
        self.with_payloads(None)
    }

    fn with_payloads<P>(self, payloads: Payloads<P>) -> EventStreamsBuilder<P> {
        EventStreamsBuilder {
            settings: Settings {
                payloads,
                heartbeat: self.settings.heartbeat,
                stall_timeout: self.settings.stall_timeout,
                retry: self.settings.retry,
            },
            max_streams: self.max_streams,
        }
    }
}

impl<P> EventStreamsBuilder<P> {
    /// Limits the streams that are open at a time. Further requests get 503 with `Retry-After`.
    pub const fn max_streams(mut self, max: usize) -> Self {
        self.max_streams = max;
        self
    }

    /// Sets the interval of heartbeats: progress marks, or comments as long as there is nothing to
    /// mark. The first interval of a stream is up to a half shorter.
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        self.settings.heartbeat = interval;
        self
    }

    /// Sets the stall timeout: a stream ends, and its connection is closed, if the client takes no
    /// frame of up to 4 KiB for so long while one is waiting.
    ///
    /// A client that disappears without a trace takes frames until the buffers of its socket are
    /// full. TCP notices it by itself after about 15 minutes, or after `TCP_USER_TIMEOUT`, which a
    /// service sets on its sockets.
    pub const fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.settings.stall_timeout = timeout;
        self
    }

    /// Sets the time after which a client reconnects: the `retry` of a stream, in milliseconds, and
    /// `Retry-After` of a refusal, in seconds, at least one.
    pub const fn retry(mut self, delay: Duration) -> Self {
        self.settings.retry = delay;
        self
    }

    /// Builds the streams.
    #[must_use]
    pub fn build(self) -> EventStreams<P> {
        EventStreams {
            settings: self.settings,
            shared: Arc::new(Shared {
                max: self.max_streams,
                n_open: AtomicUsize::new(0),
                n_opened: AtomicU64::new(0),
                n_refused: AtomicU64::new(0),
                n_compacted: AtomicU64::new(0),
                n_stalled: AtomicU64::new(0),
                shutdown: watch::Sender::new(false),
            }),
        }
    }
}

impl<P> EventStreams<P> {
    /// Opens a stream of what `subscription` receives.
    ///
    /// A subscription of a bus with history has ids, by which a client resumes. One of a bus
    /// without has none: after a reconnect the client receives what is emitted from then on.
    ///
    /// # Errors
    ///
    /// [`TooManyStreamsError`] if as many are open as may be.
    pub fn open(
        &self,
        subscription: EventSubscription<P>,
    ) -> Result<EventStream<P>, TooManyStreamsError> {
        let open = self.admit()?;
        Ok(EventStream::new(
            subscription,
            self.encoder(),
            self.settings.heartbeat,
            self.settings.stall_timeout,
            open,
            self.preamble(),
        ))
    }

    /// The response to a request for what was subscribed, or was not:
    ///
    /// - a stream of the subscription;
    /// - 503 with `Retry-After` if as many streams are open as may be, and for
    ///   [`SubscribeError::TooManySubscriptions`];
    /// - for [`SubscribeError::Compacted`] and [`SubscribeError::Closed`] a stream of the one event
    ///   that says so, because a browser does not show a page the body of an error;
    /// - 400 for [`SubscribeError::EmptyRange`], and 500 for another error, which the service
    ///   itself has made.
    pub fn respond(&self, subscribed: Result<EventSubscription<P>, SubscribeError>) -> Response
    where
        P: Send + Sync + 'static,
    {
        let opened = match subscribed {
            Ok(subscription) => self.open(subscription),
            Err(SubscribeError::Compacted { floor, epoch }) => {
                self.open_ended(|encoder, open, out| {
                    open.count(EndReason::Compacted);
                    encoder.compacted(out, floor, epoch);
                })
            }
            Err(SubscribeError::Closed) => return self.respond_closed(None),
            Err(full @ SubscribeError::TooManySubscriptions { .. }) => {
                return self.unavailable(&full);
            }
            Err(empty @ SubscribeError::EmptyRange { .. }) => {
                return refusal(StatusCode::BAD_REQUEST, &empty);
            }
            Err(other) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, &other),
        };
        self.response(opened)
    }

    /// The response to a request on a bus that is closed.
    pub(crate) fn respond_closed(&self, reason: Option<&str>) -> Response
    where
        P: Send + Sync + 'static,
    {
        self.response(self.open_ended(|encoder, _, out| encoder.closed(out, reason)))
    }

    fn response(&self, opened: Result<EventStream<P>, TooManyStreamsError>) -> Response
    where
        P: Send + Sync + 'static,
    {
        match opened {
            Ok(stream) => stream.into_response(),
            Err(error) => self.unavailable(&error),
        }
    }

    /// Ends all streams, also those that are opened from now on, each with `event: shutdown`. The
    /// bus stays open.
    ///
    /// For the graceful shutdown of a server, which waits for its connections. A client that does
    /// not read keeps its connection for the stall timeout at most.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use rangewatch_http::EventStreams;
    /// # async fn serve(
    /// #     listener: tokio::net::TcpListener,
    /// #     app: axum::Router,
    /// # ) -> std::io::Result<()> {
    /// # let streams = EventStreams::builder().build();
    /// # async fn terminated() {}
    /// axum::serve(listener, app)
    ///     .with_graceful_shutdown(async move {
    ///         terminated().await;
    ///         streams.shutdown();
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn shutdown(&self) {
        self.shared.shutdown.send_replace(true);
    }

    /// The counts of the streams.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        let shared = &*self.shared;
        StreamStats {
            open: shared.n_open.load(Relaxed),
            opened: shared.n_opened.load(Relaxed),
            refused: shared.n_refused.load(Relaxed),
            compacted: shared.n_compacted.load(Relaxed),
            stalled: shared.n_stalled.load(Relaxed),
        }
    }

    /// The refusal of a request, if as many streams are open as may be.
    pub(crate) fn refuse_if_full(&self) -> Option<Response> {
        let is_full = self.shared.n_open.load(Relaxed) >= self.shared.max;
        is_full.then(|| self.unavailable(&self.shared.refuse()))
    }

    fn unavailable(&self, reason: &dyn fmt::Display) -> Response {
        let seconds = self.settings.retry.as_secs().max(1);
        let headers = [(header::RETRY_AFTER, HeaderValue::from(seconds))];
        (headers, refusal(StatusCode::SERVICE_UNAVAILABLE, reason)).into_response()
    }

    fn open_ended(
        &self,
        encode: impl FnOnce(&Encoder<P>, &OpenStream, &mut Vec<u8>),
    ) -> Result<EventStream<P>, TooManyStreamsError> {
        let open = self.admit()?;
        let encoder = self.encoder();
        let mut out = self.preamble();
        encode(&encoder, &open, &mut out);
        Ok(EventStream::ended(
            encoder,
            self.settings.stall_timeout,
            open,
            out,
        ))
    }

    fn admit(&self) -> Result<OpenStream, TooManyStreamsError> {
        let shared = &self.shared;
        let add = |n_open: usize| (n_open < shared.max).then(|| n_open + 1);
        if shared.n_open.fetch_update(Relaxed, Relaxed, add).is_err() {
            return Err(shared.refuse());
        }
        shared.n_opened.fetch_add(1, Relaxed);
        let mut receiver = shared.shutdown.subscribe();
        Ok(OpenStream {
            shared: Arc::clone(shared),
            shutdown: Box::pin(async move {
                // The sender lives as long as the stream.
                let _ = receiver.wait_for(|is_shut_down| *is_shut_down).await;
            }),
        })
    }

    fn encoder(&self) -> Encoder<P> {
        Encoder {
            payloads: self.settings.payloads.clone(),
            epoch: None,
        }
    }

    fn preamble(&self) -> Vec<u8> {
        format!("retry: {}\n\n", self.settings.retry.as_millis()).into_bytes()
    }
}

impl Shared {
    fn refuse(&self) -> TooManyStreamsError {
        self.n_refused.fetch_add(1, Relaxed);
        TooManyStreamsError { max: self.max }
    }
}

impl OpenStream {
    /// Ready when the streams are shut down. Is not polled again then.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shutdown.as_mut().poll(cx)
    }

    pub(crate) fn count(&self, reason: EndReason) {
        let counter = match reason {
            EndReason::Compacted => &self.shared.n_compacted,
            EndReason::Stalled => &self.shared.n_stalled,
        };
        counter.fetch_add(1, Relaxed);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.shared.n_open.fetch_sub(1, Relaxed);
    }
}

impl StreamStats {
    /// The streams that are open.
    #[must_use]
    pub const fn n_open(&self) -> usize {
        self.open
    }

    /// The streams that were opened since the start, those that are open included.
    #[must_use]
    pub const fn n_opened(&self) -> u64 {
        self.opened
    }

    /// The requests that were refused because of the limit.
    #[must_use]
    pub const fn n_refused(&self) -> u64 {
        self.refused
    }

    /// The streams that ended with `event: compacted`: their clients have to rescan.
    #[must_use]
    pub const fn n_compacted(&self) -> u64 {
        self.compacted
    }

    /// The streams that ended because their clients did not read.
    #[must_use]
    pub const fn n_stalled(&self) -> u64 {
        self.stalled
    }
}

/// A response that says why, as plain text: some of the text is of the client.
pub(crate) fn refusal(status: StatusCode, reason: &dyn fmt::Display) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (status, headers, format!("{reason}\n")).into_response()
}

impl<P> Clone for EventStreams<P> {
    fn clone(&self) -> Self {
        let Settings {
            payloads,
            heartbeat,
            stall_timeout,
            retry,
        } = &self.settings;
        Self {
            settings: Settings {
                payloads: payloads.clone(),
                heartbeat: *heartbeat,
                stall_timeout: *stall_timeout,
                retry: *retry,
            },
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<P> fmt::Debug for EventStreams<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStreams")
            .field("settings", &self.settings)
            .field("max_streams", &self.shared.max)
            .field("stats", &self.stats())
            .finish()
    }
}

impl<P> fmt::Debug for EventStreamsBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStreamsBuilder")
            .field("settings", &self.settings)
            .field("max_streams", &self.max_streams)
            .finish()
    }
}

impl<P> fmt::Debug for Settings<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("payloads", &self.payloads.is_some())
            .field("heartbeat", &self.heartbeat)
            .field("stall_timeout", &self.stall_timeout)
            .field("retry", &self.retry)
            .finish()
    }
}
