//! An instance and its calls, which wasmtime suspends by itself.

use async_trait::async_trait;
use rangewatch_runtime::abi::GuestAbi;
use rangewatch_runtime::{Failure, GuestState, HostCx, Instance, Limits, Val};
use wasmtime::{Caller, Memory, Store, StoreLimits};

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

/// The context of a host function.
pub(crate) struct Cx<'a>(pub(crate) Caller<'a, State>);

impl HostCx for Cx<'_> {
    fn memory_and_abi(&mut self) -> (&mut [u8], &mut GuestAbi) {
        let memory = self.0.data().memory;
        let (memory, state) = memory_and_data(&mut self.0, memory);
        (memory, state.guest.abi())
    }
}

pub(crate) struct WasmtimeInstance {
    pub(crate) store: Store<State>,
    pub(crate) instance: wasmtime::Instance,
    /// `None` when the engine counts no fuel.
    pub(crate) limits: Option<Limits>,
}

#[async_trait]
impl Instance for WasmtimeInstance {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        let memory = self.store.data().memory;
        let (memory, state) = memory_and_data(&mut self.store, memory);
        (memory, &mut state.guest)
    }

    async fn call(&mut self, export: &str, args: &[Val]) -> Result<Vec<Val>, Failure> {
        let func = self
            .instance
            .get_func(&mut self.store, export)
            .ok_or_else(|| Failure::Engine(format!("no function `{export}`").into()))?;
        if let Some(limits) = &self.limits {
            let fuel = limits.max_fuel_per_call().unwrap_or(u64::MAX);
            self.store.set_fuel(fuel).map_err(failure)?;
        }
        let args: Vec<_> = args.iter().map(to_wasmtime).collect();
        let mut results = vec![wasmtime::Val::I32(0); func.ty(&self.store).results().len()];
        func.call_async(&mut self.store, &args, &mut results)
            .await
            .map_err(failure)?;
        Ok(vals(&results))
    }
}
