//! WASI preview1 for any WebAssembly engine, over pluggable stdio, clocks and randomness.

#![forbid(unsafe_code)]

mod builder;
mod clock;
mod descriptor;
mod errno;
mod exit;
mod iovec;
mod limits;
mod memory;
pub mod preview1;
mod random;
mod shared_buffer;
mod stdin;
mod stdout;
mod string_table;
mod table;
mod wasi;

pub use builder::{WasiBuildError, WasiBuilder};
pub use clock::{Clock, FixedClock, SteppingClock, SystemClock};
pub use errno::Errno;
pub use exit::Exit;
pub use limits::{MAX_IOVECS, MAX_RANDOM_BYTES, MAX_TRANSFER_BYTES};
pub use random::{Random, SeededRandom, SystemRandom};
pub use shared_buffer::SharedBuffer;
pub use stdin::Stdin;
pub use stdout::Stdout;
pub use table::{FUNCTIONS, FunctionSignature, MODULE, ValueType};
pub use wasi::Wasi;
