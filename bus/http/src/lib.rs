//! Watches of a [`RangeWatchBus`](rangewatch_bus::RangeWatchBus) over HTTP, as server-sent events.
//!
//! [`WatchRoute`] is an axum route, `GET /watch?prefix=order/&since=7`. Its parts are public, for a
//! route of the service's own: [`QueryParser`] makes selectors of a query, [`resume_since`] reads
//! `Last-Event-ID`, and [`EventStreams`] turns an
//! [`EventSubscription`](rangewatch_bus::EventSubscription) into a response.
//!
//! # Examples
//!
//! A service whose keys carry what has changed:
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::Router;
//! use rangewatch_bus::{History, RangeWatchBus};
//! use rangewatch_http::{EventStreams, WatchRoute};
//!
//! struct Order { n_items: u32 }
//!
//! # async fn serve(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! let history = History::events(100_000).bytes(64 << 20);
//! let bus = RangeWatchBus::builder().payloads::<Arc<Order>>().history(history).build()?;
//! let streams = EventStreams::builder()
//!     .payloads(|_key, order: &Arc<Order>, json| json.write(&order.n_items))
//!     .build();
//! let watch = WatchRoute::public(&bus, &streams)?;
//! let app = Router::new().merge(watch.router());
//!
//! bus.emit_with(7, [("order/17", Arc::new(Order { n_items: 2 }))])?;
//! # async fn terminated() {}
//! axum::serve(listener, app)
//!     .with_graceful_shutdown(async move {
//!         terminated().await;
//!         streams.shutdown();
//!     })
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! $ curl -N 'http://localhost:3000/watch?prefix=order/&since=7'
//! retry: 3000
//!
//! id: 7
//! data: {"seq":1,"value":7,"keys":["order/17"],"payloads":[2]}
//!
//! event: progress
//! id: 7
//! data: {"progress":7}
//! ```
//!
//! # Events
//!
//! | event | data | id | then |
//! |---|---|---|---|
//! | (`message`) | `{"seq":1,"value":7,"keys":["a",{"base64":"/w=="}]}`: one emit, with the keys that are watched and, if the service [writes](EventStreamsBuilder::payloads) them, their `payloads` in the same order | its value | |
//! | `progress` | `{"progress":9}`: everything up to this value was sent. The heartbeat, and the first event of a stream, behind a replay; a client that resumes with the head has it already. `null` before the first emit | its value, or `start` | |
//! | `failed` | `{"failed":{"value":7,"error":".."}}`: in place of an event that has a payload that could not be written | its value | |
//! | `compacted` | `{"compacted":{"floor":5,"epoch":0}}`: events below the floor are lost, or the bus was [restored](rangewatch_bus::RangeWatchBus::restore): rescan | the value before the floor | the end |
//! | `closed` | `{"closed":{"reason":"leader lost"}}`: the bus was closed, and everything was sent. The reason is that of [`close_with`](rangewatch_bus::RangeWatchBus::close_with), or `null` | | the end |
//! | `shutdown` | `{"shutdown":{}}`: the service [ends its streams](EventStreams::shutdown) | | the end |
//! | `lagged` | `{"lagged":3}`: events are lost here, rescan | | |
//! | `gap` | `{"coalesced":{"first":5,"last":9,"count":3,..}}`: events are lost here, rescan from the first to the last | the last value | |
//! | `disconnected` | `{"disconnected":{"resume":5}}`: the queue was full | the value before `resume` | the end |
//!
//! An id is the value that the table names, in decimal. On a bus of another
//! [epoch](rangewatch_bus::RangeWatchBus::epoch) than 0 the epoch comes before it, as in `3-7`: a
//! client whose id is of another epoch receives `compacted`, whatever its value is.
//!
//! The last three come only from a subscription of the service with another
//! [`Overflow`](rangewatch_bus::Overflow) than `Park`. Keys that are not UTF-8 are in base64, as in
//! the lines that the command line prints. Numbers above 2^53 are exact in the text, and rounded by
//! `JSON.parse` of JavaScript; an id is text.
//!
//! # Clients
//!
//! A browser's `EventSource` reconnects by itself, after the `retry` of the stream, with the id of
//! the last event. It has an id before the first event, hence it misses nothing, whenever the
//! connection breaks. The answers to a reconnect:
//!
//! - **After `compacted`** the stream resumes with the floor, so that a page rescans when it
//!   receives the event and goes on. If the history has moved on meanwhile, it receives the event
//!   again. It is an event and not a status, because a browser does not show a page the body of an
//!   error.
//! - **After `closed` and `shutdown`** it reconnects until a new process of the service serves it.
//!   A bus that is closed in a process that still runs returns `closed` once per `retry`. A page
//!   that is done calls `close()` of its `EventSource`.
//! - **After a restart** the values must continue above those of the process before: build the bus
//!   with the [head](rangewatch_bus::RangeWatchBusBuilder::head) of its store, or, for a store that
//!   is empty then, with the time. A client resumes, or receives `compacted`. It receives that also
//!   if its id is above the head, which means that values were lost or begin again; a service with
//!   [replicas](WatchRoute::replicas), whose heads may be behind, waits for them instead. If the
//!   values begin with 1 again and have passed the id of a client, nothing can tell what it missed.
//! - **400, 403, 414, 503** and every other status but 200 end an `EventSource` for good. Its
//!   `error` event has the `readyState` `CLOSED` then, and the page makes a new one after a pause
//!   if it may, for example after the `Retry-After` of a service whose streams are all taken.
//!
//! ```js
//! const source = new EventSource("/watch?prefix=order/");
//! source.onmessage = ({ data }) => apply(JSON.parse(data));
//! for (const miss of ["compacted", "failed"]) source.addEventListener(miss, rescan);
//! ```
//!
//! # Slow clients
//!
//! A client that does not read costs the service its queue, up to 64 KiB of the connection and the
//! buffers of its socket in the kernel. It delays no emit and no other client. When it reads again,
//! it receives what is waiting, then what the history still has; if the history has removed
//! something that it needs, `compacted`. A client that does not read for the [stall
//! timeout](EventStreamsBuilder::stall_timeout) is disconnected, and what it held is free. It
//! resumes after its last id, or learns then what it has missed.
//!
//! The bound of the connection holds with HTTP/1.1 and HTTP/2 of hyper over a socket that writes
//! vectored. A layer that copies bodies, for compression for example, buffers by its own rules.
//!
//! # Limits
//!
//! | limit | default | when it is exceeded |
//! |---|---|---|
//! | [streams](EventStreamsBuilder::max_streams), and the [subscriptions](rangewatch_bus::RangeWatchBusBuilder::max_subscriptions) of the bus | 1,000 | 503 with `Retry-After` |
//! | [queue](WatchRoute::queue) of a stream | 256 events and 256 KiB | the stream is parked: it continues from the history |
//! | [selectors](QueryParser::max_selectors) of a request | 64 | 400 |
//! | [query](QueryParser::max_bytes) | 8 KiB | 414 |
//! | [stall timeout](EventStreamsBuilder::stall_timeout) | 30 s | the connection is closed |
//!
//! # Tokio
//!
//! A stream is polled in a tokio runtime with its time driver enabled, as `axum::serve` does. The
//! crate is for hosts that serve, of 32 or 64 bits, and not for WebAssembly.

#![forbid(unsafe_code)]

// The modules:
//
// route        the route, its authorization
// query        the query of a request, and its limits; percent: its encoding
// streams      the settings, the limit and the shutdown of all streams
// event_stream the body of a response; in_flight: what the server has not written yet
// encode       items as server-sent events; payload: payloads as JSON
// id           the ids of events, Last-Event-ID

mod encode;
mod event_stream;
mod id;
mod in_flight;
mod payload;
mod percent;
mod query;
mod route;
mod streams;

pub use event_stream::{EventStream, StalledError};
pub use id::{LastEventIdError, Resume, resume_since};
pub use payload::PayloadWriter;
pub use query::{QueryError, QueryParser, WatchQuery};
pub use route::{WatchRoute, WatchRouteError};
pub use streams::{EventStreams, EventStreamsBuilder, StreamStats, TooManyStreamsError};

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
