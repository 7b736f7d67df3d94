//! The state that a guest, its pumps and its calls share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rangewatch_wasi::Wasi;

use crate::abi::{GuestAbi, gen1};
use crate::engine::host_function::no_unwind;
use crate::engine::imports::can_receive;
use crate::engine::module::{INITIALIZE, ModuleInfo};
use crate::engine::runtime::{GuestState, Instance, Linked};
use crate::engine::val::{FuncType, Val};
use crate::guest::builder::WasiSource;
use crate::guest::call_error::CallError;
use crate::guest::callback_error::CallbackError;
use crate::guest::flush_error::FlushError;
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::pool::Pool;
use crate::watches::group::Group;
use crate::watches::signal::Signal;

pub(crate) type OnCallbackError = Box<dyn Fn(CallbackError) + Send + Sync>;
pub(crate) type OnFlushError = Box<dyn Fn(FlushError) + Send + Sync>;

/// The state that a guest, its pumps and its calls share.
pub(crate) struct Inner {
    pub(crate) info: Arc<ModuleInfo>,
    pub(crate) linked: Arc<dyn Linked>,
    pub(crate) group: Arc<Group>,
    pub(crate) wasi: WasiSource,
    pub(crate) calls: Pool,
    /// `None`: callbacks run on the instance of the calls.
    pub(crate) callbacks: Option<Pool>,
    pub(crate) on_callback_error: OnCallbackError,
    pub(crate) on_flush_error: OnFlushError,
    /// Set when the guest is closed or dropped.
    pub(crate) closing: Signal,
    /// Set when the guest is dropped: callbacks that a pump runs end.
    pub(crate) dropped: Signal,
    /// Set when the guest had watches as its only instance was lost.
    pub(crate) has_lost_watches: AtomicBool,
}

impl Inner {
    pub(crate) fn callbacks(&self) -> &Pool {
        self.callbacks.as_ref().unwrap_or(&self.calls)
    }

    /// Ends the watches of a guest whose only instance is gone.
    pub(crate) fn lose_watches(&self) {
        let has_watches = self.group.n_watches() > 0;
        self.has_lost_watches
            .fetch_or(has_watches, Ordering::Relaxed);
        self.group.end();
    }

    pub(crate) fn has_lost_watches(&self) -> bool {
        self.has_lost_watches.load(Ordering::Relaxed)
    }

    /// Makes an instance and initializes it, unless it is a command: `_start` is called before the
    /// first use of the instance, so that [`Guest::run`](crate::Guest::run) can be that call.
    pub(crate) async fn new_instance(&self) -> Result<Box<dyn Instance>, InstantiateError> {
        let mut instance = self.bare_instance().await?;
        self.initialize(&mut *instance)
            .await
            .map_err(InstantiateError::from_start)?;
        Ok(instance)
    }

    /// Makes an instance and runs its start section.
    async fn bare_instance(&self) -> Result<Box<dyn Instance>, InstantiateError> {
        let wasi = self.wasi.context()?;
        let mut state = GuestState::new(GuestAbi::of(self.group.clone()), wasi);
        let limits = self.group.limits();
        state.meter().set_slice(limits.max_fuel_slice());
        self.linked
            .instantiate(state, limits)
            .await
            .map_err(|failure| CallError::new("the start section", failure))
            .map_err(InstantiateError::from_start)
    }

    async fn initialize(&self, instance: &mut dyn Instance) -> Result<(), CallError> {
        if self.info.is_command() {
            return Ok(());
        }
        if self.info.func(INITIALIZE) == Some(&FuncType::default()) {
            let initialized = instance.call(INITIALIZE, &[]).await;
            self.flush(instance.memory_and_state().1.wasi(), INITIALIZE);
            initialized.map_err(|failure| CallError::new(INITIALIZE, failure))?;
        }
        self.read_page(instance).await
    }

    /// Flushes what `export` wrote, and reports an error of the writer.
    pub(crate) fn flush(&self, wasi: &mut Wasi, export: &str) {
        let source = match no_unwind("flush", || wasi.flush()) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(panic) => io::Error::other(panic),
        };
        let export = export.to_owned();
        (self.on_flush_error)(FlushError { export, source });
    }

    /// Reads the meta page of an initialized instance, if the module uses the ABI.
    pub(crate) async fn read_page(&self, instance: &mut dyn Instance) -> Result<(), CallError> {
        if !self.info.uses_abi() {
            return Ok(());
        }
        let page = instance
            .call(gen1::PAGE, &[])
            .await
            .map_err(|failure| CallError::new(gen1::PAGE, failure))?;
        let page = match page[..] {
            [Val::I32(page)] => page as u32,
            // The signature was checked when the imports were.
            _ => 0,
        };
        let (memory, state) = instance.memory_and_state();
        (state.abi())
            .attach(memory, page, can_receive(&self.info))
            .map_err(|source| CallError::Abi {
                export: gen1::PAGE.to_owned(),
                source,
            })
    }
}
