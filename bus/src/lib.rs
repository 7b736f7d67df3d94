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
//! bus has its place in that one order: the start of a subscription, its end and the close lie
//! between two emits, never within one.
//!
//! # Two kinds of subscription
//!
//! | | [`WakeSubscription`] | [`EventSubscription`] |
//! |---|---|---|
//! | says | something you watch changed | this changed, with these of the keys that you watch |
//! | item | a [`Span`] of all matches since the last receive | an [`Event`] per matching emit |
//! | memory | constant | a queue of at most `capacity` events |
//! | slow consumer | a span covers more emits | the oldest are dropped, and counted |
//!
//! Both are received from with `recv().await` (cancel safe), `try_recv()`, `poll_recv(cx)` or as a
//! [`Stream`](futures_core::Stream). The crate needs no executor: a receive waits with the waker it
//! is polled with.
//!
//! A consumer of spans rescans in its own store from the first value of the span, or reads the
//! state at the last. For a consumer that must see each change, a queue of events is the choice,
//! with a rescan where it [lagged](RecvError::Lagged).
//!
//! # Lagging
//!
//! A queue of events that is full drops its oldest event for the newest, so that it never exceeds
//! its capacity and never slows an emitter. The next receive returns [`RecvError::Lagged`] with the
//! exact number of events missed since the last receive, and the one after it the oldest event
//! retained. A lag is not the end.
//!
//! # Closing
//!
//! The bus closes when [`close`](RangeWatchBus::close) is called or its last handle is dropped.
//! Subscriptions still give what they hold, a lag report included, and then say that the bus is
//! closed, for ever. Emits and subscriptions on a closed bus are errors. Dropping or cancelling a
//! subscription ends it at once and frees what it holds.
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
//! is put in or taken out. An emit holds the lock of its bus while it looks up its keys and hands
//! over to the subscriptions that match, and not while it reads the keys or wakes. No code of a
//! caller or consumer runs under a lock: wakers may emit, subscribe, drop subscriptions and close,
//! from inside any call of the bus.
//!
//! # Guarantees
//!
//! Each is proved by tests that carry its number; the [`checker`] verifies those marked \* on
//! recorded traces, in your own tests, too.
//!
//! - G1\* Ordered: a subscription receives emits in the order of their `Seq`.
//! - G2\* Unique: no emit reaches a subscription twice.
//! - G3\* Reliable: every matching emit after the start of a subscription is delivered or lies in a
//!   delivered span; otherwise one error per contiguous miss says what was missed.
//! - G4\* Atomic: one emit is one event with all its matching keys.
//! - G5\* Seamless start: an emit that begins after the subscription was made is seen; a concurrent
//!   one is seen wholly or not at all.
//! - G10\* Exact match: a subscription gets an emit if and only if a key lies in a selector.
//! - G11\* One delivery per emit, however many keys and selectors match.
//! - G12 No lost wake-up: when a matching emit has returned, the subscription holds or has
//!   delivered it, and a waiting receive is woken.
//! - G13\* A span is exact: the first and the last value, in the order of the emits, and the count
//!   of the undelivered matching emits.
//! - G14 The memory of a wake subscription does not grow with unread emits.
//! - G15 An emit never waits for a consumer, runs no consumer's code under its lock, and wakes only
//!   after the lock is released.
//! - G17 A queue never holds more events than its capacity.
//! - G18\* Lagged: the next receive reports the exact number missed, then the oldest retained
//!   follows.
//! - G22 Isolation: nothing of one bus is observable on another.
//! - G23 A cancelled or dropped subscription gets no delivery, and its memory is free.
//! - G26 Misuse is an error value, never a panic.
//! - G27 Closing drains: buffered items, then the end; a later emit fails with `Closed`.
//!
//! Not promised: durability, any order between buses, exactly-once effects, bounds on latency.

#![forbid(unsafe_code)]

mod batch;
mod builder;
mod bus;
pub mod checker;
mod control_error;
mod counts;
mod emitted;
mod escape;
mod event;
mod event_queue;
mod event_subscription;
mod history;
pub mod index;
mod item;
mod key_list;
mod key_range;
mod key_ranges;
mod mailbox;
#[cfg(feature = "metrics")]
mod metrics;
mod overflow;
mod progress;
mod queued;
mod recv_error;
mod registration;
mod replay;
mod ring;
mod selector;
mod selector_text;
mod selectors;
mod seq;
mod shared;
#[cfg(feature = "tracing")]
mod slow;
mod span;
mod state;
mod stats;
mod subscribe;
mod subscriber;
mod sync;
pub mod timer;
mod wake_buffer;
mod wake_list;
mod wake_subscription;
mod watched;

pub use batch::{Batch, BatchFullError};
pub use builder::{BuildError, RangeWatchBusBuilder};
pub use bus::RangeWatchBus;
pub use control_error::ControlError;
pub use emitted::{CompactError, EmitError, Emitted, EmittedMany};
pub use event::{Event, Keys};
pub use event_subscription::EventSubscription;
pub use history::History;
pub use item::{Item, ProgressError};
pub use key_range::{EmptyRangeError, KeyRange};
pub use overflow::Overflow;
pub use recv_error::{Closed, RecvError, TryRecvError, TryWakeError};
pub use selector::Selector;
pub use selector_text::ParseSelectorError;
pub use selectors::Selectors;
pub use seq::Seq;
pub use span::Span;
pub use stats::{BusStats, Stats};
pub use subscribe::{SubscribeBuilder, SubscribeError};
pub use wake_subscription::WakeSubscription;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
