//! Carries the emits of rangewatch buses between processes, on an ordered log of an existing
//! engine.
//!
//! One process holds one bus. When emitters and subscribers are on several machines, a **log** on
//! an engine that exists already carries the emits, and each process reads it into a local
//! [`RangeWatchBus`](rangewatch_bus::RangeWatchBus) with history, which finds the ranges.
//!
//! ```text
//! replica: bus -> Appender --+                     +--> Reader -> bus -> subscriptions
//! replica: bus -> Appender --+--> log (one order) --+--> Reader -> bus -> subscriptions
//! process:        Writer ----+                     +--> Reader -> bus -> subscriptions
//! ```
//!
//! | | |
//! |---|---|
//! | [`Reader`] | reads a log into a bus, and connects again by itself |
//! | [`Appender`] | appends what a bus with history emits, in the background; waits for the server on that history |
//! | [`Writer`] | appends an emit and waits until the log has it; an error when the server is away |
//! | [`Log`] | what an engine implements |
//! | [`MemoryLog`] | a log in the memory of one process |
//!
//! Engines have crates of their own: `rangewatch-bridge-redis`, `rangewatch-bridge-nats`, and
//! `rangewatch-bridge-etcd`, which reads the changes of an etcd cluster.
//!
//! ```
//! use rangewatch_bridge::{Appender, MemoryLog, Reader};
//! use rangewatch_bus::{History, RangeWatchBus, Selector};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let log = MemoryLog::new();
//!
//! // Where the emits are made: a bus with history, and an appender.
//! let source = RangeWatchBus::builder().history(History::events(100_000)).build()?;
//! tokio::spawn(Appender::builder(log.clone(), &source).build()?.run());
//! source.emit(1, ["pods/web-1", "nodes/n1"])?;
//!
//! // In any process: a reader, and subscriptions of its bus.
//! let reader = Reader::builder(log).open().await?;
//! let mut pods = reader.bus().subscribe(Selector::prefix("pods/")).since(0).events(256)?;
//! tokio::spawn(reader.run());
//!
//! let event = pods.recv().await?;
//! assert_eq!(event.value(), 1);
//! assert!(event.keys().eq([b"pods/web-1"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Model
//!
//! The state machine that emits is the source of truth, and often replicated: each replica applies
//! the same commands and emits the same values. So all of them append, without a leader, and the
//! log takes each value once. A log refuses what lies at or below its head; the value says what it
//! is.
//!
//! Every entry of a log names the value of the emit before it. A reader that receives an entry
//! whose predecessor it has not read knows that something is missing, whatever lost it: a trim, a
//! server that failed over and lost its last writes, a consumer of the engine that skipped one. An
//! append names its predecessor, too, and the log takes it only if that is its head. So no gap is
//! silent.
//!
//! # Guarantees
//!
//! G1 to G11 of the bus hold for a subscription of a reader's bus, across reconnects, restarts and
//! `kill -9` of the server:
//!
//! - each emit of the log is received once, whole, in order;
//! - when the reader cannot go on without a gap, every event subscription ends with
//!   [`Compacted`](rangewatch_bus::RecvError::Compacted), every wake subscription gets a
//!   [conservative](rangewatch_bus::Span::is_conservative) span, and
//!   [followers](rangewatch_bus::SubscribeBuilder::follow) rescan by themselves. This happens if
//!   the log was trimmed under the reader, if it lost entries that nobody appends again, if an
//!   entry cannot be decoded, and if an **epoch** begins.
//!
//! An epoch is a life of a log: a server that lost its data, a store that was restored from a
//! backup or rolled back. [`Writer::begin_epoch`] begins one, an [`Appender`] does when the log is
//! missing. The [`epoch`](rangewatch_bus::RangeWatchBus::epoch) of the reader's bus is that of the
//! log, and a subscription that resumes says which
//! [epoch](rangewatch_bus::SubscribeBuilder::epoch) its value is of.
//!
//! Not guaranteed: that the log keeps what it has acknowledged (that is the engine's
//! configuration; an appender appends again what is lost, as long as the history of its bus has
//! it), order between logs, and effects exactly once.
//!
//! # When the server is away
//!
//! A reader keeps its bus open: subscriptions wait, [`Status`] says so, and `since` is served from
//! the history. An appender waits on the history of its bus and uses no further memory; if the
//! history is overrun, [`AppendError::Overtaken`] says so. A [`Writer`] returns an error. All
//! attempts to connect are [spaced](Backoff) at random.
//!
//! # Sizes and costs
//!
//! A frame has 8 to 35 bytes more than the lengths and bytes of its keys and payloads. An engine
//! bounds it: [`Log::max_frame_bytes`]. A reader holds one read of the engine, its bus one history;
//! an appender at most 256 events or 1 MiB besides.
//!
//! # Features
//!
//! `metrics` passes the [`Status`] of readers and appenders to the recorder of the `metrics` crate
//! at each change: gauges `rangewatch_bridge_lag` and `rangewatch_bridge_phase`, counters
//! `rangewatch_bridge_{emits,repeated,gaps,epochs,foreign,connects}_total`, with the labels `kind`
//! (`reader`, `appender`), `bus` (if it has a name) and, for the gauge of the phase, `phase`.
//! `tracing` reports changes of the phase as events at the level info, and gaps and foreign entries
//! at the level warn.

#![forbid(unsafe_code)]

mod append_error;
mod appender;
mod apply;
mod backoff;
mod codec;
pub mod conformance;
mod encode;
mod frame;
mod log;
mod memory_log;
#[cfg(feature = "metrics")]
mod metrics;
mod parts;
mod reader;
mod status;
mod writer;

pub use append_error::AppendError;
pub use appender::{Appender, AppenderBuilder};
pub use async_trait::async_trait;
pub use backoff::Backoff;
pub use codec::{BoxError, BytesPayloads, Codec, NoPayloads};
pub use frame::{Frame, FrameBuilder, FrameError, MAX_VALUE};
pub use log::{
    Appended, ForeignEntry, Head, Log, LogError, LogItem, LogReader, LogWriter, Outcome,
};
pub use memory_log::MemoryLog;
pub use parts::{Part, Parts};
pub use reader::{ReadError, Reader, ReaderBuilder, Start};
pub use status::{Phase, Status, StatusWatch};
pub use writer::Writer;

/// The example of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
