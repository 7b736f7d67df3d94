//! An async event bus for byte keys: an emit reaches every subscription whose ranges hold one of
//! its keys.
//!
//! A [`RangeWatchBus`] carries **emits**: a `u64` value, usually the revision of a state machine,
//! and a set of byte **keys**. A **subscription** watches ranges of keys, given by [`Selector`]s,
//! and receives every emit that has a key in one of them. Without [payloads](#payloads), the
//! default, the value says where to look, and the store that emits it holds the data.
//!
//! ```
//! use rangewatch_bus::{RangeWatchBus, Selector};
//!
//! # futures::executor::block_on(async {
//! let bus = RangeWatchBus::new();
//! let mut pods = bus.subscribe(Selector::prefix("/registry/pods/")).events(256)?;
//! let mut low = bus.subscribe("a".."m").wake()?;
//!
//! bus.emit(1, ["/registry/pods/web-1", "/registry/nodes/n1"])?;
//!
//! let event = pods.recv().await?;
//! assert_eq!(event.value(), 1);
//! assert!(event.keys().eq([b"/registry/pods/web-1"]));
//! assert!(low.try_recv().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Emits
//!
//! [`emit`](RangeWatchBus::emit) is a synchronous function for any thread. It never waits for a
//! consumer: when it returns, every matching subscription holds the emit, and waiting consumers
//! were notified. Each accepted emit takes the next [`Seq`] of its bus. The start of a
//! subscription, an edit of its selectors, its end and the close of the bus have a place in the
//! same order: each lies between two emits.
//!
//! | | |
//! |---|---|
//! | [`emit`](RangeWatchBus::emit) | a value and its keys |
//! | [`emit_slices`](RangeWatchBus::emit_slices) | the same, with keys that are in a slice already |
//! | [`emit_next`](RangeWatchBus::emit_next) | keys, with the value after the head; needs history |
//! | [`emit_many`](RangeWatchBus::emit_many) | several emits with nothing in between, one wake per consumer |
//! | [`batch`](RangeWatchBus::batch) | the same, staged in pieces and committed at once or not at all |
//! | [`emit_async`](RangeWatchBus::emit_async) | waits for room in subscriptions with backpressure |
//!
//! An [`Emitter`] is a handle that can do this and nothing else.
//!
//! # Subscriptions
//!
//! | | [`WakeSubscription`] | [`EventSubscription`] |
//! |---|---|---|
//! | says | something you watch changed | this changed, with these of the keys that you watch |
//! | item | a [`Span`] of all matches since the last receive | an [`Event`] per matching emit |
//! | memory | constant | a queue, bounded in events and in bytes |
//! | slow consumer | a span covers more emits | its [`Overflow`] policy decides |
//!
//! Both are received from with `recv().await` (cancel safe), `try_recv()`, `poll_recv(cx)` or as a
//! [`Stream`](futures_core::Stream), events also [several at once](EventSubscription::recv_many) or
//! as an [owned stream of items](EventSubscription::into_items). The crate needs no executor: a
//! receive waits with the waker it is polled with.
//!
//! The consumer of a span rescans its own store from the first value of the span, or reads the
//! state at the last. A consumer that must see each change takes events.
//!
//! A [`WatchSet`] receives from any number of wake subscriptions, each under a key, through one
//! waker: for a server with ten thousand watches on one connection. An [`EventSet`] is one ordered
//! queue of events for any number of watches, each under a key, for a stream that must see every
//! change.
//!
//! # History
//!
//! A bus that is [built](RangeWatchBus::builder) with a [`History`] retains its latest emits,
//! bounded in events and in bytes. Its values strictly increase. The greatest is the
//! [`head`](RangeWatchBus::head), the least that a subscription can begin with the
//! [`floor`](RangeWatchBus::floor). A history provides:
//!
//! - [`since`](SubscribeBuilder::since) and [`since_after`](SubscribeBuilder::since_after): a
//!   subscription begins with a value of the past, or after it, without a gap or a repeat at the
//!   seam of replay and live.
//! - [`Overflow::Park`]: a slow consumer catches up from the history.
//! - [Progress marks](Item::Progress): everything up to this value was received, also if nothing
//!   matched.
//! - [`compact`](RangeWatchBus::compact) and [`advance`](RangeWatchBus::advance), for a store that
//!   compacts and whose revisions increase without emits; a [restored
//!   head](RangeWatchBusBuilder::head) after a restart.
//!
//! On a bus without history any value is accepted, and asking for one of these is an error. Only a
//! wake subscription can begin in the past there, with a [conservative](Span::is_conservative)
//! span.
//!
//! After a restart, give the builder the head of the store. To serve consumers that were behind it,
//! give it an older head and emit again what the store knows since, before any subscription:
//! `examples/redb` of the repository is a store on disk that does.
//!
//! A consumer that resumes after a restart of its own gives the value that it has reached. One that
//! rescans its store when the history does not reach back far enough
//! [follows](#snapshot-and-changes) it.
//!
//! # Payloads
//!
//! The keys of a `RangeWatchBus<P>` carry payloads of the type `P`: an event shows its keys with
//! what they were [emitted with](RangeWatchBus::emit_with), also an event of the past, when the
//! store knows only the present. An `Arc` is a good payload: the bus clones none, and drops none
//! under a lock. The payloads of an emit are in one allocation, and one event keeps all of them.
//!
//! ```
//! use std::sync::Arc;
//!
//! use rangewatch_bus::{History, RangeWatchBus, Selector};
//!
//! # futures::executor::block_on(async {
//! let bus = RangeWatchBus::builder()
//!     .payloads::<Option<Arc<str>>>() // None: deleted
//!     .history(History::events(1_000))
//!     .build()?;
//! bus.emit_with(1, [("order/7", Some(Arc::from("two shirts")))])?;
//! bus.emit_with(2, [("order/7", None)])?;
//!
//! let mut orders = bus.subscribe(Selector::prefix("order/")).since(1).events(256)?;
//! let event = orders.recv().await?;
//! let (key, order) = event.entries().next().ok_or("an event has a key")?;
//! assert_eq!((key, order.as_deref()), (&b"order/7"[..], Some("two shirts")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Snapshot and changes
//!
//! A consumer that needs the state of a store and its changes [follows](SubscribeBuilder::follow)
//! it: a [`Follower`] is a stream of the entries of a scan, and then of the events after them,
//! without a gap or a repeat; after a miss it scans again. A [`Mirror`] is a local copy of a range
//! that is kept by that, and shared by many readers: [`SubscribeBuilder::mirror`].
//!
//! ```
//! use futures::{StreamExt, stream};
//! use rangewatch_bus::{Follow, History, RangeWatchBus, Selector};
//!
//! # futures::executor::block_on(async {
//! let bus = RangeWatchBus::builder().history(History::events(100).bytes(64 << 20)).build()?;
//! for revision in 1..=1000 {
//!     bus.emit(revision, ["k"])?;
//! }
//! let checkpoint = 10; // too old: the history begins with 901
//! let scan = async |_selectors| {
//!     let entries = [("k", "the value of k")]; // of the store, at revision 1000
//!     Ok::<_, std::io::Error>((1000, stream::iter(entries.map(Ok))))
//! };
//! let keys = bus.subscribe(Selector::all()).since_after(checkpoint);
//! let mut follower = keys.follow(256, scan)?;
//! # bus.emit(1001, ["k"])?;
//! # bus.close();
//! while let Some(item) = follower.next().await {
//!     match item? {
//!         Follow::SnapshotBegin { cause } => println!("{cause:?}: begin with an empty copy"),
//!         Follow::Snapshot((key, value)) => println!("{key} is {value}"),
//!         Follow::SnapshotEnd { value } => println!("the copy is as of {value}, or later"),
//!         Follow::Event(event) => println!("{} changed {:?}", event.value(), event.keys()),
//!         Follow::Progress(value) => println!("everything up to {value} was received"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # States of a subscription
//!
//! A subscription is started when it is made, unless it was [reserved](RangeWatchBus::reserve) or
//! [held](SubscribeBuilder::hold).
//!
//! ```text
//!   reserve()          subscribe(..).hold()          subscribe(..)
//!       |                       |                          |
//!       v          open         v     start, start_after   v
//!   reserved -------------->  held  <----------------->  started
//!                               |           pause          |  ^
//!                               |                          |  |
//!                               |          the queue of a  |  | replay has
//!                               |        Park subscription |  | caught up
//!                               |             overflows    v  |
//!                               |                         parked
//!                               |                          |
//!                               +------------+-------------+
//!                                            |  the bus is closed; overflow with Disconnect;
//!                                            v  compaction beyond the position of a replay
//!                                          ended
//! ```
//!
//! | state | watches | delivers |
//! |---|---|---|
//! | reserved | nothing | nothing |
//! | held | its selectors | nothing |
//! | started | its selectors | what it holds, then what is emitted |
//! | parked | its selectors | what the history has from its position on, then live emits again |
//! | ended | nothing | what it holds, then the reason of the end on every receive |
//!
//! A subscription that begins with `since` starts in the state parked. From every state a
//! subscription can be cancelled or dropped, which frees what it holds at once. Its selectors can
//! be [added to](EventSubscription::add_selectors), [removed](EventSubscription::remove_selectors)
//! and [replaced](EventSubscription::set_selectors) while it is held, started or parked, each at
//! one [`Seq`] that the call returns.
//!
//! The bus closes when [`close`](RangeWatchBus::close) is called or its last handle is dropped; a
//! [`WeakRangeWatchBus`] does not keep it open. Subscriptions then deliver what they hold and what
//! is left for them in the history, and after that return `Closed` on every receive;
//! [`close_now`](RangeWatchBus::close_now) discards instead of delivering. Emits and subscriptions
//! on a closed bus are errors. A bus can be closed [with a reason](RangeWatchBus::close_with) that
//! consumers [can read](EventSubscription::close_reason).
//!
//! # Statistics
//!
//! [`stats`](RangeWatchBus::stats) of a bus and of a subscription count what happened to every emit
//! that matched, and add up. [`lag`](EventSubscription::lag) is the number of emits that a consumer
//! is behind, [`position`](EventSubscription::position) the value after which it would resume.
//!
//! # Keys and selectors
//!
//! Keys are any bytes, of any length, ordered as unsigned bytes, lexicographically. A selector is a
//! key, a half-open range, a start without an end, a prefix or everything. A subscription has
//! none, one or several, which may overlap; it watches their union, in [normal
//! form](WakeSubscription::selectors).
//!
//! # Locks
//!
//! A bus has one lock, a reader-writer lock for its interval index, and for each subscription a
//! small one that is held while one item is put in or taken out.
//!
//! An emit looks its keys up before it takes the lock of the bus, as a reader of the index, so
//! lookups of several threads run at the same time. Only if a subscription began, ended or was
//! edited meanwhile, it looks them up again under the lock. It holds the lock while it takes its
//! [`Seq`], is appended to the history and pushed to the matching subscriptions; on a bus without
//! history also while its keys are copied, if an event subscription matches. It does not hold the
//! lock while it reads the keys from the caller or notifies consumers. A subscription that begins,
//! ends or is edited waits for the lookups in progress.
//!
//! Replay takes the lock of the bus for a bounded number of emits at a time. The lock is held
//! longer by: the begin, the edit and the end of a subscription of very many selectors; a batch or
//! `emit_many`, for all of its emits, their lookups included; a `compact`, for the emits that it
//! removes; an emit so large that much of the history is evicted for it; and one removal of a
//! subscription in many, when most of a large table of subscriptions is free and is rebuilt. No
//! code of a caller or a consumer runs under a lock: wakers may emit, subscribe, drop subscriptions
//! and close, from inside any call of the bus.
//!
//! # Features
//!
//! None is on by default, and none changes what the others do.
//!
//! - `tokio`: `TokioTimer`, for [progress marks at an interval](SubscribeBuilder::progress_every)
//!   without a timer thread.
//! - `tracing`: one event, of the target `rangewatch_bus`, when a queue overflows for the first
//!   time (`WARN`: `bus`, `subscription`, `seq`, `outcome`) and one when its consumer has caught up
//!   (`INFO`: `bus`, `subscription` and its counts of emits, `delivered`, `coalesced`, `dropped`,
//!   `replayed`); never one per dropped event. `bus` is the [name](RangeWatchBusBuilder::name) of
//!   the bus, if it has one; `subscription` is a number that may be reused and may change when
//!   other subscriptions end.
//! - `metrics`: `RangeWatchBus::record_metrics`, which passes the statistics to the `metrics`
//!   facade, under the name of the bus.
//! - `serde`: `Serialize` for events, items, spans, statistics and errors; `Serialize` and
//!   `Deserialize` for selectors. The module `serde` documents each form.
//! - `web`: the default timer on wasm32-unknown-unknown, by `setTimeout` of JavaScript.
//!
//! # Targets
//!
//! Any target with std, of 32 or 64 bits: emits and events are counted in `u64`, what lies in
//! memory in `usize`. 32-bit targets need 64-bit atomics (`target_has_atomic = "64"`), which
//! WebAssembly and Arm from version 7 on have.
//!
//! No function of the bus needs a thread or blocks one; it only locks. A target without threads,
//! as wasm32-wasip1, has all of the bus, and one difference: see
//! [`ThreadTimer`](timer::ThreadTimer). wasm32-unknown-unknown has no clock; the bus reads it in
//! the default timer alone. In a browser enable `web`, elsewhere set a
//! [timer](RangeWatchBusBuilder::timer), or use no progress marks at an interval.
//!
//! # Guarantees
//!
//! Each is proved by tests that carry its number, listed in `GUARANTEES.md` of the repository. The
//! crate `rangewatch-checker` verifies those marked \* on recorded traces, also in the tests of
//! your own code. S is a subscription; *matching* means that some key of the emit lies in some
//! selector of S at that point of the order.
//!
//! - G1\* Ordered: S receives emits in the order of their `Seq`; with history their values strictly
//!   increase.
//! - G2\* Unique: no emit reaches S twice, also at the seam of replay and live.
//! - G3\* Reliable: every matching emit after the start of S is delivered or lies in a
//!   delivered span; otherwise S receives one error per contiguous miss, which says what it missed.
//! - G4\* Atomic: one emit is one event with all its matching keys, also when it was staged in
//!   pieces.
//! - G5\* Seamless start: an emit that begins after the subscribe call has returned is seen; a
//!   concurrent one is seen wholly or not at all.
//! - G6\* Future start: `since` a value above the head delivers nothing and no progress below it.
//! - G7\* No silent gap: `since` a value below the floor fails with `Compacted`; a parked S that
//!   the floor overtakes ends so.
//! - G8\* `since` the floor is valid, and delivers the value of the floor if it was emitted.
//! - G9\* Progress: a mark comes after every matching value up to it, and later events are above
//!   it; it works for an S that never matched anything.
//! - G10\* Exact match: S gets an emit if and only if a key lies in a selector.
//! - G11\* One delivery per emit, however many keys and selectors match.
//! - G12 No lost wake-up: when a matching emit has returned, S holds or has
//!   delivered it, and a waiting receive was woken.
//! - G13\* The span is exact: the first and the last value, in the order of the emits, and the
//!   count of the undelivered matching emits. A conservative span says so.
//! - G14 The memory of a wake subscription does not grow with unread emits.
//! - G15 `emit` never waits for a subscriber, runs no subscriber code under its lock (wakers run
//!   after it is released; a waker that panics passes through when all others have run), and holds
//!   the lock for a number of steps that grows with the keys emitted, the matches found and the
//!   records that the history evicts for it, and only as a logarithm with the number of ranges.
//! - G16 The steps from an emit to the wake of a healthy S do not grow with the number of stalled
//!   subscriptions that the emit does not match.
//! - G17 Bounded: a queue never exceeds its capacity in events and bytes, nor does the history.
//! - G18\* Lagged: the next receive reports the exact number missed, then the oldest retained
//!   follows.
//! - G19\* Disconnect: buffered items first, then an error with the value to resume from; resuming
//!   there loses nothing that is still in the history.
//! - G20 Forward progress: each cycle of parking and replay delivers at least one event; a consumer
//!   that is faster than the emitters becomes live.
//! - G21 `emit_async` returns when every matching subscription with backpressure has the emit, or
//!   has it in the history if it is parked; two of them over the same subscriptions never deadlock;
//!   dropping its future emits nothing.
//! - G22 Isolation: nothing of one bus is observable on another; a thread stopped inside the lock
//!   of one bus delays no other.
//! - G23 After a cancel or drop S gets no delivery, and its memory is free, in every state.
//! - G25 Emits between `open` and `start` arrive after `start`, at a wake subscription as one span.
//! - G26 Misuse is an error value, never a panic.
//! - G27\* Closing drains: buffered items, and what a parked S has in the history, then the end; a
//!   later emit fails with `Closed`.
//! - G28\* Adding or removing selectors takes effect at one `Seq`, which the call returns.
//! - G31 A key of a watch set that was taken as a `Delivery` is not received again before that is
//!   dropped.
//! - G35\* Conservation: at rest, the emits that matched are those delivered, coalesced, dropped,
//!   discarded and pending, per subscription and per bus.
//! - G36 `lag` is 0 if and only if S is not parked and holds no emit.
//! - G40\* Payloads: an event carries, for each of its matching keys, the payload that it was
//!   emitted with, live and replayed; payloads count in the bounds in bytes, and none is cloned, or
//!   dropped under a lock.
//! - G41 Follow: every change up to the value that the scan states is in the snapshot, later ones
//!   may be, and all above it follow as events, each once. A miss of any kind begins a new
//!   snapshot, announced; emits held during a scan are bounded; after three snapshots that could
//!   not be joined the stream ends with `SnapshotTooSlow`.
//!
//! Not promised: durability, order between buses, exactly-once effects, bounds on latency.

#![forbid(unsafe_code)]

// The modules:
//
// bus/, builder   the handles of a bus, and the builder of a bus with a name or a history
// keys/           selectors, and the ranges of keys that they are normalized into
// index/          the interval index: the ranges that hold a key
// emit/           the record of an emit, batches, `emit_async`, wakers to wake after the lock
// order/          the state behind the one lock of a bus, and every operation under it
// subscription/   the subscribe builder, both kinds of subscription, their items and errors
// queue/          the bounded queue of an event subscription, and the overflow policies
// history/        the retained emits, and how a subscription catches up from them
// event_set       many watches in one ordered queue, and those that each event matches
// follow/         a snapshot of a store and the changes after it; a local copy kept by them
// watch_set/      many wake subscriptions, received through one waker
// scratch         scratch buffers, reused per thread
// serde           the serialized form of each type
// stats, metrics, timer (sources of time), sync (the locks, which a loom model replaces)

mod builder;
mod bus;
mod delay;
mod emit;
mod event_set;
mod follow;
mod history;
pub mod index;
mod keys;
#[cfg(feature = "metrics")]
mod metrics;
mod order;
mod queue;
mod scratch;
#[cfg(feature = "serde")]
pub mod serde;
mod shrink;
mod stats;
mod subscription;
mod sync;
pub mod timer;
mod watch_set;

pub use builder::{BuildError, RangeWatchBusBuilder};
pub use bus::{Emitter, RangeWatchBus, WeakRangeWatchBus};
pub use emit::{Batch, BatchFullError, EmitError, Emitted, EmittedMany};
pub use event_set::EventSet;
pub use follow::{Follow, FollowError, Follower, Mirror, MirrorDriver, MirrorStopped};
pub use history::{CompactError, History, RestoreError};
pub use keys::{EmptyRangeError, KeyRange, ParseSelectorError, Selector, Selectors};
pub use order::Seq;
pub use queue::{Overflow, QueueBudget};
pub use stats::{BusStats, Stats};
pub use subscription::{
    Closed, ControlError, Entries, Event, EventSubscription, IntoItems, Item, Items, Keys,
    ProgressError, RecvError, Span, SubscribeBuilder, SubscribeError, TryRecvError, TryWakeError,
    WakeSubscription,
};
pub use watch_set::{Delivery, Ready, WatchSet};

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs of the pages for users of other libraries.
#[cfg(doctest)]
mod coming_from {
    #[doc = include_str!("../coming-from/tokio-broadcast.md")]
    struct TokioBroadcast;

    #[doc = include_str!("../coming-from/etcd-watch.md")]
    struct EtcdWatch;

    #[doc = include_str!("../coming-from/kubernetes-informers.md")]
    struct KubernetesInformers;
}
