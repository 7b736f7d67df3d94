//! WASI preview1 for any WebAssembly engine, over pluggable stdio, filesystems, clocks and randomness.
//!
//! A WebAssembly program that is compiled for `wasm32-wasip1` imports 46 functions. This crate is the host's side of
//! them: safe functions over the context of one guest and the bytes of its memory. It knows no engine and no runtime;
//! what it knows is the specification, and how to survive a guest that lies.
//!
//! - [`Wasi`] is the context of one guest: its arguments, environment, streams, directories, clocks and randomness. The
//!   host hands out each of them; [`WasiBuilder`] lists the defaults, which hand out nothing.
//! - [`fs`] has the filesystems, in memory and of the host, and what it takes to make another one.
//! - [`net`] has the sockets, and what it takes to make another one.
//! - [`preview1`] has the functions, and says for each what works.
//! - [`for_each_function`] is the table of them, which a backend expands into its engine's linker. [`FUNCTIONS`] is the
//!   same table as data, to check the imports of a module against.
//!
//! Embedders who use an engine for which there is a backend only need [`Wasi`] and what goes into it.
//!
//! # Where is what
//!
//! - `context`: [`Wasi`], its builder, strings for the guest, randomness.
//! - `stdio`: [`Stdin`], [`Stdout`], pipes, buffers, budgets. `net`: listeners, sockets, relays.
//! - `fs`: the filesystem traits, the path resolver, and one folder or file per filesystem.
//! - `descriptor`: the table of open file descriptors, rights, and listings of directories.
//! - `time`: clocks and timers. `wait`: what a guest waits for, polled or blocking.
//! - `memory`: checked access to the guest's memory, and tables of buffers in it.
//! - `outcome`: how a call ends: [`Errno`], [`Interrupt`], [`Exit`], signals.
//! - `preview1`: the 46 functions, one file per subject, and the table of their signatures.
//! - `limits`: the constants that bound what one call may cost the host.
//!
//! # Examples
//!
//! What an engine does when a guest prints, done by hand: the guest has put a text and a table of buffers into its memory,
//! and calls `fd_write` on its standard output.
//!
//! ```
//! use rangewatch_wasi::{Errno, SharedBuffer, Wasi, preview1};
//!
//! let out = SharedBuffer::new();
//! let mut ctx = Wasi::builder().args(["hello.wasm"]).stdout(out.clone()).build()?;
//!
//! let mut memory = vec![0; 65_536];
//! memory[100..106].copy_from_slice(b"hello\n");
//! memory[0..4].copy_from_slice(&100_u32.to_le_bytes()); // the buffer's pointer
//! memory[4..8].copy_from_slice(&6_u32.to_le_bytes()); // and its length
//!
//! let (fd, iovs, iovs_len, nwritten_out) = (1, 0, 1, 8);
//! preview1::fd_write(&mut ctx, &mut memory, fd, iovs, iovs_len, nwritten_out)?;
//! assert_eq!(memory[8..12], 6_u32.to_le_bytes());
//! assert_eq!(out.to_string_lossy(), "hello\n");
//!
//! // A wild pointer is the guest's error and nobody else's.
//! let wild = preview1::fd_write(&mut ctx, &mut memory, fd, -1, iovs_len, nwritten_out);
//! assert_eq!(wild, Err(Errno::Fault.into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a guest costs
//!
//! A call runs on the host, where the engine's fuel does not count. So each has bounds of its own: [`MAX_IOVECS`],
//! [`MAX_TRANSFER_BYTES`], [`MAX_RANDOM_BYTES`], [`MAX_SUBSCRIPTIONS`], [`MAX_PEEK_BYTES`], [`MAX_PATH_BYTES`], [`MAX_SYMLINKS`], and the
//! limits of a [`SharedBuffer`] and a [`MemoryFs`](fs::MemoryFs). No call makes this crate allocate more than 1 MiB. What a guest moves through a stream can be given a [budget](Stdout::budget), and its sleeps a
//! [limit](WasiBuilder::max_sleep). A [`Stdout`] over a writer of the host, and a filesystem of the
//! host, take as long as they take.
//!
//! # Waiting
//!
//! A function that has to wait answers [`Interrupt::Wait`], and what it waits for stays in the context: a stream, a socket,
//! a time, or several of them. An asynchronous host awaits [`Wasi::poll_ready`], a synchronous one calls [`Wasi::block`]; either then makes the
//! same call again. In between nothing is held of the guest's memory, which may grow or move, and a guest that is dropped
//! takes along what it waited for.
//!
//! A [`pipe`] and bytes need no thread, and neither does an asynchronous reader (feature `futures-io`). A
//! [blocking reader](Stdin::reader) of an awaited guest has one; all sleeps of a process share one, unless there is a
//! [`Timer`] of the host's runtime. On every clock of this crate but
//! [`SystemClock`] no sleep is waited for.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `host-dir`: directories of the host, `fs::HostDir`.
//! - `futures-io`: streams and sockets over asynchronous readers and writers.
//! - `conformance`: `fs::conformance`, the tests that every filesystem passes, for the tests of a filesystem of one's own.

#![forbid(unsafe_code)]

mod context;
mod descriptor;
pub mod fs;
mod limits;
mod memory;
pub mod net;
mod outcome;
pub mod preview1;
mod stdio;
mod time;
mod wait;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use context::{
    Wasi,
    builder::{WasiBuildError, WasiBuilder},
    random::{Random, SeededRandom, SystemRandom},
};
pub use descriptor::{listing::DotEntries, rights::RightsMode};
pub use fs::allocate::Allocate;
pub use limits::{
    DEFAULT_MAX_DESCRIPTORS, MAX_IOVECS, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_PATH_DEPTH,
    MAX_PEEK_BYTES, MAX_RANDOM_BYTES, MAX_SUBSCRIPTIONS, MAX_SYMLINKS, MAX_TRANSFER_BYTES,
};
pub use outcome::{
    errno::Errno,
    exit::Exit,
    interrupt::{Interrupt, Signal},
    raise::Raise,
};
pub use preview1::table::{FUNCTIONS, FunctionSignature, MODULE, ValueType};
pub use stdio::{
    budget::OverBudget,
    pipe::{PipeReader, PipeWriter, TryRecvError, pipe},
    shared_buffer::SharedBuffer,
    stdin::Stdin,
    stdout::Stdout,
    stream_kind::StreamKind,
};
pub use time::{
    clock::{Clock, FixedClock, Sleep, SteppingClock, SystemClock, VirtualClock},
    timer::{ThreadTimer, Timer},
};
