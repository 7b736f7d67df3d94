//! The state that a guest, its pumps and its calls share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use rangewatch_bus::timer::Timer;
use rangewatch_wasi::Wasi;

use crate::abi::GuestAbi;
use crate::engine::exports::Exports;
use crate::engine::host_function::{HostError, no_unwind, run_hook};
use crate::engine::host_module::{DataSource, PageSource};
use crate::engine::module::{ModuleInfo, START};
use crate::engine::runtime::{GuestState, Instance, Linked};
use crate::guest::builder::WasiSource;
use crate::guest::call_end::CallEnd;
use crate::guest::call_error::CallError;
use crate::guest::callback_error::CallbackError;
use crate::guest::emits::Emits;
use crate::guest::flush_error::FlushError;
use crate::guest::guest_bus::GuestBus;
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::limits::Limits;
use crate::guest::pool::Pool;
use crate::guest::session::{Role, Session};
use crate::guest::start::Start;
use crate::watches::guest_watches::GuestWatches;
use crate::watches::owner::Owner;
use crate::watches::signal::Signal;

pub(crate) type OnCallbackError = Box<dyn Fn(CallbackError) + Send + Sync>;
pub(crate) type OnFlushError = Box<dyn Fn(FlushError) + Send + Sync>;
pub(crate) type OnCallEnd = Box<dyn Fn(&mut CallEnd<'_>) + Send + Sync>;
pub(crate) type OnInstance =
    Box<dyn for<'a> Fn(&'a mut Session) -> BoxFuture<'a, Result<(), HostError>> + Send + Sync>;

/// What equal guests share: a linked module, and how its instances are made and used.
pub(crate) struct Config {
    pub(crate) info: Arc<ModuleInfo>,
    pub(crate) exports: Exports,
    pub(crate) linked: Arc<dyn Linked>,
    pub(crate) can_receive: bool,
    pub(crate) bus: GuestBus,
    /// Whether the bus has a commit hook.
    pub(crate) has_hook: bool,
    pub(crate) limits: Limits,
    pub(crate) emits: Emits,
    pub(crate) start: Start,
    pub(crate) wasi: WasiSource,
    pub(crate) data: Vec<DataSource>,
    /// The meta pages of the modules of host functions that the guest imports from.
    pub(crate) pages: Vec<PageSource>,
    /// The instances for calls and for callbacks; `None`: one for both.
    pub(crate) pool: Option<(u32, u32)>,
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) on_instance: Option<OnInstance>,
    pub(crate) on_call_end: Vec<OnCallEnd>,
    pub(crate) on_callback_error: OnCallbackError,
    pub(crate) on_flush_error: OnFlushError,
}

impl Config {
    /// Whether an instance has to be started before it is used: one of a command that uses the ABI
    /// or another meta page.
    pub(crate) fn starts_before_use(&self) -> bool {
        self.is_command() && (self.info.uses_abi() || !self.pages.is_empty())
    }

    /// Whether the guest has a WASI context of the embedder's, whose output has to be flushed.
    pub(crate) fn has_wasi(&self) -> bool {
        !matches!(self.wasi, WasiSource::None)
    }

    /// Whether a call of `export` is a run: `_start`, unless it is an export as any other, of a
    /// reactor or of a guest that the embedder starts.
    pub(crate) fn is_run(&self, export: &str) -> bool {
        export == START && (self.is_command() || self.start == Start::Command)
    }

    /// Whether `_start` runs when the guest is used, and not when an instance is made.
    pub(crate) fn is_command(&self) -> bool {
        self.start == Start::Automatic && self.info.is_command()
    }
}

/// The state that a guest, its pumps and its calls share.
pub(crate) struct Inner {
    pub(crate) config: Arc<Config>,
    pub(crate) watches: Arc<GuestWatches>,
    /// The owner of calls that name none.
    pub(crate) owner: Owner,
    calls: Pool,
    /// `None`: callbacks run on the instance of the calls.
    callbacks: Option<Pool>,
    /// Set when the guest is closed or dropped.
    pub(crate) closing: Signal,
    /// Set when the guest is dropped: callbacks that a pump runs end.
    pub(crate) dropped: Signal,
    /// Set when the guest had watches as its only instance was lost.
    has_lost_watches: AtomicBool,
}

impl Inner {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        let (calls, callbacks) = match config.pool {
            None => (Pool::single(), None),
            Some((calls, callbacks)) => (Pool::renewable(calls), Some(Pool::renewable(callbacks))),
        };
        let owner = Owner::new(&config.bus, config.limits.clone(), config.emits);
        Self {
            config,
            watches: owner.watches().clone(),
            owner,
            calls,
            callbacks,
            closing: Signal::default(),
            dropped: Signal::default(),
            has_lost_watches: AtomicBool::new(false),
        }
    }

    pub(crate) fn pool(&self, role: Role) -> &Pool {
        match (role, &self.callbacks) {
            (Role::Callbacks, Some(callbacks)) => callbacks,
            _ => &self.calls,
        }
    }

    pub(crate) fn callbacks(&self) -> &Pool {
        self.pool(Role::Callbacks)
    }

    /// Fails after `close` was called, also if its future was dropped.
    pub(crate) fn check_open(&self) -> Result<(), CallError> {
        match self.closing.is_set() {
            true => Err(CallError::closed()),
            false => Ok(()),
        }
    }

    /// Waits until no instance is leased, and drops them all.
    pub(crate) async fn close(&self) {
        self.calls.close().await;
        if let Some(callbacks) = &self.callbacks {
            callbacks.close().await;
        }
    }

    /// Ends the watches of a guest whose only instance is gone.
    pub(crate) fn lose_watches(&self) {
        let has_watches = self.watches.n_watches() > 0;
        self.has_lost_watches
            .fetch_or(has_watches, Ordering::Relaxed);
        self.watches.end();
    }

    pub(crate) fn has_lost_watches(&self) -> bool {
        self.has_lost_watches.load(Ordering::Relaxed)
    }

    /// Whether `export` can be called under `owner`.
    pub(crate) fn check_owner(&self, owner: &Owner, export: &str) -> Result<(), CallError> {
        let checked = owner.check(&self.owner);
        checked.map_err(|source| CallError::owner(export, source))
    }

    /// Makes an instance and runs its start section.
    pub(crate) async fn bare_instance(&self) -> Result<Box<dyn Instance>, InstantiateError> {
        let config = &self.config;
        let wasi = config.wasi.context()?;
        let mut abi = GuestAbi::of_owner(&self.owner);
        abi.set_generation(config.info.generation());
        let mut state = GuestState::new(abi, wasi);
        for source in &config.data {
            source(&mut state.data);
        }
        state.meter().set_slice(config.limits.max_fuel_slice());
        config
            .linked
            .instantiate(state, &config.limits)
            .await
            .map_err(|failure| CallError::new("the start section", failure))
            .map_err(InstantiateError::from_start)
    }

    /// Flushes what `export` wrote, and reports an error of the writer.
    pub(crate) fn flush(&self, wasi: &mut Wasi, export: &str) {
        let source = match no_unwind("flush", || wasi.flush()) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(panic) => io::Error::other(panic),
        };
        let export = export.to_owned();
        // Also run while a future is dropped, where a panic would leave the instance in use.
        run_hook("on_flush_error", || {
            (self.config.on_flush_error)(FlushError { export, source });
        });
    }

    /// Reports what went wrong in a callback.
    pub(crate) fn report(&self, error: CallbackError) {
        run_hook("on_callback_error", || {
            (self.config.on_callback_error)(error);
        });
    }
}
