//! Modules, and what links them.

use std::sync::Arc;

use async_trait::async_trait;
use rangewatch_runtime::{
    Compiled, EngineError, Failure, GuestState, HostFunction, Imports, Instance, Limits, Linked,
};
use rangewatch_wasi::link_wasmi::{self, deduct};
use wasmi::{Caller, Error, Linker, Module, Store, StoreLimitsBuilder};

use crate::convert::{failure, func_type, to_wasmi, trap, vals};
use crate::instance::{Cx, State, Suspend, WasmiInstance};
use crate::linker::Link;

pub(crate) const NAME: &str = "wasmi";

#[derive(Clone)]
pub(crate) struct WasmiModule {
    is_metered: bool,
    module: Module,
}

impl WasmiModule {
    pub(crate) fn new(is_metered: bool, module: Module) -> Self {
        Self { is_metered, module }
    }
}

impl Compiled for WasmiModule {
    fn runtime(&self) -> &'static str {
        NAME
    }

    fn is_metered(&self) -> bool {
        self.is_metered
    }

    fn link(&self, imports: &Imports) -> Result<Arc<dyn Linked>, EngineError> {
        let mut linker = Linker::<State>::new(self.module.engine());
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
                if is_metered {
                    deduct(&mut caller, State::meter)?;
                }
                Ok(())
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
