//! Bytes into a call and bytes out of it.
//!
//! A guest that is called by [`Guest::call_bytes`](crate::Guest::call_bytes) pulls its input and
//! hands over its output by these functions. It needs neither a meta page nor a buffer of a fixed
//! size, and no host writes into its memory between two calls.

mod functions;

pub use functions::{input_len, input_read, output_write};

/// The import module.
pub const MODULE: &str = "rangewatch_io";
/// The import that returns the number of bytes of the input.
pub const INPUT_LEN: &str = "input_len";
/// The import that copies a part of the input into the guest's memory.
pub const INPUT_READ: &str = "input_read";
/// The import that appends bytes to the output.
pub const OUTPUT_WRITE: &str = "output_write";

/// Whether the functions need the meta page.
pub const NEEDS_PAGE: bool = false;

/// The most bytes that one [`input_read`] copies.
pub const MAX_READ_BYTES: usize = 1 << 20;
