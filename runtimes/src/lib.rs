//! Range watches for Rust and WebAssembly guests on the engine of your choice.
//!
//! A [`RangeWatchBus`] carries *emits*: a `u64` value, usually the revision of a store, and the byte keys that it
//! touched. Whoever watches a range in which one of the keys lies receives the emit. There is no payload: the value
//! says where to look, the store holds the data. Both sides are Rust code or WebAssembly *guests*, which run on
//! wasmtime, a JIT, or on wasmi, an interpreter for targets where a JIT may not run.
//!
//! This crate holds nothing of its own: it re-exports the crates of the project under one name, so that one dependency
//! and one choice of features do.
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `wasmtime` | yes | `Wasmtime`, and the module `wasmtime` for linkers that you already have |
//! | `wasmi` | yes | `Wasmi`, and the module `wasmi` for linkers that you already have |
//! | `host-dir` | yes | `HostDir`: directories of the host for guests; for hosts that have an operating system |
//! | `net` | no | sockets for guests, `wasi::net` |
//! | `overlay`, `quota` | no | the filesystems `wasi::fs::Overlay` and `wasi::fs::Quota` |
//! | `futures-io` | no | standard streams and sockets over `AsyncRead` and `AsyncWrite` |
//!
//! A feature decides what is compiled, a value decides what runs; enabling one changes nothing that is there already.
//! A program without guests needs neither, and may as well depend on `rangewatch-bus` alone.
//!
//! | here | what |
//! |---|---|
//! | [`RangeWatchBus`], [`Selector`] and what they return | the bus; all of it in [`bus`] |
//! | [`Runtime`], [`Module`], [`Guest`] and what they return | guests; all of it, the guest ABI included, in [`runtime`] |
//! | [`Wasi`] and what it is built of | WASI preview1; all of it in [`wasi`] |
//!
//! # A guest on either runtime
//!
//! The runtime is a value: the first line is the only one that changes, and an `Arc<dyn Runtime>` chosen from a
//! configuration works the same.
//!
//! ```
//! # #[cfg(feature = "wasmi")]
//! # futures::executor::block_on(async {
//! # let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../integration-tests/guests/prebuilt");
//! # let wasm = &std::fs::read(format!("{guests}/emitter.wasm"))?;
//! use rangewatch::{Guest, Limits, RangeWatchBus, Runtime, Selector, SharedBuffer, Val, Wasi};
//!
//! let runtime = rangewatch::Wasmi::new(); // or rangewatch::Wasmtime::new()
//! let module = runtime.load(wasm).await?;
//!
//! let bus = RangeWatchBus::new();
//! let mut tests = bus.subscribe(Selector::prefix("test-")).events(256)?;
//!
//! let output = SharedBuffer::new();
//! let guest = Guest::builder(&module, &bus)
//!     .wasi(Wasi::builder().args(["guest", "--verbose"]).stdin("alice\nbob\n").stdout(output.clone()).build()?)
//!     .limits(Limits::default().fuel_per_call(50_000_000).memory_bytes(64 << 20))
//!     .host_function("env", "answer", |_cx, ()| Ok(42_i32)) // the embedder's own
//!     .instantiate()
//!     .await?;
//! guest.call("apply", &[Val::I64(7)]).await?; // what it emits is on the bus
//!
//! let event = tests.recv().await?;
//! assert_eq!(event.value(), 7);
//! assert!(event.keys().eq([b"test-100", b"test-200"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A guest that watches is driven by a future that you spawn, [`Guest::pump`], or step by step with
//! [`Guest::drive_until_idle`].
//!
//! # Only WASI: run a program, capture its output
//!
//! ```
//! # #[cfg(feature = "wasmi")]
//! # futures::executor::block_on(async {
//! # let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../integration-tests/guests/prebuilt");
//! # let wasm = &std::fs::read(format!("{guests}/greet.wasm"))?;
//! # let runtime = rangewatch::Wasmi::new();
//! use rangewatch::{Access, FixedClock, MemoryFs, SharedBuffer, Wasi};
//!
//! let out = SharedBuffer::new();
//! let wasi = Wasi::builder()
//!     .args(["hello.wasm"])
//!     .stdin("alice\nbob\n")
//!     .stdout(out.clone())
//!     .preopen("/data", MemoryFs::with_files([("greeting.txt", "hello")])?, Access::ReadOnly)
//!     .clock(FixedClock::at(1_690_674_910, 239_502_000))
//!     .build()?;
//! let exit = rangewatch::run_command(&runtime, wasm, wasi).await?;
//! assert_eq!(exit.code(), 0);
//! assert_eq!(out.to_string_lossy(), "hello alice\nhello bob\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Input that comes while the guest runs, filesystems and clocks: [`recipes`].
//!
//! # An engine that you already have
//!
//! The modules `wasmtime` and `wasmi` have the same functions in the same words: `add_to_linker` for the guest ABI and
//! `add_wasi_to_linker` for WASI, on a `Linker` of your own.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub use rangewatch_bus as bus;
pub use rangewatch_runtime as runtime;
pub use rangewatch_wasi as wasi;
#[cfg(feature = "wasmi")]
#[cfg_attr(docsrs, doc(cfg(feature = "wasmi")))]
pub use rangewatch_wasmi as wasmi;
#[cfg(feature = "wasmtime")]
#[cfg_attr(docsrs, doc(cfg(feature = "wasmtime")))]
pub use rangewatch_wasmtime as wasmtime;

#[doc(inline)]
pub use rangewatch_bus::{
    Batch, BatchFullError, BuildError, BusStats, Closed, CompactError, ControlError, EmitError,
    Emitted, EmittedMany, Event, EventSubscription, History, Item, Keys, Overflow,
    ParseSelectorError, ProgressError, RangeWatchBus, RangeWatchBusBuilder, RecvError, Selector,
    Selectors, Seq, Span, Stats, SubscribeBuilder, SubscribeError, TryRecvError, TryWakeError,
    WakeSubscription,
};
#[doc(inline)]
pub use rangewatch_runtime::{
    AsyncHostFunction, CallError, CallbackError, CallbackErrorCause, Emits, EngineError,
    ExternType, FlushError, FuncType, Guest, GuestBuilder, HostCx, HostError, HostFunction,
    HostFunctionBody, Import, InstantiateError, Limits, LoadError, Module, ModuleInfo, Pump,
    RunError, Runtime, Scalar, Scalars, SyncHostFunction, TrapKind, Val, ValType, abi::AbiError,
    async_trait, run_command,
};
#[cfg(feature = "host-dir")]
#[cfg_attr(docsrs, doc(cfg(feature = "host-dir")))]
#[doc(inline)]
pub use rangewatch_wasi::fs::HostDir;
#[doc(inline)]
pub use rangewatch_wasi::fs::{Access, MemoryFs, MemoryFsBuilder, MemoryFsError};
#[doc(inline)]
pub use rangewatch_wasi::{
    Clock, DotEntries, Exit, FixedClock, OverBudget, PipeReader, PipeWriter, Raise, Random,
    RightsMode, SeededRandom, SharedBuffer, Signal, Stdin, Stdout, SteppingClock, StreamKind,
    SystemClock, SystemRandom, VirtualClock, Wasi, WasiBuildError, WasiBuilder, pipe,
};
#[cfg(feature = "wasmi")]
#[cfg_attr(docsrs, doc(cfg(feature = "wasmi")))]
#[doc(inline)]
pub use rangewatch_wasmi::Wasmi;
#[cfg(feature = "wasmtime")]
#[cfg_attr(docsrs, doc(cfg(feature = "wasmtime")))]
#[doc(inline)]
pub use rangewatch_wasmtime::Wasmtime;

/// Five programs that use WASI alone, also as the examples of this crate.
// They need both features; doc tests compile them.
#[cfg_attr(all(feature = "host-dir", feature = "wasmi"), doc = include_str!("../RECIPES.md"))]
pub mod recipes {}

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
