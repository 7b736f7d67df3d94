//! Verifies recorded traces of a [`RangeWatchBus`](rangewatch_bus::RangeWatchBus) against its
//! guarantees.
//!
//! For tests, also of code that uses the bus: emitters and consumers record what they do, from any
//! number of threads, and [`verify`](Checker::verify) checks the trace at the end. The checker uses
//! only the public API of the bus. It matches keys against selectors one by one, without the index.
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
//! let head = bus.last_seq();
//! while let Ok(event) = sub.try_recv() {
//!     log.record(&event);
//! }
//! log.caught_up(head);
//! log.at_rest(head, sub.stats());
//!
//! let verified = checker.verify()?;
//! assert_eq!((verified.n_emits(), verified.n_deliveries()), (10, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Operations that change what is expected must be recorded, too. On the [`Log`] of the
//! subscription: [edits of its selectors](Log::selectors_added), a
//! [start after a value](Log::started_after), a [close without draining](Log::discarded). On the
//! [`Checker`]: [an advance and a compact of the history](Checker::observe).

#![forbid(unsafe_code)]

mod checker;
mod delivery;
mod expected;
mod log;
mod subscription_check;
mod trace;
mod verify;
mod violation;

pub use checker::Checker;
pub use delivery::Delivery;
pub use log::Log;
pub use violation::{Guarantee, Verified, Violation};

/// The example of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
