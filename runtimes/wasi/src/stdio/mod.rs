//! Standard streams: sources and sinks, pipes, and buffers.

#[cfg(feature = "futures-io")]
pub(crate) mod async_io;
mod blocking_reader;
pub(crate) mod budget;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod pipe;
#[cfg(unix)]
mod process_stdin;
pub(crate) mod shared_buffer;
pub(crate) mod stdin;
pub(crate) mod stdout;
pub(crate) mod stream_kind;
