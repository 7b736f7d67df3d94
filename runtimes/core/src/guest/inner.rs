//! What a guest, its pumps and its calls share.

use std::sync::Arc;

use crate::abi::{self, GuestAbi};
use crate::engine::failure::Failure;
use crate::engine::module::ModuleInfo;
use crate::engine::runtime::{GuestState, Instance, Linked};
use crate::engine::val::{FuncType, Val};
use crate::guest::builder::WasiSource;
use crate::guest::call_error::CallError;
use crate::guest::callback_error::CallbackError;
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::pool::Pool;
use crate::watches::group::Group;

pub(crate) type OnCallbackError = Box<dyn Fn(CallbackError) + Send + Sync>;

/// What a guest, its pumps and its calls share.
pub(crate) struct Inner {
    pub(crate) info: Arc<ModuleInfo>,
    pub(crate) linked: Arc<dyn Linked>,
    pub(crate) group: Arc<Group>,
    pub(crate) wasi: WasiSource,
    pub(crate) calls: Pool,
    /// `None`: callbacks run on the instance of the calls.
    pub(crate) callbacks: Option<Pool>,
    pub(crate) on_callback_error: OnCallbackError,
}

impl Inner {
    pub(crate) fn callbacks(&self) -> &Pool {
        self.callbacks.as_ref().unwrap_or(&self.calls)
    }

    /// Makes an instance that is ready to be called.
    pub(crate) async fn new_instance(&self) -> Result<Box<dyn Instance>, InstantiateError> {
        let mut instance = self.bare_instance().await?;
        let started = self.start(&mut *instance).await;
        let flushed = instance.memory_and_state().1.wasi().flush();
        started?;
        flushed.map_err(|error| InstantiateError::Wasi(error.into()))?;
        Ok(instance)
    }

    /// Makes an instance and runs its start section.
    async fn bare_instance(&self) -> Result<Box<dyn Instance>, InstantiateError> {
        let wasi = self.wasi.context()?;
        let state = GuestState::new(GuestAbi::of(self.group.clone()), wasi);
        self.linked
            .instantiate(state, self.group.limits())
            .await
            .map_err(|failure| start_error("the start section", failure))
    }

    /// Initializes an instance and asks it for its meta page.
    async fn start(&self, instance: &mut dyn Instance) -> Result<(), InstantiateError> {
        if self.info.func(INITIALIZE) == Some(&FuncType::default()) {
            instance
                .call(INITIALIZE, &[])
                .await
                .map_err(|failure| start_error(INITIALIZE, failure))?;
        }
        if self.info.uses_abi() {
            let page = instance
                .call(abi::PAGE, &[])
                .await
                .map_err(|failure| start_error(abi::PAGE, failure))?;
            let page = match page[..] {
                [Val::I32(page)] => page as u32,
                // The signature was checked when the imports were.
                _ => 0,
            };
            let can_receive = self.info.func(abi::RECV) == Some(&FuncType::default());
            let (memory, state) = instance.memory_and_state();
            state
                .abi()
                .attach(memory, page, can_receive)
                .map_err(|source| {
                    InstantiateError::Start(Box::new(CallError::Abi {
                        export: abi::PAGE.to_owned(),
                        source,
                    }))
                })?;
        }
        Ok(())
    }
}

/// The export by which a reactor is initialized. Source: WASI preview1, application ABI.
const INITIALIZE: &str = "_initialize";

fn start_error(export: &str, failure: Failure) -> InstantiateError {
    match failure {
        Failure::Engine(error) => InstantiateError::Engine(error),
        failure => InstantiateError::Start(Box::new(CallError::new(export, failure))),
    }
}
