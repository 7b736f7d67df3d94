//! What the benchmarks of guests share: the guest.
#![forbid(unsafe_code)]
#![expect(
    clippy::missing_panics_doc,
    reason = "a benchmark whose guest fails ends the program"
)]

mod looping_guest;

pub use looping_guest::{FirstKey, HOT, LoopingGuest};
