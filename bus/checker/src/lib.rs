//! A checker of the guarantees: records what is emitted and what is delivered, and says what was
//! broken.
//!
//! The checker is for tests, also for those of code that uses the bus: let the emitters and the
//! consumers of a test record what they do, from any number of threads, and
//! [`verify`](Checker::verify) the trace at the end. It knows the bus only by what goes in and what
//! comes out: it matches keys against selectors one by one, without the index.
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
//! What is not received but done to a subscription is told to its log, too, because it changes what is due: an
//! edit of its [selectors](Log::selectors_added), a [start after](Log::started_after) a value, and a close that
//! [discards](Log::discarded).

#![forbid(unsafe_code)]

mod checker;
mod course;
mod delivery;
mod due;
mod verify;
mod violation;

pub use checker::{Checker, Log};
pub use delivery::Delivery;
pub use violation::{Guarantee, Verified, Violation};

/// The example of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
