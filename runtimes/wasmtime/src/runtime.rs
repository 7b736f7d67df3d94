//! Modules, and what links them.

use std::future::ready;
use std::sync::Arc;

use async_trait::async_trait;
use rangewatch_runtime::{
    Compiled, EngineError, Failure, GuestState, HostFunction, Imports, Instance, Limits, Linked,
    yield_now,
};
use rangewatch_wasi::link_wasmtime::{self, charge};
use wasmtime::{
    Caller, FuncType, InstancePre, Linker, Module, Result, Store, StoreLimitsBuilder, Val,
};

use crate::convert::{failure, func_type, to_wasmtime, vals};
use crate::instance::{Cx, State, WasmtimeInstance};
use crate::linker::{Link, Returned};

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
            if function.is_async() {
                link_async(&mut linker, function.clone(), ty, is_metered)?;
            } else {
                link_sync(&mut linker, function.clone(), ty, is_metered)?;
            }
        }
        let instance = linker.instantiate_pre(&self.module)?;
        Ok(Arc::new(WasmtimeLinked {
            instance,
            is_metered: self.is_metered,
        }))
    }
}

/// Links a function that returns at once. It suspends its guest only when a slice is used up.
fn link_sync(
    linker: &mut Linker<State>,
    function: HostFunction,
    ty: FuncType,
    is_metered: bool,
) -> Result<()> {
    let (module, name) = (function.module().to_owned(), function.name().to_owned());
    if !is_metered {
        linker.func_new(&module, &name, ty, move |caller, params, results| {
            let mut cx = Cx { caller, is_metered };
            set(results, &function.call(&mut cx, &vals(params))?);
            Ok(())
        })?;
        return Ok(());
    }
    linker.func_new_async(&module, &name, ty, move |caller, params, results| {
        let mut cx = Cx { caller, is_metered };
        match begin(&mut cx) {
            Ok(false) => match call_sync(&function, &mut cx, params, results) {
                // Most calls end here, without an allocation: `Returned` has no bytes.
                Ok(false) => Box::new(Returned),
                Ok(true) => Box::new(async {
                    yield_now().await;
                    Ok(())
                }),
                Err(error) => Box::new(ready(Err(error))),
            },
            Ok(true) => {
                let function = function.clone();
                Box::new(async move {
                    yield_now().await;
                    if call_sync(&function, &mut cx, params, results)? {
                        yield_now().await;
                    }
                    Ok(())
                })
            }
            Err(error) => Box::new(ready(Err(error))),
        }
    })?;
    Ok(())
}

/// Charges for a call of a host function. Returns whether the slice is used up.
fn begin(cx: &mut Cx<'_>) -> Result<bool> {
    cx.caller
        .data_mut()
        .meter()
        .add(HostFunction::UNITS_PER_CALL);
    Ok(cx.is_metered && charge(&mut cx.caller, State::meter)?)
}

/// Calls a function that returns at once. Returns whether the slice is used up.
fn call_sync(
    function: &HostFunction,
    cx: &mut Cx<'_>,
    params: &[Val],
    results: &mut [Val],
) -> Result<bool> {
    set(results, &function.call(cx, &vals(params))?);
    charge(&mut cx.caller, State::meter)
}

/// Links a function that may wait.
fn link_async(
    linker: &mut Linker<State>,
    function: HostFunction,
    ty: FuncType,
    is_metered: bool,
) -> Result<()> {
    let (module, name) = (function.module().to_owned(), function.name().to_owned());
    linker.func_new_async(&module, &name, ty, move |caller, params, results| {
        let function = function.clone();
        let mut cx = Cx { caller, is_metered };
        Box::new(async move {
            if !cx.caller.data().is_started {
                return Err(function.in_start().into());
            }
            if begin(&mut cx)? {
                yield_now().await;
            }
            set(results, &function.call_async(&mut cx, &vals(params)).await?);
            if is_metered && charge(&mut cx.caller, State::meter)? {
                yield_now().await;
            }
            Ok(())
        })
    })?;
    Ok(())
}

fn set(results: &mut [Val], values: &[rangewatch_runtime::Val]) {
    for (result, value) in results.iter_mut().zip(values) {
        *result = to_wasmtime(value);
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
