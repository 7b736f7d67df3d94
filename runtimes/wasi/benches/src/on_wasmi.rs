//! This crate and its peer on wasmi: the same engine, the same translated guest.

use std::io::Cursor;

use rangewatch::wasi::Wasi;
use wasmi::{Engine, Linker, Memory, Module, Store, TypedFunc};
use wasmi_wasi::wasi_common::pipe::{ReadPipe, WritePipe};
use wasmi_wasi::{Dir, WasiCtx, WasiCtxBuilder, ambient_authority};

use crate::context;
use crate::world::{ARGS, FileLocation, Guest, Host, Stdin, World, input};

/// A guest that is translated, for this crate and for the peer.
pub(crate) struct Compiled {
    engine: Engine,
    module: Module,
    ours: Linker<Wasi>,
    peer: Linker<WasiCtx>,
}

impl Compiled {
    pub(crate) fn new(wat: &str) -> Self {
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
        let mut ours = Linker::new(&engine);
        rangewatch::with_wasmi::add_wasi_to_linker(&mut ours, |wasi| wasi).unwrap();
        let mut peer = Linker::new(&engine);
        wasmi_wasi::add_to_linker(&mut peer, |ctx| ctx).unwrap();
        Self {
            engine,
            module,
            ours,
            peer,
        }
    }

    pub(crate) fn ours(&self) -> impl Host {
        Ours(self)
    }

    pub(crate) fn peer(&self) -> impl Host {
        Peer(self)
    }

    /// Makes a context and an instance, and runs a command to its end.
    pub(crate) fn run_ours(&self) {
        let ctx = Wasi::builder().args(ARGS).build().unwrap();
        run_command(Store::new(&self.engine, ctx), &self.ours, &self.module);
    }

    pub(crate) fn run_peer(&self) {
        let mut builder = WasiCtxBuilder::new();
        builder.args(&ARGS.map(str::to_owned)).unwrap();
        let store = Store::new(&self.engine, builder.build());
        run_command(store, &self.peer, &self.module);
    }
}

fn run_command<T>(mut store: Store<T>, linker: &Linker<T>, module: &Module) {
    let instance = linker.instantiate_and_start(&mut store, module).unwrap();
    let start = instance.get_typed_func::<(), ()>(&store, "_start");
    start.unwrap().call(&mut store, ()).unwrap();
}

struct Ours<'a>(&'a Compiled);

impl Host for Ours<'_> {
    fn instantiate(&self, world: &World) -> Box<dyn Guest> {
        let store = Store::new(&self.0.engine, context::ours(world));
        Box::new(Instance::new(store, &self.0.ours, &self.0.module))
    }
}

struct Peer<'a>(&'a Compiled);

impl Host for Peer<'_> {
    fn instantiate(&self, world: &World) -> Box<dyn Guest> {
        let store = Store::new(&self.0.engine, context(world));
        Box::new(Instance::new(store, &self.0.peer, &self.0.module))
    }
}

fn context(world: &World) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder.args(&ARGS.map(str::to_owned)).unwrap();
    match world.stdin {
        Stdin::Prepared(n_bytes) => {
            builder.stdin(Box::new(ReadPipe::new(Cursor::new(input(n_bytes)))))
        }
        Stdin::Inherited => builder.inherit_stdin(),
    };
    builder.stdout(Box::new(WritePipe::new_in_memory()));
    match &world.dir {
        FileLocation::Nowhere => {}
        FileLocation::Host(path) => {
            let dir = Dir::open_ambient_dir(path, ambient_authority()).unwrap();
            builder.preopened_dir(dir, "/").unwrap();
        }
        FileLocation::Memory(_) => panic!("wasmi_wasi has no files in memory"),
    }
    builder.build()
}

/// Builds a context with one host directory.
pub(crate) fn build_peer(path: &std::path::Path) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder.args(&ARGS.map(str::to_owned)).unwrap();
    let dir = Dir::open_ambient_dir(path, ambient_authority()).unwrap();
    builder.preopened_dir(dir, "/").unwrap();
    builder.build()
}

struct Instance<T> {
    store: Store<T>,
    setup: TypedFunc<(), i32>,
    run: TypedFunc<u32, i32>,
    memory: Memory,
}

impl<T> Instance<T> {
    fn new(mut store: Store<T>, linker: &Linker<T>, module: &Module) -> Self {
        let instance = linker.instantiate_and_start(&mut store, module).unwrap();
        Self {
            setup: instance.get_typed_func(&store, "setup").unwrap(),
            run: instance.get_typed_func(&store, "run").unwrap(),
            memory: instance.get_memory(&store, "memory").unwrap(),
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
