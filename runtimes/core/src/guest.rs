//! A guest: a module at work on a bus.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;
use rangewatch_wasi::Exit;

use crate::abi::{self, GuestAbi};
use crate::callback_error::{CallbackError, CallbackErrorCause};
use crate::error::{CallError, InstantiateError};
use crate::group::Group;
use crate::guest_builder::{GuestBuilder, WasiSource};
use crate::module::{Module, ModuleInfo};
use crate::pool::Pool;
use crate::ready::Ready;
use crate::runtime::{GuestState, Instance, Linked};
use crate::val::{FuncType, Val};
use crate::yield_now::yield_now;

/// A module at work on a bus: it emits, it watches, its exports can be called.
///
/// By default a guest is one instance: its memory is its state, calls and callbacks take turns on
/// it in the order of asking. When a call traps, exits, or is dropped before it returned, the
/// instance is dropped with it, and later calls fail with [`CallError::Gone`]; the bus and other
/// guests go on. A guest built with a [pool](GuestBuilder::pool) has several instances that share
/// watch ids but no memory, and replaces the ones it loses.
///
/// Watches deliver only while somebody drives them: spawn [`pump`](Self::pump), or call
/// [`drive_until_idle`](Self::drive_until_idle) in a loop of your own.
///
/// Dropping the guest ends its watches, frees their ids, and enters no callback any more; it does
/// not wait for one that is running. [`close`](Self::close) does.
pub struct Guest {
    inner: Arc<Inner>,
}

impl Guest {
    /// A guest of `module` on `bus`.
    pub fn builder<'a>(module: &'a Module, bus: &'a RangeWatchBus) -> GuestBuilder<'a> {
        GuestBuilder::new(module, bus)
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Calls an export. What the guest emits meanwhile is on the bus at once, unless its emits are
    /// [staged](crate::Emits::Staged).
    ///
    /// The guest yields to the executor at every [slice](crate::Limits::fuel_slice) of fuel and in every
    /// host function that waits. A host function must not call its own guest: it would wait for
    /// itself.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future after its first poll ends the guest's call where it
    /// stands, and its instance with it. What the guest has emitted so far stays emitted; what it has staged is
    /// gone.
    ///
    /// # Errors
    ///
    /// [`CallError`]. A wrong name or wrong arguments leave the guest as it was; every other error
    /// has cost the instance.
    pub async fn call(&self, export: &str, args: &[Val]) -> Result<Vec<Val>, CallError> {
        CallError::unless_callable(&self.inner.info, export, args)?;
        let mut lease = self.inner.calls.lease(&self.inner, export).await?;
        match lease.call(export, args).await {
            Ok(results) => {
                lease.give_back();
                Ok(results)
            }
            Err(error) => {
                lease.lose(&error);
                Err(error)
            }
        }
    }

    /// Runs a command: calls `_start`. A command that returns has exited with code 0.
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    ///
    /// # Errors
    ///
    /// [`CallError`], but for an exit, whatever its code.
    pub async fn run(&self) -> Result<Exit, CallError> {
        match self.call("_start", &[]).await {
            Ok(_) => Ok(Exit::new(0)),
            Err(CallError::Exit { exit, .. }) => Ok(exit),
            Err(CallError::Discarded { n_emits, source }) => match *source {
                CallError::Exit { exit, .. } => Ok(exit),
                error => Err(CallError::Discarded {
                    n_emits,
                    source: Box::new(error),
                }),
            },
            Err(error) => Err(error),
        }
    }

    /// Reads or writes the guest's linear memory between two calls, as bytes from address 0; empty
    /// when it exports none. With a pool this is the memory of whichever instance is free.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: `f` runs to its end or not at all.
    ///
    /// # Errors
    ///
    /// [`CallError::Gone`] or [`CallError::Instantiate`]: there is no instance.
    pub async fn with_memory<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, CallError> {
        let mut lease = self.inner.calls.lease(&self.inner, "memory").await?;
        let result = f(lease.instance().memory_and_state().0);
        lease.give_back();
        Ok(result)
    }

    /// The future that delivers to the guest's watches, for as long as the guest lives. Spawn it.
    ///
    /// Callbacks of one watch never overlap; those of different watches run concurrently in as
    /// many instances as the guest has for callbacks, which is one unless it has a pool. Several
    /// pumps of one guest share that bound.
    #[must_use = "a pump does nothing unless it is spawned or awaited"]
    pub fn pump(&self) -> Pump {
        let inner = self.inner.clone();
        Pump {
            inner: async move {
                let pump = PumpState::default();
                let mut workers: FuturesUnordered<_> = (0..inner.callbacks().size())
                    .map(|_| inner.work(&pump))
                    .collect();
                poll_fn(|cx| {
                    while let Poll::Ready(Some(())) = workers.poll_next_unpin(cx) {}
                    if workers.is_empty() || pump.is_over() {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
                drop(workers);
                match pump.into_error() {
                    Some(error) if !inner.group.ready().is_ended() => Err(error),
                    _ => Ok(()),
                }
            }
            .boxed(),
        }
    }

    /// Delivers what is due to the guest's watches, one callback after the other, until nothing is
    /// due, and returns how many callbacks ran. It yields to the executor after each.
    ///
    /// What a callback emits is due too: a guest whose callback always emits into its own range keeps
    /// this going for as long as the future is polled. Beside a pump, a callback that the pump runs is
    /// not waited for.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the running callback as [`call`](Self::call) says; nothing else is
    /// lost.
    ///
    /// # Errors
    ///
    /// [`CallError`] when there is no instance to run callbacks on. What goes wrong inside of a
    /// callback goes to [`GuestBuilder::on_callback_error`].
    pub async fn drive_until_idle(&self) -> Result<usize, CallError> {
        let mut n_callbacks = 0;
        while !self.inner.group.ready().is_empty() {
            if self.inner.run_next().await? {
                n_callbacks += 1;
            }
            yield_now().await;
        }
        Ok(n_callbacks)
    }

    /// How many watches the guest holds, in all states together.
    #[must_use]
    pub fn n_watches(&self) -> usize {
        self.inner.group.n_watches()
    }

    /// Ends the guest: no callback is entered any more, running ones are waited for, then its
    /// instances are gone.
    ///
    /// Later calls fail with [`CallError::Gone`]. A callback that a pump runs ends only if that pump
    /// is polled: close from another task, or drop the pump.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the guest has ended when this was polled once; call it again to wait again.
    pub async fn close(&self) {
        self.inner.group.end();
        self.inner.calls.close().await;
        if let Some(callbacks) = &self.inner.callbacks {
            callbacks.close().await;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.inner.group.end();
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("n_watches", &self.n_watches())
            .finish_non_exhaustive()
    }
}

/// What the strands of one pump know of each other.
#[derive(Default)]
struct PumpState {
    n_running: AtomicUsize,
    error: Mutex<Option<CallError>>,
}

impl PumpState {
    fn enter(&self) {
        self.n_running.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self, error: Option<CallError>) {
        if let Some(error) = error {
            // The first says most.
            self.error.lock().get_or_insert(error);
        }
        self.n_running.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_failed(&self) -> bool {
        self.error.lock().is_some()
    }

    /// Whether a strand has failed and the callbacks of the others have run to their end.
    fn is_over(&self) -> bool {
        self.has_failed() && self.n_running.load(Ordering::Relaxed) == 0
    }

    fn into_error(self) -> Option<CallError> {
        self.error.into_inner()
    }
}

/// Whoever was woken for a callback and did not take one leaves it to another that waits.
struct PassOn<'a>(&'a Ready);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// Delivers to the watches of a guest. See [`Guest::pump`].
///
/// Resolves to `Ok` when the guest was dropped or closed, and to the error when the guest has no
/// instance left to run callbacks on.
pub struct Pump {
    inner: BoxFuture<'static, Result<(), CallError>>,
}

impl Future for Pump {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.poll_unpin(cx)
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").finish_non_exhaustive()
    }
}

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
    fn callbacks(&self) -> &Pool {
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

    /// One of the concurrent strands of a pump, until one of them has failed.
    async fn work(&self, pump: &PumpState) {
        loop {
            self.group.ready().wait().await;
            if self.group.ready().is_ended() || pump.has_failed() {
                self.group.ready().pass_on();
                return;
            }
            pump.enter();
            let result = self.run_next().await;
            pump.leave(result.err());
            // Callbacks that cause each other would otherwise hold the thread between them.
            yield_now().await;
        }
    }

    /// Runs the next callback, if one is due; `false` if none was.
    async fn run_next(&self) -> Result<bool, CallError> {
        // The instance first: a value counts as delivered when recv is entered, and until then
        // later ones of the burst are merged into it.
        let pass_on = PassOn(self.group.ready());
        let mut lease = self.callbacks().lease(self, abi::RECV).await?;
        let (memory, state) = lease.instance().memory_and_state();
        let callback = match state.abi().next_callback(memory) {
            Ok(Some(callback)) => callback,
            Ok(None) => {
                lease.give_back();
                return Ok(false);
            }
            Err(error) => {
                lease.lose(&error);
                (self.on_callback_error)(error);
                return Ok(true);
            }
        };
        drop(pass_on);
        let cause = match lease.call(abi::RECV, &[]).await {
            Ok(_) => {
                let (memory, state) = lease.instance().memory_and_state();
                let report = state.abi().finish(memory, &callback);
                lease.give_back();
                match report {
                    Ok(None) => return Ok(true),
                    Ok(Some(text)) => CallbackErrorCause::Reported(text),
                    Err(error) => CallbackErrorCause::Abi(error),
                }
            }
            Err(error) => {
                lease.lose(&error);
                CallbackErrorCause::Call(error)
            }
        };
        let (id, value) = (callback.id().to_owned(), callback.value());
        drop(callback);
        (self.on_callback_error)(CallbackError { id, value, cause });
        Ok(true)
    }
}

/// The export by which a reactor is initialized. Source: WASI preview1, application ABI.
const INITIALIZE: &str = "_initialize";

fn start_error(export: &str, failure: crate::Failure) -> InstantiateError {
    match failure {
        crate::Failure::Engine(error) => InstantiateError::Engine(error),
        failure => InstantiateError::Start(Box::new(CallError::new(export, failure))),
    }
}
