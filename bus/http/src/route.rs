//! The route of a watch.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use rangewatch_bus::{RangeWatchBus, Selectors, SubscribeError};
use thiserror::Error;

use crate::streams::refusal;
use crate::{EventStreams, LastEventIdError, QueryError, QueryParser, Resume, resume_since};

/// A route that streams what a request watches: `GET /watch?prefix=order/&since=7`.
///
/// [`QueryParser`] says what a query may hold, the [crate](crate#events) what is sent.
///
/// The defaults: the limits of [`QueryParser`]; a queue of [256
/// events](WatchRoute::DEFAULT_QUEUE_EVENTS) and [256 KiB](WatchRoute::DEFAULT_QUEUE_BYTES) for
/// each stream, which is parked when it is full. Access has no default: a route is
/// [`public`](Self::public) or [`authorized`](Self::authorized).
///
/// The route is a handle of the bus: the bus is not closed by the drop of other handles.
///
/// The streams have the payload type of the bus: build them with
/// [`payloads`](crate::EventStreamsBuilder::payloads), which writes each payload as JSON, or with
/// [`without_payloads`](crate::EventStreamsBuilder::without_payloads).
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use rangewatch_bus::{History, RangeWatchBus};
/// use rangewatch_http::{EventStreams, WatchRoute};
///
/// let bus = RangeWatchBus::builder().history(History::events(10_000)).build()?;
/// let watch = WatchRoute::public(&bus, &EventStreams::builder().build())?;
/// let app: Router = Router::new().merge(watch.router()); // GET /watch
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WatchRoute<P = ()> {
    bus: RangeWatchBus<P>,
    streams: EventStreams<P>,
    authorize: Option<Arc<Authorize>>,
    parser: QueryParser,
    queue_events: usize,
    queue_bytes: usize,
    has_replicas: bool,
}

type Authorize = dyn Fn(Parts, Selectors) -> Authorization + Send + Sync;
type Authorization = Pin<Box<dyn Future<Output = Result<(), Response>> + Send>>;

/// Why a route could not be made.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_http::{EventStreams, WatchRoute, WatchRouteError};
///
/// let refused = WatchRoute::public(&RangeWatchBus::new(), &EventStreams::builder().build());
/// assert_eq!(refused.unwrap_err(), WatchRouteError::NoHistory);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WatchRouteError {
    /// The bus has no history: a client that reconnects would miss events silently.
    #[error(
        "this bus has no history, so that clients cannot resume: build it with \
         `RangeWatchBus::builder().history(..)`, or mount `EventStreams::respond` in a route of \
         your own"
    )]
    NoHistory,
}

impl WatchRoute {
    /// The default capacity of the queue of a stream, in events: 256.
    pub const DEFAULT_QUEUE_EVENTS: usize = 256;

    /// The default bound of the queue of a stream, in bytes: 256 KiB.
    ///
    /// Prevents that clients that do not read take all memory: with the default number of streams
    /// their queues hold 250 MiB at most.
    pub const DEFAULT_QUEUE_BYTES: usize = 256 << 10;
}

impl<P: Send + Sync + 'static> WatchRoute<P> {
    /// A route on which everyone who can send a request may watch every key.
    ///
    /// # Errors
    ///
    /// [`WatchRouteError::NoHistory`] if the bus has no history.
    pub fn public(
        bus: &RangeWatchBus<P>,
        streams: &EventStreams<P>,
    ) -> Result<Self, WatchRouteError> {
        Self::new(bus, streams, None)
    }

    /// A route that asks `authorize` for each request, with its head and with all its selectors.
    /// Unless it returns `Ok`, its response is sent, and nothing is subscribed.
    ///
    /// It is asked before a stream is counted, and once per request: a stream that is open stays
    /// open when a permission ends.
    ///
    /// # Errors
    ///
    /// [`WatchRouteError::NoHistory`] if the bus has no history.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::StatusCode;
    /// use axum::http::request::Parts;
    /// use axum::response::IntoResponse;
    /// use rangewatch_bus::{History, RangeWatchBus, Selector, Selectors};
    /// use rangewatch_http::{EventStreams, WatchRoute};
    ///
    /// /// A tenant may watch the keys below its name.
    /// fn may_watch(tenant: &str, selectors: &Selectors) -> bool {
    ///     let own = format!("{tenant}/");
    ///     selectors.iter().all(|selector| match selector {
    ///         Selector::Key(key) | Selector::Prefix(key) => key.starts_with(own.as_bytes()),
    ///         _ => false,
    ///     })
    /// }
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(10_000)).build()?;
    /// let streams = EventStreams::builder().build();
    /// let watch = WatchRoute::authorized(&bus, &streams, async |head: Parts, selectors| {
    ///     let tenant = head.headers.get("x-tenant").and_then(|name| name.to_str().ok());
    ///     match tenant {
    ///         Some(tenant) if may_watch(tenant, &selectors) => Ok(()),
    ///         _ => Err(StatusCode::FORBIDDEN.into_response()),
    ///     }
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn authorized<F, A>(
        bus: &RangeWatchBus<P>,
        streams: &EventStreams<P>,
        authorize: F,
    ) -> Result<Self, WatchRouteError>
    where
        F: Fn(Parts, Selectors) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), Response>> + Send + 'static,
    {
        let authorize =
            move |parts, selectors| -> Authorization { Box::pin(authorize(parts, selectors)) };
        Self::new(bus, streams, Some(Arc::new(authorize)))
    }

    fn new(
        bus: &RangeWatchBus<P>,
        streams: &EventStreams<P>,
        authorize: Option<Arc<Authorize>>,
    ) -> Result<Self, WatchRouteError> {
        if bus.floor().is_none() {
            return Err(WatchRouteError::NoHistory);
        }
        Ok(Self {
            bus: bus.clone(),
            streams: streams.clone(),
            authorize,
            parser: QueryParser::default(),
            queue_events: WatchRoute::DEFAULT_QUEUE_EVENTS,
            queue_bytes: WatchRoute::DEFAULT_QUEUE_BYTES,
            has_replicas: false,
        })
    }

    /// Sets the parser of queries, which has their limits.
    #[must_use]
    pub fn query(mut self, parser: QueryParser) -> Self {
        self.parser = parser;
        self
    }

    /// Bounds the queue of each stream, in events and in bytes, both at least 1. A queue that is
    /// full is parked: its stream continues from the history, and ends with `event: compacted` if
    /// the history has removed what it needs.
    #[must_use]
    pub const fn queue(mut self, events: usize, bytes: usize) -> Self {
        self.queue_events = events;
        self.queue_bytes = bytes;
        self
    }

    /// Waits for the values after an id that is above the head, because another replica of the
    /// service that was ahead has sent it.
    ///
    /// Without this, such an id is taken for that of an earlier process whose values were lost, and
    /// the client receives `event: compacted`.
    #[must_use]
    pub const fn replicas(mut self) -> Self {
        self.has_replicas = true;
        self
    }

    /// A router with this route at `/watch`, to merge into that of the service.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new().route("/watch", self.method_router())
    }

    /// The route by itself, for another path: `Router::new().route("/orders", ..)`.
    pub fn method_router<S: Clone + Send + Sync + 'static>(self) -> MethodRouter<S> {
        routing::get(Self::watch).with_state(Arc::new(self))
    }

    /// The epoch, and the least value that may be emitted next.
    fn next(&self) -> (u64, u64) {
        // The epoch first: with the value of a later one it makes an id that is refused again.
        let epoch = self.bus.epoch().unwrap_or(0);
        let head = self.bus.head();
        (epoch, head.map_or(0, |head| head.saturating_add(1)))
    }

    async fn watch(State(route): State<Arc<Self>>, request: Request) -> Response {
        route
            .respond(request)
            .await
            .unwrap_or_else(|refused| refused)
    }

    async fn respond(&self, request: Request) -> Result<Response, Response> {
        let (parts, _body) = request.into_parts();
        let query = self.parser.parse(parts.uri.query().unwrap_or_default());
        let query = query.map_err(IntoResponse::into_response)?;
        let resume = resume_since(&parts.headers).map_err(IntoResponse::into_response)?;
        let since = resume.map(Resume::since);
        let in_query = query.since();
        let selectors = query.into_selectors();
        if let Some(authorize) = &self.authorize {
            authorize(parts, selectors.clone()).await?;
        }
        if let Some(refused) = self.streams.refuse_if_full() {
            return Err(refused);
        }
        let builder = self.bus.subscribe(selectors).since(since.or(in_query));
        let builder = builder.epoch(resume.map(Resume::epoch));
        let builder = builder.queue_bytes(self.queue_bytes);
        let (epoch, floor) = self.next();
        let subscribed = if !self.has_replicas && since > Some(floor) {
            // The id is from a process before this one, which had emitted more.
            Err(SubscribeError::Compacted { floor, epoch })
        } else {
            builder.events(self.queue_events)
        };
        if let Err(SubscribeError::Closed) = subscribed {
            let reason = self.bus.close_reason();
            return Ok(self.streams.respond_closed(reason.as_deref()));
        }
        Ok(self.streams.respond(subscribed))
    }
}

impl IntoResponse for QueryError {
    /// 414 if it is too long, 400 otherwise.
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLong { .. } => StatusCode::URI_TOO_LONG,
            _ => StatusCode::BAD_REQUEST,
        };
        refusal(status, &self)
    }
}

impl IntoResponse for LastEventIdError {
    fn into_response(self) -> Response {
        refusal(StatusCode::BAD_REQUEST, &self)
    }
}

impl<P> fmt::Debug for WatchRoute<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchRoute")
            .field("bus", &self.bus)
            .field("streams", &self.streams)
            .field("authorized", &self.authorize.is_some())
            .field("parser", &self.parser)
            .field("queue_events", &self.queue_events)
            .field("queue_bytes", &self.queue_bytes)
            .field("has_replicas", &self.has_replicas)
            .finish()
    }
}
