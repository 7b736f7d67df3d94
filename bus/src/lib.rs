//! An async event bus: emitted byte keys reach subscriber channels by range lookup.
//!
//! A [`RangeWatchBus`] carries **emits**: a `u64` value, usually the revision of a state machine,
//! and a set of byte **keys**. A **subscription** watches ranges of keys, given by [`Selector`]s,
//! and receives every emit that has a key in one of them. There is no payload, by design: the value
//! says where to look, and the store that emits it holds the data.
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
//! [`emit`](RangeWatchBus::emit) is a plain function for any thread. It never waits for a consumer:
//! when it returns, every matching subscription holds the emit, and consumers that waited have been
//! woken. Each accepted emit takes the next [`Seq`] of its bus, and everything that happens on a
//! bus has its place in that one order: the start of a subscription, an edit of its selectors, its end and the
//! close lie between two emits, never within one.
//!
//! | | |
//! |---|---|
//! | [`emit`](RangeWatchBus::emit) | a value and its keys |
//! | [`emit_next`](RangeWatchBus::emit_next) | keys, with the value that follows on the head; needs history |
//! | [`emit_many`](RangeWatchBus::emit_many) | several emits with nothing in between, one wake-up per consumer |
//! | [`batch`](RangeWatchBus::batch) | the same, put together from pieces and committed at once or not at all |
//! | [`emit_async`](RangeWatchBus::emit_async) | waits for room with the subscriptions that ask for it |
//!
//! # Two kinds of subscription
//!
//! | | [`WakeSubscription`] | [`EventSubscription`] |
//! |---|---|---|
//! | says | something you watch changed | this changed, with these of the keys that you watch |
//! | item | a [`Span`] of all matches since the last receive | an [`Event`] per matching emit |
//! | memory | constant | a queue, bounded in events and in bytes |
//! | slow consumer | a span covers more emits | as its [`Overflow`] says |
//!
//! Both are received from with `recv().await` (cancel safe), `try_recv()`, `poll_recv(cx)` or as a
//! [`Stream`](futures_core::Stream). The crate needs no executor: a receive waits with the waker it
//! is polled with.
//!
//! A consumer of spans rescans in its own store from the first value of the span, or reads the
//! state at the last. For a consumer that must see each change, a queue of events is the choice.
//!
//! # History
//!
//! A bus that is [built](RangeWatchBus::builder) with a [`History`] keeps its latest emits, bounded in events and in bytes.
//! Its values rise strictly; the greatest is the [`head`](RangeWatchBus::head), the least that can be asked for
//! the [`floor`](RangeWatchBus::floor). What it gives:
//!
//! - [`since`](SubscribeBuilder::since): begin with a value of the past, with no gap and no repeat where the past
//!   meets the present.
//! - [`Overflow::Park`]: a consumer that was too slow reads on from the history.
//! - [Progress marks](Item::Progress): everything up to this value was received, also if nothing matched.
//! - [`compact`](RangeWatchBus::compact) and [`advance`](RangeWatchBus::advance), for a store that compacts and whose
//!   revisions rise without emits; a [restored head](RangeWatchBusBuilder::head) after a restart.
//!
//! On a bus without history values are not looked at, and asking for any of this is an error, not a surprise; only a
//! wake subscription can begin in the past, with a [conservative](Span::is_conservative) span.
//!
//! After a restart, give the builder the head that the store has. To serve consumers that were behind it, give it an
//! older one and emit again what the store knows since, before anybody subscribes.
//!
//! A consumer that goes on after a restart of its own, and rescans its store where the history does not reach:
//!
//! ```
//! use rangewatch_bus::{Event, History, RangeWatchBus, RecvError, Selector, SubscribeError};
//!
//! # fn rescan_from_store() -> u64 { 900 }
//! # fn apply(_event: Event) {}
//! async fn follow(bus: &RangeWatchBus, checkpoint: u64) -> Result<(), Box<dyn std::error::Error>> {
//!     let all = || bus.subscribe(Selector::all());
//!     let mut resumed = all().since(checkpoint + 1).events(256);
//!     loop {
//!         let mut sub = match resumed {
//!             Err(SubscribeError::Compacted { .. }) => {
//!                 let mut sub = all().hold().events(256)?;
//!                 sub.start_after(rescan_from_store())?; // the revision that the scan has seen
//!                 sub
//!             }
//!             resumed => resumed?,
//!         };
//!         loop {
//!             match sub.recv().await {
//!                 Ok(event) => apply(event),
//!                 Err(RecvError::Compacted { floor }) => {
//!                     resumed = Err(SubscribeError::Compacted { floor });
//!                     break;
//!                 }
//!                 Err(RecvError::Closed) => return Ok(()),
//!                 Err(unknown) => return Err(unknown.into()),
//!             }
//!         }
//!     }
//! }
//!
//! let bus = RangeWatchBus::builder().history(History::events(100).bytes(64 << 20)).build()?;
//! for value in 1..=1000 {
//!     bus.emit(value, ["k"])?;
//! }
//! # futures::executor::block_on(async {
//! let (followed, ()) = futures::join!(follow(&bus, 10), async { bus.close() });
//! followed?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Life cycle
//!
//! A subscription delivers from the moment it is made, unless it is told otherwise:
//!
//! | state | reached by | watches | delivers |
//! |---|---|---|---|
//! | reserved | [`reserve`](RangeWatchBus::reserve) | nothing | nothing |
//! | held | [`hold`](SubscribeBuilder::hold), [`open`](EventSubscription::open), [`pause`](EventSubscription::pause) | its selectors | nothing |
//! | started | [`start`](EventSubscription::start), [`start_after`](EventSubscription::start_after) | its selectors | what it holds, then what comes |
//! | ended | [`Overflow::Disconnect`], a history that overtook it, the close | nothing | what it holds, then why it ended, for ever |
//!
//! From every state it can be cancelled or dropped, which frees what it holds at once. Its selectors can be
//! [added to](EventSubscription::add_selectors), [removed](EventSubscription::remove_selectors) and
//! [replaced](EventSubscription::set_selectors) while it is open, each at one [`Seq`] that the call returns.
//!
//! The bus closes when [`close`](RangeWatchBus::close) is called or its last handle is dropped.
//! Subscriptions still give what they hold and what they have yet to read from the history, and then say that the bus
//! is closed, for ever; [`close_now`](RangeWatchBus::close_now) discards it. Emits and subscriptions on a closed bus
//! are errors.
//!
//! # Numbers
//!
//! [`stats`](RangeWatchBus::stats) of a bus and of a subscription say what became of every emit that matched, and add
//! up. [`lag`](EventSubscription::lag) says how far a consumer is behind, [`position`](EventSubscription::position)
//! where it would resume.
//!
//! # Keys and selectors
//!
//! Keys are any bytes, of any length, ordered as unsigned bytes, lexicographically. A selector is a
//! key, a half-open range, a start without an end, a prefix or everything. A subscription takes
//! none, one or several, which may overlap; it watches their union, in [normal
//! form](WakeSubscription::selectors).
//!
//! # Locks
//!
//! A bus has one lock, and each subscription a small one of its own for the time in which one item
//! is put in or taken out. An emit holds the lock of its bus while it looks up its keys, copies them and hands
//! over to the subscriptions that match, and not while it reads the keys from the caller or wakes. Reading from the
//! history takes the lock of the bus for a bounded number of emits at a time. What takes it for longer is a subscription
//! of very many selectors, when it begins, is edited and ends; a batch, for all of its emits; a `compact`, for what it
//! forgets; and an emit so large that much of the history leaves for it. No code of a
//! caller or consumer runs under a lock: wakers may emit, subscribe, drop subscriptions and close,
//! from inside any call of the bus.
//!
//! # Features
//!
//! None is on by default, and none changes what the others do.
//!
//! - `tokio`: a `TokioTimer` for [progress marks at an interval](SubscribeBuilder::progress_every), in place of
//!   a thread.
//! - `tracing`: one event, of the target `rangewatch_bus`, when a subscription starts to be slow (`WARN`: `subscription`,
//!   `seq`, `outcome`) and one when it has caught up (`INFO`: `subscription` and its counts of emits, `delivered`,
//!   `coalesced`, `dropped`, `replayed`); never one per drop.
//! - `metrics`: `RangeWatchBus::record_metrics`, which hands the statistics to the `metrics` facade.
//!
//! # Guarantees
//!
//! Each is proved by tests that carry its number; the crate `rangewatch-checker` verifies those
//! marked \* on recorded traces, in your own tests, too.
//!
//! - G1\* Ordered: a subscription receives emits in the order of their `Seq`; with history their values strictly
//!   increase.
//! - G2\* Unique: no emit reaches a subscription twice, also where the history meets what is live.
//! - G3\* Reliable: every matching emit after the start of a subscription is delivered or lies in a
//!   delivered span; otherwise one error per contiguous miss says what was missed.
//! - G4\* Atomic: one emit is one event with all its matching keys, also when a batch put it together from pieces.
//! - G5\* Seamless start: an emit that begins after the subscription was made is seen; a concurrent
//!   one is seen wholly or not at all.
//! - G6\* Future start: `since` a value above the head delivers nothing and no progress below it.
//! - G7\* No silent gap: `since` a value below the floor fails with `Compacted`; a parked subscription that the floor
//!   overtakes ends so.
//! - G8\* `since` the floor is valid, and delivers the value of the floor if it was emitted.
//! - G9\* Progress: a mark comes after every matching value up to it; later events are above; a subscription that never
//!   matched anything gets marks, too.
//! - G10\* Exact match: a subscription gets an emit if and only if a key lies in a selector.
//! - G11\* One delivery per emit, however many keys and selectors match.
//! - G12 No lost wake-up: when a matching emit has returned, the subscription holds or has
//!   delivered it, and a waiting receive is woken.
//! - G13\* A span is exact: the first and the last value, in the order of the emits, and the count
//!   of the undelivered matching emits. One that is conservative says so.
//! - G14 The memory of a wake subscription does not grow with unread emits.
//! - G15 An emit never waits for a consumer, runs no consumer's code under its lock, and wakes only
//!   after the lock is released.
//! - G16 The steps from an emit to the wake of a consumer do not grow with the number of stalled subscriptions that the
//!   emit does not match.
//! - G17 A queue never holds more events or bytes than its bounds, nor does the history.
//! - G18\* Lagged: the next receive reports the exact number missed, then the oldest retained
//!   follows.
//! - G19\* Disconnect: buffered items first, then an error with the value to resume from; resuming there loses nothing
//!   that is still in the history.
//! - G20 Forward progress: each cycle of parking and reading delivers at least one event; a consumer that is faster
//!   than the emitters becomes live.
//! - G21 `emit_async` returns when every matching subscription with backpressure has the emit, or has it in the history if
//!   it reads from there; two of them over the same subscriptions never deadlock; dropping its future emits nothing.
//! - G22 Isolation: nothing of one bus is observable on another.
//! - G23 A cancelled or dropped subscription gets no delivery, and its memory is free, in every state.
//! - G25 Emits between `open` and `start` arrive after `start`, at a wake subscription as one span.
//! - G26 Misuse is an error value, never a panic.
//! - G27\* Closing drains: buffered items, and what a parked subscription has in the history, then the end; a later emit
//!   fails with `Closed`.
//! - G28\* Adding or removing selectors takes effect at one `Seq`, which the call returns.
//! - G35\* Conservation: at rest, the emits that matched are those delivered, coalesced, dropped, discarded and
//!   pending, per subscription and per bus.
//! - G36 `lag` is 0 if and only if a subscription is not reading from the history and holds no emit.
//!
//! Not promised: durability, any order between buses, exactly-once effects, bounds on latency.

#![forbid(unsafe_code)]

// Where what is:
//
// bus, builder    the handle of a bus, and how one is made with a history
// keys/           selectors, and the ranges of keys that they are normalized into
// index/          the interval index: which ranges hold a key
// emit/           what an emit is stored as, batches, `emit_async`, wakers to wake after the lock
// order/          the state behind the one lock of a bus, and every operation under it
// subscription/   the builder, both kinds of subscription, what they receive, errors
// queue/          the bounded queue of an event subscription, and its overflow policies
// history/        the retained emits, and how a subscription catches up from them
// watch_set/      many wake subscriptions, received through one waker
// stats, metrics  numbers; timer: where time comes from; sync: the lock, replaced by loom's in models

mod builder;
mod bus;
mod emit;
mod history;
pub mod index;
mod keys;
#[cfg(feature = "metrics")]
mod metrics;
mod order;
mod queue;
mod stats;
mod subscription;
mod sync;
pub mod timer;
mod watch_set;

pub use builder::{BuildError, RangeWatchBusBuilder};
pub use bus::RangeWatchBus;
pub use emit::{Batch, BatchFullError, EmitError, Emitted, EmittedMany};
pub use history::{CompactError, History};
pub use keys::{EmptyRangeError, KeyRange, ParseSelectorError, Selector, Selectors};
pub use order::Seq;
pub use queue::Overflow;
pub use stats::{BusStats, Stats};
pub use subscription::{
    Closed, ControlError, Event, EventSubscription, Item, Items, Keys, ProgressError, RecvError,
    Span, SubscribeBuilder, SubscribeError, TryRecvError, TryWakeError, WakeSubscription,
};
pub use watch_set::{Delivery, Ready, WatchSet};

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
