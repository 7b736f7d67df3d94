//! Emit and watch byte-key ranges from a WebAssembly guest, and answer calls with bytes.
//!
//! An **emit** carries a `u64` value, usually the revision of the guest's store, and the byte keys
//! that changed. A **watch** covers one range of keys: when an emit of any guest on the bus has a
//! key in the range, the host calls the handler of this guest with the id of the watch and a value.
//! There is no payload: the guest reads its store from that value on.
//!
//! ```
//! use rangewatch_guest as watch;
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn _initialize() {
//!     watch::receive(|id, value| rescan(id, value)).expect("registered once");
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn apply(revision: u64) {
//!     watch::emit(revision, ["test-100", "test-200"]).expect("keys fit");
//! }
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn follow() {
//!     watch::open(b"w1", "test-100".."test-300").expect("w1 is free");
//!     watch::start(b"w1").expect("w1 is open");
//! }
//!
//! fn rescan(_id: &[u8], _value: u64) { /* read the store from `_value` on */ }
//! ```
//!
//! # States of a watch
//!
//! An id is free, reserved, open or started. Ids are unique within the group that the host assigns
//! to the guest.
//!
//! | verb | from | to | in any other state |
//! |---|---|---|---|
//! | [`reserve`] | free | reserved | [`Error::Exists`] |
//! | [`open`] | free, reserved | open: matching emits are held | [`Error::AlreadyOpen`], the first range stays |
//! | [`start`] | open | started: matching emits are delivered | [`Error::NotFound`]; a second start does nothing |
//! | [`stop`] | reserved, open, started | free | [`Error::NotFound`] |
//!
//! To follow a store without a gap: reserve the id, scan the store, open the watch, scan what was
//! added since, start.
//!
//! A delivery carries the **first** value that matched since the handler was last entered for that
//! watch. Later values are coalesced into it until the handler is entered again: the value is a
//! lower bound, and a scan of the store from that value on finds them all.
//!
//! # One guest, several instances
//!
//! A host may run callbacks on another instance of the module than the one that opened the watch. A
//! handler is registered per instance, so register it in an exported `_initialize`, as above: hosts
//! call it once on each instance.
//!
//! On `wasm32-wasip1` the compiler defines the `_initialize` of a `cdylib`, which runs the
//! functions in `.init_array`: there, the handler is registered by one of these.
//!
//! ```
//! #[used]
//! # #[cfg(target_os = "wasi")]
//! #[unsafe(link_section = ".init_array")]
//! static INITIALIZE: extern "C" fn() = initialize;
//!
//! extern "C" fn initialize() {
//!     rangewatch_guest::receive(|_id, _value| {}).expect("registered once");
//! }
//! ```
//!
//!
//! # Bytes in, bytes out
//!
//! A host that drives a guest with commands calls an export with bytes and gets bytes back, such as
//! by `Guest::call_bytes` of the crate `rangewatch`. The export has no parameters and no results;
//! [`answer`] passes it the input as a slice and takes the output as a vector, and [`input`] and
//! [`output`] are the two parts of that.
//!
//! ```
//! use rangewatch_guest as watch;
//!
//! #[unsafe(no_mangle)]
//! extern "C" fn apply() {
//!     watch::answer(|command: &[u8]| -> Vec<u8> {
//!         match command.strip_prefix(b"echo ") {
//!             Some(text) => text.to_vec(),
//!             None => b"not understood".to_vec(),
//!         }
//!     })
//!     .expect("in a guest");
//! }
//! ```
//!
//! The host bounds the output, by 1 MiB unless it was built with another limit; a longer one traps.
//! Outside of such a call the input is empty, and an output traps.
//!
//! # Generations of the ABI
//!
//! The functions of the crate root are of generation 1 of the guest ABI. [`gen2`] has those of
//! generation 2, which delivers every value: a guest uses the one or the other.
//!
//! # Targets
//!
//! The crate needs `alloc`, and brings neither an allocator nor a panic handler. With the feature
//! `std`, which is on by default, a panic hook sends the text of a panic to the host; a guest
//! without `std` turns the feature off and calls [`report_panic`] from its own panic handler. The
//! host reads the text from guests that emit or watch.
//!
//! On `wasm32` every module that links the crate exports `__range_watch` and `__range_watch_recv`,
//! whether or not it watches: an export cannot depend on which functions are called. The imports
//! do: a guest that only emits imports one function, and one that only answers imports three.
//!
//! On other targets the crate builds and checks arguments as in a guest, and every call that needs
//! a host returns [`Error::NoHost`].
//!
//! Guests are single-threaded: building with the `atomics` target feature is a compile error.

#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(any(test, all(feature = "std", target_arch = "wasm32")))]
extern crate std;

pub mod abi;
mod answer;
mod emit;
mod error;
pub mod gen2;
mod host;
mod key_list;
mod panic;
mod receive;
#[cfg(any(target_arch = "wasm32", test))]
mod receiver;
mod selector;
mod verbs;
#[cfg(target_arch = "wasm32")]
mod wasm;

pub use crate::answer::{answer, input, output};
pub use crate::emit::emit;
pub use crate::error::Error;
pub use crate::panic::report_panic;
pub use crate::receive::{receive, try_receive};
pub use crate::selector::Selector;
pub use crate::verbs::{open, reserve, start, stop};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
