//! An instance and its calls, which wasmtime suspends by itself.

use std::sync::Arc;

use async_trait::async_trait;
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
    /// The call that was begun, with its arguments.
    begun: Option<(Arc<ExportedFunc>, Vec<wasmtime::Val>)>,
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
            begun: None,
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

#[async_trait]
impl Instance for WasmtimeInstance {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        let memory = self.store.data().memory;
        let (memory, state) = memory_and_data(&mut self.store, memory);
        (memory, &mut state.guest)
    }

    fn state(&mut self) -> &mut GuestState {
        &mut self.store.data_mut().guest
    }

    fn call(&mut self, export: Export<'_>, args: &[Val]) -> Called {
        match self.begin(export, args) {
            Ok(()) => Called::Suspended,
            Err(failure) => Called::Ended(Err(failure)),
        }
    }

    async fn resume(&mut self) -> Result<Vec<Val>, Failure> {
        self.run().await
    }
}

impl WasmtimeInstance {
    /// Prepares a call, which wasmtime can only run as a future.
    fn begin(&mut self, export: Export<'_>, args: &[Val]) -> Result<(), Failure> {
        let func = self.export(export)?;
        let args = args.iter().map(to_wasmtime).collect();
        if let Some(limits) = &self.limits {
            let fuel = limits.max_fuel_per_call().unwrap_or(u64::MAX);
            let meter = self.store.data_mut().meter();
            meter.begin(fuel);
            let left = meter.deduct(fuel);
            self.store.set_fuel(left).map_err(failure)?;
        }
        self.begun = Some((func, args));
        Ok(())
    }

    /// Runs the call that was prepared.
    async fn run(&mut self) -> Result<Vec<Val>, Failure> {
        let Some((func, args)) = self.begun.take() else {
            return Err(Failure::Engine("no call was begun".into()));
        };
        match &*func {
            ExportedFunc::Nullary(func) => {
                let called = func.call_async(&mut self.store, ()).await;
                called.map(|()| Vec::new()).map_err(failure)
            }
            ExportedFunc::Any { func, n_results } => {
                let mut results = vec![wasmtime::Val::I32(0); *n_results];
                func.call_async(&mut self.store, &args, &mut results)
                    .await
                    .map_err(failure)?;
                Ok(vals(&results))
            }
        }
    }
}
