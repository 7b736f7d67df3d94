//! What the benchmarks of guests share: the guest.
#![forbid(unsafe_code)]

mod looping_guest;

pub use looping_guest::{FirstKey, HOT, LoopingGuest};
