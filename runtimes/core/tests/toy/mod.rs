//! A runtime without an engine: a guest is a `Vec<u8>` and closures.
//!
//! It reads imports and exports from a real module, so that everything in front of the engine is
//! the real thing, and runs closures in place of code. It lives outside of the crate on purpose: a
//! third backend has no more than this to stand on.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use futures::future::BoxFuture;
use rangewatch_runtime::abi::{self, AbiError, GuestAbi, Outcome};
use rangewatch_runtime::{
    Called, Compiled, EngineError, Export, Failure, GuestState, HostCx, HostFunction, Imports,
    Instance, Limits, Linked, ModuleInfo, Runtime, TrapKind, Val, async_trait,
};

/// One export: what its code would do.
type Body =
    Arc<dyn for<'a> Fn(&'a mut Toy) -> BoxFuture<'a, Result<Vec<Val>, Failure>> + Send + Sync>;

/// The runtime, with the bodies of the one kind of guest that it can run.
pub(crate) struct ToyRuntime {
    bodies: Arc<HashMap<&'static str, Body>>,
    memory: Vec<u8>,
}

impl ToyRuntime {
    /// Guests start with this memory.
    pub(crate) fn new(memory: Vec<u8>) -> Self {
        Self {
            bodies: Arc::default(),
            memory,
        }
    }

    /// Gives the export `name` a body.
    pub(crate) fn export(
        mut self,
        name: &'static str,
        body: impl for<'a> Fn(&'a mut Toy) -> BoxFuture<'a, Result<Vec<Val>, Failure>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Arc::get_mut(&mut self.bodies)
            .expect("no module was compiled yet")
            .insert(name, Arc::new(body));
        self
    }
}

impl fmt::Debug for ToyRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToyRuntime")
    }
}

#[async_trait]
impl Runtime for ToyRuntime {
    fn name(&self) -> &'static str {
        "toy"
    }

    async fn compile(&self, wasm: &[u8]) -> Result<Arc<dyn Compiled>, EngineError> {
        let info = ModuleInfo::parse(wasm)?;
        for export in info.funcs() {
            if !self.bodies.contains_key(export) {
                return Err(format!("the toy has no body for `{export}`").into());
            }
        }
        Ok(Arc::new(ToyModule {
            bodies: self.bodies.clone(),
            memory: self.memory.clone(),
        }))
    }
}

struct ToyModule {
    bodies: Arc<HashMap<&'static str, Body>>,
    memory: Vec<u8>,
}

impl Compiled for ToyModule {
    fn runtime(&self) -> &'static str {
        "toy"
    }

    fn is_metered(&self) -> bool {
        false
    }

    fn link(&self, imports: &Imports) -> Result<Arc<dyn Linked>, EngineError> {
        Ok(Arc::new(ToyLinked {
            bodies: self.bodies.clone(),
            memory: self.memory.clone(),
            functions: imports.functions().into(),
        }))
    }
}

struct ToyLinked {
    bodies: Arc<HashMap<&'static str, Body>>,
    memory: Vec<u8>,
    functions: Arc<[HostFunction]>,
}

#[async_trait]
impl Linked for ToyLinked {
    async fn instantiate(
        &self,
        state: GuestState,
        _limits: &Limits,
    ) -> Result<Box<dyn Instance>, Failure> {
        Ok(Box::new(Toy {
            memory: self.memory.clone(),
            state,
            bodies: self.bodies.clone(),
            functions: self.functions.clone(),
            called: None,
        }))
    }
}

/// An instance.
pub(crate) struct Toy {
    pub(crate) memory: Vec<u8>,
    state: GuestState,
    bodies: Arc<HashMap<&'static str, Body>>,
    functions: Arc<[HostFunction]>,
    /// The body of the call that has begun.
    called: Option<Body>,
}

impl Toy {
    /// Calls an import of the ABI. Returns its result, which is 0 if it has none.
    pub(crate) async fn import(
        &mut self,
        function: impl Fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>,
    ) -> Result<i32, Failure> {
        loop {
            let attempt = || function(self.state.abi(), &mut self.memory);
            let outcome = abi::call::attempt("import", attempt).map_err(Failure::from)?;
            if outcome.state().is_ready() {
                return Ok(outcome.result());
            }
            poll_fn(|cx| abi::call::poll_ready("import", self.state.abi(), cx))
                .await
                .map_err(Failure::from)?;
        }
    }

    /// Calls a host function.
    pub(crate) async fn host_function(
        &mut self,
        module: &str,
        name: &str,
        args: &[Val],
    ) -> Result<Vec<Val>, Failure> {
        let functions = self.functions.clone();
        let function = functions
            .iter()
            .find(|function| function.module() == module && function.name() == name)
            .expect("core links what the module imports");
        function.call_async(self, args).await.map_err(Failure::from)
    }

    /// A trap of an engine.
    pub(crate) fn trap(kind: TrapKind) -> Failure {
        Failure::Trap {
            kind,
            source: "the toy trapped".into(),
        }
    }
}

impl HostCx for Toy {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        (&mut self.memory, &mut self.state)
    }

    fn fuel_left(&mut self) -> Option<u64> {
        None
    }
}

#[async_trait]
impl Instance for Toy {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        (&mut self.memory, &mut self.state)
    }

    fn call(&mut self, export: Export<'_>, _args: &[Val]) -> Called {
        self.called = Some(self.bodies[export.name].clone());
        Called::Suspended
    }

    async fn resume(&mut self) -> Result<Vec<Val>, Failure> {
        let body = self.called.take().expect("a call was begun");
        body(self).await
    }
}
