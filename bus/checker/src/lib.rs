//! Verifies recorded traces of a [`RangeWatchBus`](rangewatch_bus::RangeWatchBus) against its
//! guarantees.
//!
//! For tests of the bus and of code that uses it. Emitters and consumers record their operations in
//! a [`Checker`] and in the [`Log`] of each subscription, from any number of threads;
//! [`verify`](Checker::verify) then checks the trace. The checker uses only the public API of the
//! bus, and matches keys against selectors one by one, without the index of the bus.
//!
//! # Examples
//!
//! ```
//! use rangewatch_bus::RangeWatchBus;
//! use rangewatch_checker::Checker;
//!
//! let bus = RangeWatchBus::new();
//! let checker = Checker::new();
//! let (mut sub, log) = checker.subscribe(&bus, "a".."m", |builder| builder.events(16))?;
//!
//! let emitter = std::thread::spawn({
//!     let (bus, checker) = (bus.clone(), checker.clone());
//!     move || (1..=10).try_for_each(|value| checker.emit(&bus, value, ["a", "z"]).map(drop))
//! });
//! emitter.join().expect("no panic")?;
//!
//! // Read before the last receive: everything up to it must have been received.
//! let head = bus.last_seq();
//! while let Ok(event) = sub.try_recv() {
//!     log.record(&event);
//! }
//! log.caught_up(head);
//! // Nothing is emitted any more, so the statistics must account for every emit.
//! log.at_rest(head, sub.stats());
//!
//! let verified = checker.verify()?;
//! assert_eq!((verified.n_emits(), verified.n_deliveries()), (10, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! These operations must be recorded as well, otherwise a correct trace is reported as a violation.
//! On the [`Log`] of the subscription: [edits of its selectors](Log::selectors_added), a
//! [start after a value](Log::started_after), a [close without draining](Log::discarded). On the
//! [`Checker`]: [calls of `advance` and `compact`](Checker::observe), and
//! [restores](Checker::restore).

#![forbid(unsafe_code)]

mod checker;
mod delivery;
mod epoch;
mod expected;
mod log;
mod subscription_check;
mod trace;
mod verify;
mod violation;

pub use checker::Checker;
pub use delivery::{Delivery, fingerprint};
pub use log::Log;
pub use violation::{Guarantee, Verified, Violation};

/// The example of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
