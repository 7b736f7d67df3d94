//! This crate and its peer on wasmtime: the same engine, the same compiled guest.

use rangewatch::wasi::Wasi;
use wasmtime::{Engine, InstancePre, Linker, Memory, Module, Store, TypedFunc};
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::context;
use crate::world::{ARGS, FileLocation, Guest, Host, MAX_INPUT, Stdin, World, input};

/// Where the peer accesses files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// On a thread pool, the default.
    OnAPool,
    /// On the guest's thread, as this crate does.
    InPlace,
}

/// A guest that is compiled, for this crate and for the peer.
pub(crate) struct Compiled {
    engine: Engine,
    ours: InstancePre<Wasi>,
    peer: InstancePre<WasiP1Ctx>,
}

impl Compiled {
    pub(crate) fn new(wat: &str) -> Self {
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
        let mut ours = Linker::new(&engine);
        rangewatch::with_wasmtime::add_wasi_to_linker(&mut ours, |wasi| wasi).unwrap();
        let mut peer = Linker::new(&engine);
        p1::add_to_linker_sync(&mut peer, |ctx| ctx).unwrap();
        Self {
            ours: ours.instantiate_pre(&module).unwrap(),
            peer: peer.instantiate_pre(&module).unwrap(),
            engine,
        }
    }

    pub(crate) fn ours(&self) -> impl Host {
        Ours(self)
    }

    pub(crate) fn peer(&self, files: Files) -> impl Host {
        Peer(self, files)
    }

    /// Makes a context and an instance, and runs a command to its end.
    pub(crate) fn run_ours(&self) {
        let ctx = Wasi::builder().args(ARGS).build().unwrap();
        run_command(Store::new(&self.engine, ctx), &self.ours);
    }

    pub(crate) fn run_peer(&self) {
        let ctx = WasiCtxBuilder::new().args(&ARGS).build_p1();
        run_command(Store::new(&self.engine, ctx), &self.peer);
    }
}

fn run_command<T>(mut store: Store<T>, instance: &InstancePre<T>) {
    let instance = instance.instantiate(&mut store).unwrap();
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start");
    start.unwrap().call(&mut store, ()).unwrap();
}

struct Ours<'a>(&'a Compiled);

impl Host for Ours<'_> {
    fn instantiate(&self, world: &World) -> Box<dyn Guest> {
        let store = Store::new(&self.0.engine, context::ours(world));
        Box::new(Instance::new(store, &self.0.ours))
    }
}

struct Peer<'a>(&'a Compiled, Files);

impl Host for Peer<'_> {
    fn instantiate(&self, world: &World) -> Box<dyn Guest> {
        let store = Store::new(&self.0.engine, context(world, self.1));
        Box::new(Instance::new(store, &self.0.peer))
    }
}

fn context(world: &World, files: Files) -> WasiP1Ctx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(&ARGS)
        .stdout(MemoryOutputPipe::new(MAX_INPUT * 2))
        .allow_blocking_current_thread(files == Files::InPlace);
    match world.stdin {
        Stdin::Prepared(n_bytes) => builder.stdin(MemoryInputPipe::new(input(n_bytes))),
        Stdin::Inherited => builder.inherit_stdin(),
    };
    match &world.dir {
        FileLocation::Nowhere => {}
        FileLocation::Host(path) => {
            builder
                .preopened_dir(path, "/", FsPerms::ReadWrite)
                .unwrap();
        }
        FileLocation::Memory(_) => panic!("wasmtime-wasi has no files in memory"),
    }
    builder.build_p1()
}

/// Builds a context with one host directory.
pub(crate) fn build_peer(path: &std::path::Path) -> WasiP1Ctx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(&ARGS)
        .preopened_dir(path, "/", FsPerms::ReadWrite)
        .unwrap();
    builder.build_p1()
}

struct Instance<T: 'static> {
    store: Store<T>,
    setup: TypedFunc<(), i32>,
    run: TypedFunc<u32, i32>,
    memory: Memory,
}

impl<T> Instance<T> {
    fn new(mut store: Store<T>, instance: &InstancePre<T>) -> Self {
        let instance = instance.instantiate(&mut store).unwrap();
        Self {
            setup: instance.get_typed_func(&mut store, "setup").unwrap(),
            run: instance.get_typed_func(&mut store, "run").unwrap(),
            memory: instance.get_memory(&mut store, "memory").unwrap(),
            store,
        }
    }
}

impl<T> Guest for Instance<T> {
    fn setup(&mut self) -> i32 {
        self.setup.call(&mut self.store, ()).unwrap()
    }

    fn run(&mut self, n: u32) -> i32 {
        self.run.call(&mut self.store, n).unwrap()
    }

    fn memory(&self) -> Option<&[u8]> {
        Some(self.memory.data(&self.store))
    }
}
