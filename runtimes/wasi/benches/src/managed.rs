//! This crate as a guest of a `Runtime`: the engine is behind the seam, and the context is known at
//! link time.

use futures::executor::block_on;
use rangewatch::{Guest as Managed, Module, RangeWatchBus, Runtime, Val};

use crate::context;
use crate::world::{Guest, Host, World};

/// A guest that is compiled for a runtime.
pub(crate) struct Compiled {
    module: Module,
}

impl Compiled {
    pub(crate) fn new(runtime: &dyn Runtime, wat: &str) -> Self {
        let wasm = wat::parse_str(wat).unwrap();
        let module = block_on(runtime.load(&wasm)).unwrap();
        Self { module }
    }
}

impl Host for Compiled {
    fn instantiate(&self, world: &World) -> Box<dyn Guest> {
        let bus = RangeWatchBus::new();
        let guest = Managed::builder(&self.module, &bus).wasi(context::ours(world));
        let guest = block_on(guest.instantiate()).unwrap();
        Box::new(Instance { guest })
    }
}

struct Instance {
    guest: Managed,
}

impl Instance {
    fn call(&self, export: &str, args: &[Val]) -> i32 {
        match block_on(self.guest.call(export, args)).unwrap()[..] {
            [Val::I32(errno)] => errno,
            ref other => panic!("{export} answered {other:?}"),
        }
    }
}

impl Guest for Instance {
    fn setup(&mut self) -> i32 {
        self.call("setup", &[])
    }

    fn run(&mut self, n: u32) -> i32 {
        self.call("run", &[Val::I32(n as i32)])
    }

    /// The memory of a pooled instance is not accessible.
    fn memory(&self) -> Option<&[u8]> {
        None
    }
}
