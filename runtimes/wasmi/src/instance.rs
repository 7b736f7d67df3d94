//! An instance, and how its calls are suspended and resumed.

use std::fmt;

use async_trait::async_trait;
use rangewatch_runtime::abi::GuestAbi;

use rangewatch_runtime::{
    Called, Export, Failure, FuelSlices, GuestState, HostCx, HostFunction, Instance, Limits, Val,
    WorkMeter,
};
use rangewatch_wasi::link_wasmi::{Suspended, deduct};
use wasmi::errors::HostError;
use wasmi::{Error, Func, Memory, ResumableCall, Store, StoreLimits, TrapCode};

use crate::convert::{failure, to_wasmi, vals};
use crate::linker::{DataMut, memory_and_data};

/// The data of a store of this crate.
pub(crate) struct State {
    pub(crate) guest: GuestState,
    /// The exported memory, looked up once at instantiation. The handle stays valid when the memory
    /// grows; a slice would not.
    pub(crate) memory: Option<Memory>,
    pub(crate) bounds: StoreLimits,
    /// The fuel of the running call beyond its slice, which the store has.
    pub(crate) slices: Option<FuelSlices>,
    /// Whether the start section has run, so that calls can be suspended.
    pub(crate) is_started: bool,
}

/// The context of a host function: of a running call, or of a suspended one.
pub(crate) struct Cx<'a, C>(pub(crate) &'a mut C);

impl<C: DataMut<Data = State> + Send> HostCx for Cx<'_, C> {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        let memory = self.0.data_mut().memory;
        let (memory, state) = memory_and_data(self.0, memory);
        (memory, &mut state.guest)
    }

    fn fuel_left(&mut self) -> Option<u64> {
        let slice = self.0.as_context_mut().get_fuel().ok()?;
        let state = self.0.data_mut();
        let later = state.slices.as_ref().map_or(0, FuelSlices::left);
        let owed = state.guest.meter().owed();
        Some(slice.saturating_add(later).saturating_sub(owed))
    }
}

impl State {
    pub(crate) fn abi(&mut self) -> &mut GuestAbi {
        self.guest.abi()
    }

    pub(crate) fn meter(&mut self) -> &mut WorkMeter {
        self.guest.meter()
    }
}

/// The host error by which an asynchronous host function suspends a guest. The function is awaited
/// outside of the interpreter, and the call is then resumed with its results.
#[derive(Debug)]
pub(crate) struct Suspend {
    pub(crate) function: HostFunction,
    pub(crate) args: Vec<Val>,
}

impl fmt::Display for Suspend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an asynchronous host function was called where a call cannot be suspended")
    }
}

impl HostError for Suspend {}

pub(crate) struct WasmiInstance {
    store: Store<State>,
    instance: wasmi::Instance,
    /// The exports that were called, by their numbers. To look one up again and read its type takes
    /// half as long as a call.
    exports: Vec<Option<ExportedFunc>>,
    /// The call that was suspended.
    suspended: Option<Box<SuspendedCall>>,
    /// `None` when the engine counts no fuel.
    limits: Option<Limits>,
}

/// An exported function, ready to be called.
#[derive(Clone)]
struct ExportedFunc {
    func: Func,
    /// A value of the type of each result.
    results: Box<[wasmi::Val]>,
}

impl WasmiInstance {
    pub(crate) fn new(
        store: Store<State>,
        instance: wasmi::Instance,
        limits: Option<Limits>,
    ) -> Self {
        Self {
            store,
            instance,
            exports: Vec::new(),
            suspended: None,
            limits,
        }
    }

    fn export(&mut self, export: Export<'_>) -> Result<ExportedFunc, Failure> {
        if let Some(Some(found)) = self.exports.get(export.index) {
            return Ok(found.clone());
        }
        let Export { name, index } = export;
        let func = self
            .instance
            .get_func(&self.store, name)
            .ok_or_else(|| Failure::Engine(format!("no function `{name}`").into()))?;
        let ty = func.ty(&self.store);
        let results = ty.results().iter().copied();
        let found = ExportedFunc {
            func,
            results: results.map(wasmi::Val::default_for_ty).collect(),
        };
        if self.exports.len() <= index {
            self.exports.resize(index + 1, None);
        }
        self.exports[index] = Some(found.clone());
        Ok(found)
    }

    /// Awaits the function that suspended the call with `error`. `None` for an error that did not
    /// suspend it.
    async fn host_call(&mut self, error: &Error) -> Option<Result<Vec<wasmi::Val>, Failure>> {
        if let Some(Suspend { function, args }) = error.downcast_ref() {
            let called = function.call_async(&mut Cx(&mut self.store), args).await;
            let deducted = match self.limits {
                Some(_) => deduct(&mut self.store, State::meter),
                None => Ok(()),
            };
            let values = called.map_err(Failure::from).and_then(|values| {
                deducted.map_err(failure)?;
                Ok(values.iter().map(to_wasmi).collect())
            });
            return Some(values);
        }
        let suspended = error.downcast_ref::<Suspended<State>>()?;
        Some(suspended.finish(&mut self.store).await.map_err(failure))
    }
}

#[async_trait]
impl Instance for WasmiInstance {
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
            Ok(Some(results)) => Called::Ended(Ok(results)),
            Ok(None) => Called::Suspended,
            Err(failure) => Called::Ended(Err(failure)),
        }
    }

    async fn resume(&mut self) -> Result<Vec<Val>, Failure> {
        self.run_on().await
    }
}

/// A call that was suspended, with room for its results.
struct SuspendedCall {
    /// An error where the export is the host function itself, an import that the guest passes on:
    /// there is no frame to resume.
    call: Result<ResumableCall, Error>,
    results: Box<[wasmi::Val]>,
}

impl WasmiInstance {
    /// Runs the first slice of a call. `None` if that was not all of it.
    fn begin(&mut self, export: Export<'_>, args: &[Val]) -> Result<Option<Vec<Val>>, Failure> {
        let ExportedFunc { func, mut results } = self.export(export)?;
        let args: Vec<_> = args.iter().map(to_wasmi).collect();
        self.begin_fuel()?;
        let call = func.call_resumable(&mut self.store, &args, &mut results);
        if let Ok(ResumableCall::Finished) = call {
            return Ok(Some(vals(&results)));
        }
        self.suspended = Some(Box::new(SuspendedCall { call, results }));
        Ok(None)
    }

    /// Runs the rest of a call.
    async fn run_on(&mut self) -> Result<Vec<Val>, Failure> {
        let Some(suspended) = self.suspended.take() else {
            return Err(Failure::Engine("no call was begun".into()));
        };
        let SuspendedCall { call, mut results } = *suspended;
        let mut call = match call {
            Ok(call) => call,
            Err(error) => {
                return match self.host_call(&error).await {
                    Some(values) => Ok(vals(&values?)),
                    None => Err(failure(error)),
                };
            }
        };
        loop {
            call = match call {
                ResumableCall::Finished => return Ok(vals(&results)),
                ResumableCall::OutOfFuel(call) => {
                    self.next_slice(call.required_fuel())?;
                    rangewatch_runtime::yield_now().await;
                    call.resume(&mut self.store, &mut results)
                        .map_err(failure)?
                }
                ResumableCall::HostTrap(call) => {
                    if self.is_slice_used_up()? {
                        self.next_slice(1)?;
                        rangewatch_runtime::yield_now().await;
                    }
                    let Some(values) = self.host_call(call.host_error()).await else {
                        return Err(failure(call.into_host_error()));
                    };
                    call.resume(&mut self.store, &values?, &mut results)
                        .map_err(failure)?
                }
            };
        }
    }

    /// Gives the engine the first slice of a call.
    fn begin_fuel(&mut self) -> Result<(), Failure> {
        let Some(limits) = &self.limits else {
            return Ok(());
        };
        let mut slices = FuelSlices::new(limits, MAX_SLICE);
        // None is used up by an instruction that needs none.
        let slice = slices.next_slice(0, 0).unwrap_or_default();
        let state = self.store.data_mut();
        state.slices = Some(slices);
        let meter = state.guest.meter();
        meter.begin(0);
        let left = meter.deduct(slice);
        self.store.set_fuel(left).map_err(failure)
    }

    /// Gives the engine its next slice, which is enough for an instruction that needs `required`.
    fn next_slice(&mut self, required: u64) -> Result<(), Failure> {
        let unused = self.store.get_fuel().map_err(failure)?;
        let state = self.store.data_mut();
        let owed = state.guest.meter().take();
        let next = state.slices.as_mut().and_then(|slices| {
            if slices.deduct(owed) {
                slices.next_slice(unused, required)
            } else {
                None
            }
        });
        match next {
            Some(slice) => self.store.set_fuel(slice).map_err(failure),
            None => Err(failure(TrapCode::OutOfFuel.into())),
        }
    }

    fn is_slice_used_up(&self) -> Result<bool, Failure> {
        match self.limits {
            Some(_) => Ok(self.store.get_fuel().map_err(failure)? == 0),
            None => Ok(false),
        }
    }
}

/// The most fuel of one slice. wasmi dispatches by tail calls of the native code, which the
/// compiler does not make in a build that is optimized and has debug assertions: each instruction
/// then grows the native stack until the slice ends, and 100,000 of them overflow it. Nothing says
/// at compile time how wasmi itself is optimized, so that every build with debug assertions has the
/// bound.
pub(crate) const MAX_SLICE: u64 = if cfg!(debug_assertions) {
    10_000
} else {
    u64::MAX
};
