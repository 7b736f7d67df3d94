//! WASI preview1 for any WebAssembly engine, over pluggable stdio, filesystems, clocks and
//! randomness.
//!
//! A WebAssembly program for `wasm32-wasip1` imports 46 functions. This crate implements them for
//! hosts: safe functions over the context of one guest and the bytes of its memory, independent of
//! an engine and of an async runtime, for guests that are not trusted.
//!
//! - [`Wasi`] is the context of one guest: its arguments, environment, streams, directories, clocks
//!   and randomness. [`WasiBuilder`] lists the defaults, which grant nothing.
//! - [`fs`] has the filesystems, in memory and of the host, and the traits for implementing others.
//! - `net` (feature `net`) has the sockets, and the traits for implementing others.
//! - [`preview1`] has the functions, and documents how complete each is.
//! - [`for_each_function`] is the table of the functions, which an adapter expands into its
//!   engine's linker. [`FUNCTIONS`] is the same table as data, for checking the imports of a
//!   module.
//!
//! The modules `link_wasmtime` and `link_wasmi` (features `wasmtime` and `wasmi`) add the functions
//! to the linker of an engine that you already have. An adapter for another engine starts from
//! [`call`].
//!
//! # Modules
//!
//! - `context`: [`Wasi`], its builder, strings for the guest, randomness.
//! - `stdio`: [`Stdin`], [`Stdout`], pipes, buffers, budgets. `net`: listeners, sockets, relays.
//! - `fs`: the filesystem traits, the path resolver, and one folder or file per filesystem.
//! - `descriptor`: the table of open file descriptors, rights, and listings of directories.
//! - `time`: clocks and timers. `wait`: the state of a call that waits, polled or blocking.
//! - `memory`: checked access to the guest's memory, and tables of buffers in it.
//! - `link`: adapters for the linkers of engines. [`call`]: functions for writing an adapter.
//! - `outcome`: the ways in which a call ends: [`Errno`], [`Interrupt`], [`Exit`], signals.
//! - `preview1`: the 46 functions, one file per subject, and the table of their signatures.
//! - `limits`: constants that limit the host's cost of one call. `costs`: what the functions cost.
//!   `work`: the meter that an adapter deducts from the fuel.
//!
//! # Examples
//!
//! A guest prints: it has written a text and a table of buffers to its memory, and calls `fd_write`
//! on its standard output. An engine's adapter does the same:
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
//! // A pointer outside of the memory is an errno for the guest.
//! let result = preview1::fd_write(&mut ctx, &mut memory, fd, -1, iovs_len, nwritten_out);
//! assert_eq!(result, Err(Errno::Fault.into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! The work of the host is fuel: each function counts what it does for the guest, such as bytes
//! copied, directories entered and entries listed, in units of about one instruction
//! ([costs](preview1#costs)). The adapters deduct the units from the engine's fuel, and a guest
//! yields when its slice of fuel is used up by them; an adapter of your own reads them from
//! [`Wasi::meter`].
//!
//! One attempt of a call costs at most one slice, because each has limits of its own:
//! [`MAX_IOVECS`], [`MAX_TRANSFER_BYTES`], [`MAX_RANDOM_BYTES`], [`MAX_SUBSCRIPTIONS`],
//! [`MAX_PEEK_BYTES`], [`MAX_PATH_BYTES`], [`MAX_SYMLINKS`], [`MAX_STRINGS_BYTES`]. A
//! [`SharedBuffer`] and a [`MemoryFs`](fs::MemoryFs) are limited in size. No call makes this crate
//! allocate more than 1 MiB. A stream can have a [budget](Stdout::budget) of bytes, and a sleep a
//! [maximum](WasiBuilder::max_sleep).
//!
//! There is no limit on the time that system calls take, nor streams, filesystems and clocks of the
//! embedder; a filesystem can [add](fs::add_work) what it does. Three operations cost as much as
//! they do, and are not divided: an overlay that copies a file up, or skips the removed names of a
//! directory, and a memory filesystem that frees the contents of a file.
//!
//! # Waiting
//!
//! A function that would block returns [`Interrupt::Wait`], and the context stores what it waits
//! for: a stream, a socket, a timer, or several of them. An asynchronous host awaits
//! [`Wasi::poll_ready`], a synchronous one calls [`Wasi::block`]; then it retries the call. While
//! the guest waits, nothing refers to its memory, which may grow or move. Dropping the context
//! cancels the wait.
//!
//! Waiting for a [`pipe`] or an asynchronous reader (feature `futures-io`) uses no thread. A
//! [blocking reader](Stdin::reader) of an awaited guest uses one thread. All sleeps of a process
//! share one timer thread, unless the host sets a [`Timer`]. On every clock of this crate except
//! [`SystemClock`], sleeps elapse immediately.
//!
//! # Features
//!
//! All features are off by default.
//!
//! - `host-dir`: directories of the host, `fs::HostDir`.
//! - `overlay`, `quota`: the filesystems `fs::Overlay` and `fs::Quota`.
//! - `net`: sockets for guests. Without it, the functions `sock_*` return the errnos of a guest
//!   that has no socket.
//! - `futures-io`: streams and sockets over asynchronous readers and writers.
//! - `wasmtime`, `wasmi`: the adapters `link_wasmtime` and `link_wasmi`.
//! - `conformance`: `fs::conformance`, the tests that every filesystem passes, for your own
//!   filesystems.
//! - `web`: [`SystemClock`], [`ThreadTimer`] and [`SystemRandom`] on wasm32-unknown-unknown, from
//!   JavaScript.
//!
//! # Targets
//!
//! Any target with std, of 32 or 64 bits, big or little endian. `host-dir` and `wasmtime` are not
//! for WebAssembly. wasm32-unknown-unknown needs `web`, or a custom backend of the crate
//! `getrandom` and a clock and timer of your own. On WebAssembly:
//!
//! - A panic of a stream or filesystem of yours aborts the program, and is no
//!   [`Trap`](call::Trap::Panic).
//! - Without threads, what nothing else could end is an error: a start section that waits for a
//!   stream ([`Trap::Deadlock`](call::Trap::Deadlock)), a blocking read from an empty [`pipe`]. An
//!   asynchronous host meets neither. A blocking reader is called on the only thread, also for a
//!   guest that is awaited.
//! - Sleeps are as [`ThreadTimer`] says.

#![forbid(unsafe_code)]

pub mod call;
mod context;
mod costs;
mod descriptor;
pub mod fs;
mod limits;
#[cfg(any(feature = "wasmi", feature = "wasmtime"))]
mod link;
mod memory;
#[cfg(feature = "net")]
pub mod net;
#[cfg(not(feature = "net"))]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the feature `net` makes this module public"
)]
mod net;
mod outcome;
pub mod preview1;
mod stdio;
mod time;
mod wait;
mod work;

/// Compiles the examples of the README, which need this feature.
#[cfg(all(doctest, feature = "wasmtime"))]
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
    MAX_PEEK_BYTES, MAX_RANDOM_BYTES, MAX_STRINGS_BYTES, MAX_SUBSCRIPTIONS, MAX_SYMLINKS,
    MAX_TRANSFER_BYTES,
};
#[cfg(feature = "wasmi")]
pub use link::link_wasmi;
#[cfg(feature = "wasmtime")]
pub use link::link_wasmtime;
pub use outcome::{
    errno::Errno,
    exit::Exit,
    interrupt::{Interrupt, Signal},
    signal_policy::SignalPolicy,
};
pub use preview1::table::{FUNCTIONS, FunctionSignature, MODULE, ValueType};
pub use stdio::{
    budget::OverBudget,
    pipe::{PipeReader, PipeRecvError, PipeWriter, TryRecvError, pipe},
    shared_buffer::SharedBuffer,
    stdin::Stdin,
    stdout::Stdout,
    stream_kind::StreamKind,
};
pub use time::{
    clock::{Clock, FixedClock, Sleep, SteppingClock, SystemClock, VirtualClock},
    timer::{ThreadTimer, Timer},
};
pub use work::{Charge, WorkMeter};
