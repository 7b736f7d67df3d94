//! Range watches for Rust and WebAssembly guests on the engine of your choice.
//!
//! A [`RangeWatchBus`] carries *emits*: a `u64` value, usually the revision of a store, and the
//! byte keys that it touched. A subscription receives every emit that has a key in a range that it
//! watches. The value says where to look, the store holds the data. Both sides are Rust code or
//! WebAssembly *guests*, which run on wasmi, an interpreter, or on wasmtime, a JIT.
//!
//! This crate only re-exports the crates of the project, so that a program needs one dependency and
//! one choice of features.
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `wasmi` | yes | `Wasmi`, and `with_wasmi` for linkers that you already have |
//! | `wasmtime` | no | `Wasmtime`, and the module `with_wasmtime` for linkers that you already have |
//! | `exceptions` | no | exceptions for guests on wasmtime, in `Profile::Extended` |
//! | `parallel-compilation` | no | wasmtime compiles a module on several threads |
//! | `host-dir` | no | `HostDir`: directories of the host for guests |
//! | `net` | no | sockets for guests, `wasi::net` |
//! | `overlay`, `quota` | no | the filesystems `wasi::fs::Overlay` and `wasi::fs::Quota` |
//! | `futures-io` | no | standard streams and sockets over `AsyncRead` and `AsyncWrite` |
//! | `tokio` | no | timers of the bus from tokio, in place of a thread |
//! | `tracing` | no | events of the bus for `tracing` |
//! | `metrics` | no | numbers of the bus for `metrics` |
//! | `serde` | no | serialization of events, selectors, statistics and errors of the bus, `bus::serde` |
//! | `web` | no | in a browser, on wasm32-unknown-unknown: clocks, sleeps and randomness from JavaScript |
//!
//! The default engine is wasmi: it compiles in seconds, runs on every target, and starts a guest at
//! once. wasmtime runs the code of a guest several times as fast; it takes minutes to build, and
//! supports fewer targets. A feature decides what is compiled, a value decides what runs; enabling
//! a feature does not change what exists already. A program without guests needs only
//! `rangewatch-bus`.
//!
//! wasmi needs care in one kind of build: optimized, with debug assertions, as
//! `[profile.dev.package."*"] opt-level = 2` makes it. There it overflows the native stack in long
//! runs without a pause. Guests of `Wasmi::new` run in slices of at most
//! 10,000 units of fuel in every build with debug assertions and are safe; start sections,
//! unmetered guests and guests in a store of your own are not. The README of `rangewatch-wasmi`
//! shows the profile setting that avoids it.
//!
//! | module | contents |
//! |---|---|
//! | [`bus`] | the bus, its subscriptions and its errors |
//! | [`runtime`] | guests: the traits of an engine, modules, limits, host functions, the guest ABI, errors |
//! | [`wasi`] | WASI preview1: streams, filesystems, sockets, clocks, randomness |
//! | `with_wasmi`, `with_wasmtime` | the engines: a `Runtime` each, and functions for a linker of your own |
//! | [`recipes`] | programs that use WASI alone |
//!
//! The types that most programs name are at the root.
//!
//! # A guest on either runtime
//!
//! The runtime is a value: only the first line differs between runtimes, and an `Arc<dyn Runtime>`
//! chosen from a configuration works the same.
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
//!     .wasi(Wasi::builder().stdin("alice\nbob\n").stdout(output.clone()).build()?)
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
//! # A state machine in a guest
//!
//! Commands and answers are bytes. A stream of a client is an [`Owner`]: its watches have ids of
//! their own and end with it. A [`Session`] makes several calls on one instance.
//!
//! ```
//! # #[cfg(feature = "wasmi")]
//! # futures::executor::block_on(async {
//! # let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../integration-tests/guests/prebuilt");
//! # let wasm = &std::fs::read(format!("{guests}/state_machine.wasm"))?;
//! # let runtime = rangewatch::Wasmi::new();
//! use rangewatch::{Guest, RangeWatchBus, Runtime};
//!
//! let module = runtime.load(wasm).await?;
//! let guest = Guest::builder(&module, &RangeWatchBus::new()).instantiate().await?;
//! let stream = guest.owner();
//! guest.caller().owner(&stream).call("follow", &[]).await?;
//!
//! let answer = guest.call_bytes("apply", "put job/1 clean").await?;
//! assert_eq!(answer, b"put job/1 at 1");
//! guest.drive_until_idle().await?; // or spawn `guest.pump()`
//!
//! let mut session = guest.session().await?;
//! assert_eq!(session.call_bytes("apply", "count job/").await?, b"count job/: 1");
//! assert_eq!(session.call_bytes("apply", "delete job/1").await?, b"delete job/1 at 2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`HostModule`] gives a guest functions of the embedder's, with data of each instance; a
//! [`Caller`] gives them the context of a call, such as its transaction or its client.
//! [`GuestBus::on_commit`] commits the embedder's transaction and publishes the emits of the guest
//! together. The example [`modules`] shows all of it, with a store, a cache and buffers.
//!
//! [`Limits`] bound the fuel, the time, the memory and the emits of a guest, and replace instances
//! that have grown ([`Limits::recycle_bytes`]). What the host does for a guest is fuel of the
//! guest, too. [`GuestBuilder::pool`] runs calls at the same time, [`GuestBuilder::factory`] makes
//! many equal guests. [`runtime`] has a table of all this.
//!
//! [`modules`]: https://github.com/pantopic/rangewatch/tree/main/examples/modules
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
//! `Wasmtime::with_engine` and `Wasmi::with_engine` make a runtime of an engine; their builders set
//! the profile, the stack of calls and, for wasmtime, a directory that keeps compiled modules. The
//! crates of the engines are `with_wasmtime::wasmtime` and `with_wasmi::wasmi`.
//!
//! The modules `with_wasmtime` and `with_wasmi` have functions of the same names: `add_to_linker`
//! for the guest ABI and `add_wasi_to_linker` for WASI, on a `Linker` of your own. The data of the
//! store holds a [`GuestAbi`](runtime::abi::GuestAbi) and a [`Wasi`]. The documentation of
//! `add_to_linker` shows a guest from the linker to its first callback.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub use rangewatch_bus as bus;
pub use rangewatch_runtime as runtime;
pub use rangewatch_wasi as wasi;
#[cfg(feature = "wasmi")]
#[cfg_attr(docsrs, doc(cfg(feature = "wasmi")))]
pub use rangewatch_wasmi as with_wasmi;
#[cfg(feature = "wasmtime")]
#[cfg_attr(docsrs, doc(cfg(feature = "wasmtime")))]
pub use rangewatch_wasmtime as with_wasmtime;

#[doc(inline)]
pub use rangewatch_bus::{
    EmitError, Emitter, Event, EventSet, EventSubscription, Follow, History, Mirror, Overflow,
    ParseSelectorError, RangeWatchBus, RecvError, Selector, SubscribeError, WakeSubscription,
    WatchSet,
};
#[doc(inline)]
pub use rangewatch_runtime::{
    Buffer, BuildError, CallEnd, CallError, CallOutcome, CallbackError, CallbackErrorCause, Caller,
    Emits, ErrorChain, Field, FlushError, Func, FuncType, Guest, GuestBuilder, GuestBus,
    GuestFactory, GuestId, HostCx, HostError, HostModule, InstanceId, InstantiateError, Limits,
    LoadError, MetaPage, Module, ModuleInfo, Owner, OwnerError, OwnerId, Profile, RunError,
    Runtime, Session, Staged, Start, TrapKind, Val, ValType, run_command,
};
#[cfg(feature = "host-dir")]
#[cfg_attr(docsrs, doc(cfg(feature = "host-dir")))]
#[doc(inline)]
pub use rangewatch_wasi::fs::HostDir;
#[doc(inline)]
pub use rangewatch_wasi::fs::{Access, MemoryFs};
#[doc(inline)]
pub use rangewatch_wasi::{
    Clock, Exit, FixedClock, OverBudget, Random, SeededRandom, SharedBuffer, Stdin, Stdout,
    SystemClock, SystemRandom, VirtualClock, Wasi, WasiBuilder, pipe,
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
