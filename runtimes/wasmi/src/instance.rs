//! An instance, and how its calls are suspended and resumed.

use async_trait::async_trait;
use rangewatch_runtime::abi::GuestAbi;
use rangewatch_runtime::{
    Failure, GuestState, HostCx, HostError, HostFunction, Instance, Limits, TrapKind, Val,
};
use rangewatch_wasi::link_wasmi::Suspended;
use wasmi::{
    AsContextMut, Caller, Error, Func, Memory, ResourceLimiter, ResumableCall, Store, StoreLimits,
    TrapCode,
};

use crate::convert::{failure, to_wasmi, vals};
use crate::linker::memory_and_data;
use crate::suspend::Suspend;

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

    /// Whether the start section has run, so that calls can be suspended.
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

/// What a host function sees: of a running call, or of a suspended one.
pub(crate) struct Cx<C>(pub(crate) C);

#[async_trait]
impl HostCx for Cx<Caller<'_, State>> {
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
        call_page(&mut self.0, page)
    }
}

#[async_trait]
impl HostCx for Cx<&mut Store<State>> {
    fn memory(&mut self) -> &mut [u8] {
        let memory = self.0.data().memory;
        memory_and_data(self.0, memory).0
    }

    fn memory_and_abi(&mut self) -> (&mut [u8], &mut GuestAbi) {
        let memory = self.0.data().memory;
        let (memory, state) = memory_and_data(self.0, memory);
        (memory, state.guest.abi())
    }

    async fn page(&mut self) -> Result<u32, HostError> {
        let page = self.0.data().page;
        call_page(&mut *self.0, page)
    }
}

/// The fuel for a call of the export that returns the address of the meta page. The call is made
/// inside another one, whose slice may be nearly used up.
const PAGE_FUEL: u64 = 100_000;

fn call_page(mut cx: impl AsContextMut, page: Option<Func>) -> Result<u32, HostError> {
    let page = page.ok_or("the guest does not export its meta page")?;
    let page = page.typed::<(), i32>(&cx)?;
    let mut cx = cx.as_context_mut();
    // An engine that counts no fuel has none to set.
    let Ok(left) = cx.get_fuel() else {
        return Ok(page.call(&mut cx, ())? as u32);
    };
    cx.set_fuel(PAGE_FUEL)?;
    let address = page.call(&mut cx, ());
    cx.set_fuel(left)?;
    Ok(address? as u32)
}

pub(crate) struct WasmiInstance {
    store: Store<State>,
    instance: wasmi::Instance,
    functions: Box<[HostFunction]>,
    /// `None` when the engine counts no fuel.
    limits: Option<Limits>,
}

impl WasmiInstance {
    pub(crate) fn new(
        store: Store<State>,
        instance: wasmi::Instance,
        functions: Box<[HostFunction]>,
        limits: Option<Limits>,
    ) -> Self {
        Self {
            store,
            instance,
            functions,
            limits,
        }
    }

    /// Awaits the function that suspended the call with `error`. `None` for an error that did not
    /// suspend it.
    async fn host_call(&mut self, error: &Error) -> Option<Result<Vec<wasmi::Val>, Failure>> {
        if let Some(Suspend { function, args }) = error.downcast_ref() {
            let function = &self.functions[*function];
            let values = function.call_async(&mut Cx(&mut self.store), args).await;
            let values = values.map(|values| values.iter().map(to_wasmi).collect());
            return Some(values.map_err(Failure::Host));
        }
        let suspended = error.downcast_ref::<Suspended>()?;
        let code = suspended
            .finish(&mut self.store, |state| state.guest().wasi())
            .await;
        Some(
            code.map(|code| vec![wasmi::Val::I32(code)])
                .map_err(failure),
        )
    }
}

#[async_trait]
impl Instance for WasmiInstance {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        let memory = self.store.data().memory;
        let (memory, state) = memory_and_data(&mut self.store, memory);
        (memory, &mut state.guest)
    }

    async fn call(&mut self, export: &str, args: &[Val]) -> Result<Vec<Val>, Failure> {
        let func = self
            .instance
            .get_func(&self.store, export)
            .ok_or_else(|| Failure::Engine(format!("no function `{export}`").into()))?;
        let args: Vec<_> = args.iter().map(to_wasmi).collect();
        let mut results: Vec<_> = func
            .ty(&self.store)
            .results()
            .iter()
            .map(|ty| wasmi::Val::default_for_ty(*ty))
            .collect();
        let mut fuel = Fuel::new(self.limits.as_ref());
        fuel.grant(&mut self.store, 0)?;
        let mut call = match func.call_resumable(&mut self.store, &args, &mut results) {
            Ok(call) => call,
            Err(error) => {
                // The export is the host function itself, an import that the guest passes on: there
                // is no frame to resume.
                let Some(values) = self.host_call(&error).await else {
                    return Err(failure(error));
                };
                return Ok(vals(&values?));
            }
        };
        loop {
            call = match call {
                ResumableCall::Finished => return Ok(vals(&results)),
                ResumableCall::OutOfFuel(call) => {
                    fuel.grant(&mut self.store, call.required_fuel())?;
                    rangewatch_runtime::yield_now().await;
                    call.resume(&mut self.store, &mut results)
                        .map_err(failure)?
                }
                ResumableCall::HostTrap(call) => {
                    let Some(values) = self.host_call(call.host_error()).await else {
                        return Err(failure(call.into_host_error()));
                    };
                    call.resume(&mut self.store, &values?, &mut results)
                        .map_err(failure)?
                }
            };
        }
    }
}

/// The fuel of one call, handed to the engine slice by slice.
struct Fuel {
    left: u64,
    slice: Option<u64>,
}

impl Fuel {
    fn new(limits: Option<&Limits>) -> Self {
        Self {
            left: limits
                .and_then(Limits::max_fuel_per_call)
                .unwrap_or(u64::MAX),
            slice: limits.map(Limits::max_fuel_slice),
        }
    }

    /// Gives the engine the next slice, or more if its next instruction needs more.
    fn grant(&mut self, store: &mut Store<State>, required: u64) -> Result<(), Failure> {
        let Some(slice) = self.slice else {
            return Ok(());
        };
        if required > 0 {
            self.left = self.left.saturating_add(store.get_fuel().map_err(failure)?);
        }
        if required > self.left {
            let kind = TrapKind::OutOfFuel;
            return Err(Failure::Trap {
                kind,
                source: Error::from(TrapCode::OutOfFuel).into(),
            });
        }
        let grant = slice.max(required).min(self.left);
        self.left -= grant;
        store.set_fuel(grant).map_err(failure)
    }
}
