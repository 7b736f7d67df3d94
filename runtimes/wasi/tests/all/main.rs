//! The functions of WASI preview1, called as an engine would call them.

mod arbitrary;
mod arbitrary_sockets;
#[cfg(feature = "futures-io")]
mod async_streams;
mod budgets;
mod builder;
mod clocks;
mod costs;
mod descriptors;
mod guest;
mod host_sockets;
mod listeners;
mod listings;
mod memory_fs;
mod pipes;
mod polling;
mod preopens;
mod process;
mod public_types;
mod randomness;
mod reader_threads;
mod reading;
#[cfg(feature = "futures-io")]
mod relays;
mod socket_readiness;
mod sockets;
mod table;
mod waiting;
mod writing;
