//! An instance and its calls, which wasmtime suspends by itself.

use async_trait::async_trait;
use rangewatch_runtime::abi::GuestAbi;
use rangewatch_runtime::{Failure, GuestState, HostCx, HostError, Instance, Limits, Val};
use wasmtime::{Caller, Func, Memory, ResourceLimiter, Store, StoreLimits};

use crate::convert::{failure, to_wasmtime, vals};
use crate::linker::memory_and_data;

/// The data of a store of ours.
pub(crate) struct State {
    guest: GuestState,
    /// The exported memory, looked up once at instantiation. The handle stays valid when the memory
    /// grows; a slice would not.
    memory: Option<Memory>,
    /// The export that returns the address of the meta page.
    page: Option<Func>,
    bounds: StoreLimits,
    started: bool,
}

impl State {
    pub(crate) fn new(guest: GuestState, bounds: StoreLimits) -> Self {
        Self {
            guest,
            memory: None,
            page: None,
            bounds,
            started: false,
        }
    }

    pub(crate) fn guest(&mut self) -> &mut GuestState {
        &mut self.guest
    }

    pub(crate) fn memory(&self) -> Option<Memory> {
        self.memory
    }

    pub(crate) fn is_started(&self) -> bool {
        self.started
    }

    pub(crate) fn start(&mut self, memory: Option<Memory>, page: Option<Func>) {
        self.memory = memory;
        self.page = page;
        self.started = true;
    }

    pub(crate) fn bounds(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.bounds
    }
}

/// What a host function sees.
pub(crate) struct Cx<'a>(pub(crate) Caller<'a, State>);

#[async_trait]
impl HostCx for Cx<'_> {
    fn memory(&mut self) -> &mut [u8] {
        let memory = self.0.data().memory;
        memory_and_data(&mut self.0, memory).0
    }

    fn memory_and_abi(&mut self) -> (&mut [u8], &mut GuestAbi) {
        let memory = self.0.data().memory;
        let (memory, state) = memory_and_data(&mut self.0, memory);
        (memory, state.guest.abi())
    }

    async fn page(&mut self) -> Result<u32, HostError> {
        let page = self.0.data().page;
        let page = page.ok_or("the guest does not export its meta page")?;
        let page = page.typed::<(), i32>(&self.0)?;
        Ok(page.call_async(&mut self.0, ()).await? as u32)
    }
}

pub(crate) struct WasmtimeInstance {
    store: Store<State>,
    instance: wasmtime::Instance,
    /// `None` when the engine counts no fuel.
    limits: Option<Limits>,
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
            limits,
        }
    }
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
