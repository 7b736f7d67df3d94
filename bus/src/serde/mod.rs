//! Serialization with `serde`: the form of each type. Feature `serde`.
//!
//! In JSON:
//!
//! | type | form |
//! |---|---|
//! | [`Event`] | `{"seq":1,"value":7,"keys":["a"]}`; with payloads also `"payloads":[..]`, one per key |
//! | [`Keys`] | `["a",{"base64":"/w=="}]`: see [below](#keys) |
//! | [`Span`] | `{"first":5,"last":7,"count":3,"first_seq":1,"last_seq":3,"is_conservative":false}` |
//! | [`Item`] | `{"event":{..}}`, `{"gap":{..}}` with a span, `{"progress":7}` |
//! | [`Seq`] | `1` |
//! | [`Selector`] | its [textual form](crate::Selector#textual-form): `"prefix:/registry/"` |
//! | [`Selectors`] | `["key:a","range:b..m"]` |
//! | [`Stats`] | `{"matched":5,"delivered":1,"coalesced":0,"dropped":3,"discarded":0,"pending":1}` |
//! | [`BusStats`] | its numbers by the names of its methods; `deliveries` holds a [`Stats`] |
//! | errors | `{"kind":"compacted","floor":9,"epoch":0,"message":"events that were .."}`: see [below](#errors) |
//!
//! Payloads must be `Serialize`. An `Arc` is with the feature `rc` of serde; without it, serialize
//! a type of your own, as [below](#examples).
//!
//! `Selector`, `Selectors` and `Seq` are also deserialized. Input of another form is an error. The
//! other types come from a bus only. Numbers are integers up to [`u64::MAX`]: a parser that reads
//! them as floating point, as JavaScript does, is exact up to 2<sup>53</sup>.
//!
//! # Keys
//!
//! A key that is UTF-8 is a string. Any other key is an object with one field, its standard base64
//! with padding. No string stands for other bytes, so every key keeps its bytes. The module [`key`]
//! is the same form for keys in types of your own, both ways.
//!
//! # Selectors
//!
//! A selector has one form, the textual form of command lines, configuration files and query
//! strings, in all formats. It keeps all bytes: those that are not UTF-8 are `\xNN`. A list of
//! selectors is always a sequence, also of one.
//!
//! # Errors
//!
//! `kind` is the name of the variant in snake case, or that of the error in the case of
//! [`Closed`](crate::Closed), [`EmptyRangeError`](crate::EmptyRangeError) and
//! [`BatchFullError`](crate::BatchFullError). It is stable. The fields of the variant follow under
//! their names; [`RecvError::Lagged`](crate::RecvError::Lagged) has `missed`,
//! [`RecvError::Coalesced`](crate::RecvError::Coalesced) has `gap`, a span. `message` is for
//! people, and may change.
//!
//! # Binary formats
//!
//! In formats that are not human-readable, keys are bytes. The other forms are the same. The number
//! of fields of an error depends on its kind, so that only self-describing formats can read errors.
//!
//! # Examples
//!
//! ```
//! use rangewatch_bus::{RangeWatchBus, RecvError, Selector};
//! use serde_json::json;
//!
//! let bus = RangeWatchBus::new();
//! let mut sub = bus.subscribe("a"..).events(8)?;
//! bus.emit(7, [&b"pods/a"[..], b"\xff", b"A"])?;
//! let event = serde_json::to_value(sub.try_recv()?)?;
//! assert_eq!(event, json!({"seq": 1, "value": 7, "keys": ["pods/a", {"base64": "/w=="}]}));
//!
//! let bus = RangeWatchBus::builder().payloads::<f64>().build()?;
//! let mut sub = bus.subscribe(Selector::prefix("pods/")).events(8)?;
//! bus.emit_with(7, [("pods/a", 0.5), ("nodes/n", 1.5)])?;
//! let event = serde_json::to_value(sub.try_recv()?)?;
//! assert_eq!(event, json!({"seq": 1, "value": 7, "keys": ["pods/a"], "payloads": [0.5]}));
//!
//! let selector: Selector = serde_json::from_str(r#""prefix:/registry/""#)?;
//! assert_eq!(selector, Selector::prefix("/registry/"));
//!
//! let error = RecvError::Compacted { floor: 9, epoch: 1 };
//! let message = error.to_string();
//! let error = serde_json::to_value(error)?;
//! assert_eq!(error, json!({"kind": "compacted", "floor": 9, "epoch": 1, "message": message}));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An event with payloads that are not serialized as they are:
//!
//! ```
//! use rangewatch_bus::{Event, Keys, RangeWatchBus, Seq};
//!
//! #[derive(serde::Serialize)]
//! struct Line<'a> {
//!     seq: Seq,
//!     value: u64,
//!     keys: Keys<'a, Vec<u8>>,
//!     payloads: Vec<usize>,
//! }
//!
//! fn line(event: &Event<Vec<u8>>) -> Line<'_> {
//!     Line {
//!         seq: event.seq(),
//!         value: event.value(),
//!         keys: event.keys(),
//!         payloads: event.entries().map(|(_, payload)| payload.len()).collect(),
//!     }
//! }
//!
//! let bus = RangeWatchBus::builder().payloads().build()?;
//! let mut sub = bus.subscribe(..).events(8)?;
//! bus.emit_with(7, [("a", vec![1, 2, 3])])?;
//! let json = serde_json::to_string(&line(&sub.try_recv()?))?;
//! assert_eq!(json, r#"{"seq":1,"value":7,"keys":["a"],"payloads":[3]}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`BusStats`]: crate::BusStats
//! [`Event`]: crate::Event
//! [`Item`]: crate::Item
//! [`Keys`]: crate::Keys
//! [`Selector`]: crate::Selector
//! [`Selectors`]: crate::Selectors
//! [`Seq`]: crate::Seq
//! [`Span`]: crate::Span
//! [`Stats`]: crate::Stats

mod errors;
mod event;
pub mod key;
mod selector;
mod stats;
