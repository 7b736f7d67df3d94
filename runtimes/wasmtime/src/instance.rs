//! An instance and its calls, which wasmtime suspends by itself.

use std::sync::Arc;

use rangewatch_runtime::abi::GuestAbi;
use rangewatch_runtime::{
    Called, Export, Failure, GuestState, HostCx, Instance, Limits, Val, WorkMeter,
};
use wasmtime::{Caller, Func, Memory, Store, StoreLimits, TypedFunc};

use crate::convert::{failure, to_wasmtime, vals};
use crate::linker::memory_and_data;

/// The data of a store of this crate.
pub(crate) struct State {
    pub(crate) guest: GuestState,
    /// The exported memory, looked up once at instantiation. The handle stays valid when the memory
    /// grows; a slice would not.
    pub(crate) memory: Option<Memory>,
    pub(crate) bounds: StoreLimits,
    /// Whether the start section has run, so that calls can be suspended.
    pub(crate) is_started: bool,
}

impl State {
    pub(crate) fn abi(&mut self) -> &mut GuestAbi {
        self.guest.abi()
    }

    pub(crate) fn meter(&mut self) -> &mut WorkMeter {
        self.guest.meter()
    }
}

/// The context of a host function.
pub(crate) struct Cx<'a> {
    pub(crate) caller: Caller<'a, State>,
    pub(crate) is_metered: bool,
}

impl HostCx for Cx<'_> {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        let memory = self.caller.data().memory;
        let (memory, state) = memory_and_data(&mut self.caller, memory);
        (memory, &mut state.guest)
    }

    fn fuel_left(&mut self) -> Option<u64> {
        if !self.is_metered {
            return None;
        }
        let fuel = self.caller.get_fuel().ok()?;
        Some(fuel.saturating_sub(self.caller.data_mut().meter().owed()))
    }
}

pub(crate) struct WasmtimeInstance {
    store: Store<State>,
    instance: wasmtime::Instance,
    /// The exports that were called, by their numbers. To look one up again takes longer than a
    /// call.
    exports: Vec<Option<Arc<ExportedFunc>>>,
    /// `None` when the engine counts no fuel.
    limits: Option<Limits>,
}

/// An exported function, ready to be called. To clone a typed one is slow: it registers its type.
enum ExportedFunc {
    /// Without parameters and results, as callbacks are: wasmtime checks no types in its calls.
    Nullary(TypedFunc<(), ()>),
    Any {
        func: Func,
        n_results: usize,
    },
}

impl WasmtimeInstance {
    pub(crate) fn new(
        store: Store<State>,
        instance: wasmtime::Instance,
        limits: Option<Limits>,
    ) -> Self {
        Self {
            store,
            instance,
            exports: Vec::new(),
            limits,
        }
    }

    fn export(&mut self, export: Export<'_>) -> Result<Arc<ExportedFunc>, Failure> {
        if let Some(Some(found)) = self.exports.get(export.index) {
            return Ok(Arc::clone(found));
        }
        let Export { name, index } = export;
        let func = self
            .instance
            .get_func(&mut self.store, name)
            .ok_or_else(|| Failure::Engine(format!("no function `{name}`").into()))?;
        let found = Arc::new(match func.typed(&self.store) {
            Ok(func) => ExportedFunc::Nullary(func),
            Err(_) => ExportedFunc::Any {
                func,
                n_results: func.ty(&self.store).results().len(),
            },
        });
        if self.exports.len() <= index {
            self.exports.resize(index + 1, None);
        }
        self.exports[index] = Some(Arc::clone(&found));
        Ok(found)
    }
}

impl Instance for WasmtimeInstance {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        let memory = self.store.data().memory;
        let (memory, state) = memory_and_data(&mut self.store, memory);
        (memory, &mut state.guest)
    }

    fn call<'a>(&'a mut self, export: Export<'a>, args: &'a [Val]) -> Called<'a> {
        Called::Running(Box::pin(self.run(export, args)))
    }
}

impl WasmtimeInstance {
    async fn run(&mut self, export: Export<'_>, args: &[Val]) -> Result<Vec<Val>, Failure> {
        let export = self.export(export)?;
        if let Some(limits) = &self.limits {
            let fuel = limits.max_fuel_per_call().unwrap_or(u64::MAX);
            self.store.set_fuel(fuel).map_err(failure)?;
            self.store.data_mut().meter().begin(fuel);
        }
        match &*export {
            ExportedFunc::Nullary(func) => {
                let called = func.call_async(&mut self.store, ()).await;
                called.map(|()| Vec::new()).map_err(failure)
            }
            ExportedFunc::Any { func, n_results } => {
                let args: Vec<_> = args.iter().map(to_wasmtime).collect();
                let mut results = vec![wasmtime::Val::I32(0); *n_results];
                func.call_async(&mut self.store, &args, &mut results)
                    .await
                    .map_err(failure)?;
                Ok(vals(&results))
            }
        }
    }
}
