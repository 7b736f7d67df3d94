//! Modules, and what links them.

use std::sync::Arc;

use async_trait::async_trait;
use rangewatch_runtime::{
    Compiled, EngineError, Failure, GuestState, HostFunction, Imports, Instance, Limits, Linked,
    yield_now,
};
use rangewatch_wasi::link_wasmtime::{self, charge};
use wasmtime::{Caller, InstancePre, Linker, Module, Store, StoreLimitsBuilder};

use crate::convert::{failure, func_type, to_wasmtime, vals};
use crate::instance::{Cx, State, WasmtimeInstance};
use crate::linker::Link;

pub(crate) const NAME: &str = "wasmtime";

pub(crate) struct WasmtimeModule {
    is_metered: bool,
    module: Module,
}

impl WasmtimeModule {
    pub(crate) fn new(is_metered: bool, module: Module) -> Self {
        Self { is_metered, module }
    }
}

impl Compiled for WasmtimeModule {
    fn runtime(&self) -> &'static str {
        NAME
    }

    fn is_metered(&self) -> bool {
        self.is_metered
    }

    fn link(&self, imports: &Imports) -> Result<Arc<dyn Linked>, EngineError> {
        let engine = self.module.engine();
        let mut linker = Linker::<State>::new(engine);
        let is_metered = self.is_metered;
        let memory = |caller: &mut Caller<'_, State>| caller.data().memory;
        let link = Link::new(memory, State::abi, State::meter, is_metered);
        // Without fuel only a function that waits suspends its guest.
        let suspends = |result: &str| is_metered || imports.is_command() || result == "wait";
        link.link_suspending(&mut linker, imports.is_command(), suspends)?;
        link.link_blocking(&mut linker, false, |result| !suspends(result))?;
        if imports.wasi() {
            link_wasmtime::Link::new(|state: &mut State| state.guest.wasi())
                .memory(|caller| caller.data().memory)
                .add_to_linker_async(&mut linker)?;
        }
        for function in imports.functions() {
            let ty = func_type(engine, function.ty())
                .ok_or("the signature has a type that cannot be passed")?;
            let (module, name) = (function.module(), function.name());
            let function = function.clone();
            linker.func_new_async(module, name, ty, move |mut caller, params, results| {
                let function = function.clone();
                Box::new(async move {
                    if function.is_async() && !caller.data().is_started {
                        return Err(function.in_start().into());
                    }
                    caller.data_mut().meter().add(HostFunction::UNITS_PER_CALL);
                    if is_metered && charge(&mut caller, State::meter)? {
                        yield_now().await;
                    }
                    let args = vals(params);
                    let mut cx = Cx { caller, is_metered };
                    let values = function.call_async(&mut cx, &args).await?;
                    for (result, value) in results.iter_mut().zip(&values) {
                        *result = to_wasmtime(value);
                    }
                    if is_metered && charge(&mut cx.caller, State::meter)? {
                        yield_now().await;
                    }
                    Ok(())
                })
            })?;
        }
        let instance = linker.instantiate_pre(&self.module)?;
        Ok(Arc::new(WasmtimeLinked {
            instance,
            is_metered: self.is_metered,
        }))
    }
}

struct WasmtimeLinked {
    instance: InstancePre<State>,
    is_metered: bool,
}

#[async_trait]
impl Linked for WasmtimeLinked {
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
            self.instance.module().engine(),
            State {
                guest,
                memory: None,
                bounds,
                is_started: false,
            },
        );
        store.limiter(|state| &mut state.bounds);
        if self.is_metered {
            store.set_fuel(limits.start_fuel()).map_err(failure)?;
            store.data_mut().meter().begin(limits.start_fuel());
            store
                .fuel_async_yield_interval(Some(limits.max_fuel_slice()))
                .map_err(failure)?;
        }
        let instance = self
            .instance
            .instantiate_async(&mut store)
            .await
            .map_err(failure)?;
        let memory = instance.get_memory(&mut store, "memory");
        store.data_mut().memory = memory;
        store.data_mut().is_started = true;
        let limits = self.is_metered.then(|| limits.clone());
        Ok(Box::new(WasmtimeInstance::new(store, instance, limits)))
    }
}
