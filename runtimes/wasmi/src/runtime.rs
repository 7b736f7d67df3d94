//! The engine, its modules, and what links them.

use std::sync::Arc;

use async_trait::async_trait;
use rangewatch_runtime::{
    Compiled, EngineError, Failure, GuestState, HostFunction, Imports, Instance, Limits, Linked,
    Runtime,
};
use rangewatch_wasi::link_wasmi;
use wasmi::{
    Caller, CompilationMode, Config, Engine, Error, Linker, Module, Store, StoreLimitsBuilder,
};

use crate::convert::{failure, func_type, to_wasmi, trap, vals};
use crate::instance::{Cx, State, Suspend, WasmiInstance};
use crate::linker::{Link, deduct};

/// Frames that a guest's call stack may have. wasmi would stop at 1,000, where programs that
/// recurse as deep as a compiled engine allows need more; its stack is on the heap
/// and bounded in bytes besides.
const MAX_RECURSION_DEPTH: usize = 16_384;

/// Bytes that the values of all frames of one call may take: 512 for each frame.
const MAX_STACK_BYTES: usize = 512 * MAX_RECURSION_DEPTH;

/// wasmi as a [`Runtime`].
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Runtime;
///
/// let runtime: std::sync::Arc<dyn Runtime> = std::sync::Arc::new(rangewatch_wasmi::Wasmi::new());
/// assert_eq!(runtime.name(), "wasmi");
/// ```
#[derive(Clone, Debug)]
pub struct Wasmi {
    engine: Engine,
    is_metered: bool,
}

impl Wasmi {
    /// An engine that counts fuel: guests yield at every slice and may be limited.
    #[must_use]
    pub fn new() -> Self {
        Self::with(true)
    }

    /// An engine that counts no fuel. A guest that loops blocks its thread without end: for
    /// trusted guests only.
    #[must_use]
    pub fn unmetered() -> Self {
        Self::with(false)
    }

    fn with(is_metered: bool) -> Self {
        let mut config = Config::default();
        config
            // A call into a function that is translated lazily could not be resumed.
            .compilation_mode(CompilationMode::Eager)
            .consume_fuel(is_metered)
            .set_max_recursion_depth(MAX_RECURSION_DEPTH)
            .set_max_stack_height(MAX_STACK_BYTES);
        Self {
            engine: Engine::new(&config),
            is_metered,
        }
    }
}

impl Default for Wasmi {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Runtime for Wasmi {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn compile(&self, wasm: &[u8]) -> Result<Arc<dyn Compiled>, EngineError> {
        let module = Module::new(&self.engine, wasm)?;
        Ok(Arc::new(WasmiModule {
            runtime: self.clone(),
            module,
        }))
    }
}

const NAME: &str = "wasmi";

#[derive(Clone)]
struct WasmiModule {
    runtime: Wasmi,
    module: Module,
}

impl Compiled for WasmiModule {
    fn runtime(&self) -> &'static str {
        NAME
    }

    fn is_metered(&self) -> bool {
        self.runtime.is_metered
    }

    fn link(&self, imports: &Imports) -> Result<Arc<dyn Linked>, EngineError> {
        let mut linker = Linker::<State>::new(&self.runtime.engine);
        let is_command = imports.is_command();
        let is_metered = self.is_metered();
        let link = Link::new(
            |caller: &Caller<'_, State>| caller.data().memory,
            State::abi,
            State::meter,
            is_metered,
        );
        link.link(&mut linker, move |_| is_command, |state| state.is_started)?;
        if imports.wasi() {
            link_wasmi::Link::new(|state: &mut State| state.guest.wasi())
                .memory(|caller| caller.data().memory)
                .add_to_linker_async(&mut linker, |state| state.is_started)?;
        }
        for function in imports.functions() {
            let ty =
                func_type(function.ty()).ok_or("the signature has a type that cannot be passed")?;
            let (module, name) = (function.module(), function.name());
            let function = function.clone();
            linker.func_new(module, name, ty, move |mut caller, params, results| {
                let args = vals(params);
                caller.data_mut().meter().add(HostFunction::UNITS_PER_CALL);
                // A sequence of imports without a branch has no other point where the slice ends.
                let is_used_up = is_metered && caller.get_fuel()? == 0;
                if function.is_async() || (is_used_up && caller.data().is_started) {
                    let function = function.clone();
                    return Err(Error::host(Suspend { function, args }));
                }
                let values = function.call(&mut Cx(&mut caller), &args).map_err(trap)?;
                for (result, value) in results.iter_mut().zip(&values) {
                    *result = to_wasmi(value);
                }
                deduct(&mut caller, State::meter, is_metered)
            })?;
        }
        Ok(Arc::new(WasmiLinked {
            module: self.clone(),
            linker,
        }))
    }
}

struct WasmiLinked {
    module: WasmiModule,
    linker: Linker<State>,
}

#[async_trait]
impl Linked for WasmiLinked {
    async fn instantiate(
        &self,
        guest: GuestState,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, Failure> {
        let bounds = StoreLimitsBuilder::new()
            .memory_size(limits.max_memory_bytes())
            .table_elements(limits.max_table_elements())
            .tables(Limits::MAX_TABLES)
            .build();
        let mut store = Store::new(
            self.linker.engine(),
            State {
                guest,
                memory: None,
                bounds,
                slices: None,
                is_started: false,
            },
        );
        store.limiter(|state| &mut state.bounds);
        let is_metered = self.module.is_metered();
        if is_metered {
            store.set_fuel(limits.start_fuel()).map_err(failure)?;
        }
        let instance = self
            .linker
            .instantiate_and_start(&mut store, &self.module.module)
            .map_err(|error| match error.downcast_ref::<Suspend>() {
                Some(suspend) => Failure::Host(suspend.function.in_start()),
                None => failure(error),
            })?;
        let memory = instance.get_memory(&store, "memory");
        store.data_mut().memory = memory;
        store.data_mut().is_started = true;
        let limits = is_metered.then(|| limits.clone());
        Ok(Box::new(WasmiInstance::new(store, instance, limits)))
    }
}
