//! Guests: modules that are connected to a bus.

pub(crate) mod builder;
pub(crate) mod call_end;
pub(crate) mod call_error;
pub(crate) mod callback_error;
pub(crate) mod caller;
pub(crate) mod command;
pub(crate) mod emits;
pub(crate) mod factory;
pub(crate) mod flush_error;
pub(crate) mod func;
pub(crate) mod guest_bus;
pub(crate) mod ids;
pub(crate) mod inner;
pub(crate) mod instantiate_error;
pub(crate) mod limits;
pub(crate) mod making;
pub(crate) mod pool;
pub(crate) mod pump;
pub(crate) mod running;
pub(crate) mod session;
pub(crate) mod staged;
pub(crate) mod start;

use std::fmt;
use std::sync::Arc;

use rangewatch_wasi::Exit;
use rangewatch_wasi::call::yield_now;

use crate::engine::error_chain::ErrorChain;
use crate::engine::module::{Module, START};
use crate::engine::val::{Scalars, Val};
use crate::guest::builder::GuestBuilder;
use crate::guest::call_error::CallError;
use crate::guest::caller::Caller;
use crate::guest::func::Func;
use crate::guest::guest_bus::GuestBus;
use crate::guest::ids::GuestId;
use crate::guest::inner::Inner;
use crate::guest::pump::Pump;
use crate::guest::session::{Role, Session};
use crate::watches::owner::Owner;

/// A module that is connected to a bus: it emits and watches, and its exports can be called.
///
/// By default a guest is one instance. Its memory is the state of the guest; calls and callbacks
/// use it one at a time, in the order in which they asked for it. When a call traps, exits, or is
/// dropped before it returned, the instance is dropped with it, and later calls fail with
/// [`CallError::Gone`]; the bus and other guests are not affected. A guest built with a
/// [pool](GuestBuilder::pool) has several instances that share watch ids but no memory, and
/// replaces the ones it loses.
///
/// Watches deliver only while they are driven: spawn [`pump`](Self::pump), or call
/// [`drive_until_idle`](Self::drive_until_idle) in a loop of your own.
///
/// Dropping the guest ends its watches and frees their ids. A callback that a pump runs is dropped
/// before it returned, and the pump ends. [`close`](Self::close) waits for running callbacks
/// instead.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_runtime::{Guest, Runtime, Val};
///
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// # async fn example(runtime: &dyn Runtime, wasm: &[u8]) -> Result {
/// let bus = RangeWatchBus::new();
/// let module = runtime.load(wasm).await?;
/// let guest = Guest::builder(&module, &bus).instantiate().await?;
/// guest.call("follow", &[Val::I32(1)]).await?; // opens and starts a watch
///
/// bus.emit(7, ["test-100"])?;
/// let n_callbacks = guest.drive_until_idle().await?; // or spawn `guest.pump()` once
/// assert_eq!(n_callbacks, 1);
/// # Ok(())
/// # }
/// ```
pub struct Guest {
    inner: Arc<Inner>,
}

impl Guest {
    /// A guest of `module` on `bus`: a `&RangeWatchBus`, or a [`GuestBus`] if the bus has payloads.
    pub fn builder(module: &Module, bus: impl Into<GuestBus>) -> GuestBuilder<'_> {
        GuestBuilder::new(module, bus.into())
    }

    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Identifies the guest.
    #[must_use]
    pub fn id(&self) -> GuestId {
        self.inner.watches.id()
    }

    /// Calls an export. Emits of the guest take effect at once, unless they are
    /// [staged](crate::Emits::Staged).
    ///
    /// The guest yields to the executor at every [slice](crate::Limits::fuel_slice) of fuel and in
    /// every host function that waits. A host function must not call the guest that called it: that
    /// is a deadlock.
    ///
    /// A call of `_start` of a command is a [`run`](Self::run), and an exit with a code other than
    /// 0 is an error. With [`Start::Nothing`](crate::Start::Nothing) it is a call as any other.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future after its first poll ends the guest's call before it
    /// returned and drops its instance. Emits that have taken effect stay; staged ones are dropped.
    ///
    /// # Errors
    ///
    /// [`CallError`]. A wrong name, wrong arguments and [`CallError::AlreadyStarted`] leave the
    /// guest as it was; after every other error the instance is dropped. Output that cannot be
    /// flushed is no error of the call: it goes to [`GuestBuilder::on_flush_error`].
    pub async fn call(&self, export: &str, args: &[Val]) -> Result<Vec<Val>, CallError> {
        let config = &self.inner.config;
        let found = CallError::unless_callable(&config.exports, export, args)?;
        if config.is_run(export) {
            return Box::pin(self.caller().run(export)).await;
        }
        let mut session = Session::lease(&self.inner, Role::Calls, export).await?;
        session.call_or_lose(found, args).await
    }

    /// Looks an export up, for calls with the types of Rust: `()`, one of `i32 u32 i64 u64 f32
    /// f64`, or a tuple of up to eight of them.
    ///
    /// # Errors
    ///
    /// [`CallError::UnknownExport`], [`CallError::FuncType`].
    pub fn func<P: Scalars, R: Scalars>(&self, export: &str) -> Result<Func<P, R>, CallError> {
        Func::new(&self.inner, export)
    }

    /// Calls an export with bytes and returns the bytes that it writes, on one instance, whatever
    /// the pool. The export has no parameters and no results: the guest pulls its input and hands
    /// over its output by the imports of [`abi::io`](crate::abi::io), which the guest SDK wraps.
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); [`CallError::NotForBytes`] for an export of another signature. The
    /// output is bounded by [`Limits::output_bytes`](crate::Limits::output_bytes).
    ///
    /// # Examples
    ///
    /// ```
    /// # use rangewatch_runtime::{CallError, Guest};
    /// # async fn example(guest: &Guest) -> Result<(), CallError> {
    /// let answer: Vec<u8> = guest.call_bytes("apply", b"put a 1").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call_bytes(
        &self,
        export: &str,
        input: impl Into<Vec<u8>>,
    ) -> Result<Vec<u8>, CallError> {
        let mut session = Session::lease(&self.inner, Role::Calls, export).await?;
        session.call_bytes(export, input).await
    }

    /// A new owner of watches in this guest: a stream, a session, whatever ends as a whole. One
    /// that has ended if the guest has.
    ///
    /// Calls that name no owner run under one that the guest has from its beginning.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.inner.owner.of_same_guest()
    }

    /// Calls under an [`Owner`], with a context that host functions reach, or both.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// use rangewatch_runtime::{CallError, Guest, Owner};
    ///
    /// # type Result = std::result::Result<(), CallError>;
    /// # async fn example(guest: &Guest, stream: &Owner, deadline: Instant) -> Result {
    /// let caller = guest.caller().owner(stream).context(deadline);
    /// let answer = caller.call_bytes("subscribe", b"orders/").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn caller(&self) -> Caller<'_> {
        Caller::new(&self.inner)
    }

    /// Leases an instance for several calls and accesses to its memory.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the place in the order of the callers is lost.
    ///
    /// # Errors
    ///
    /// [`CallError::Gone`] or [`CallError::Instantiate`]: there is no instance.
    pub async fn session(&self) -> Result<Session, CallError> {
        Session::lease(&self.inner, Role::Calls, "a session").await
    }

    /// Runs a command: calls `_start`. A command that returns has exited with code 0.
    ///
    /// `_start` runs once on an instance. When it exits with code 0 the instance stays, and exports
    /// of the command can be called; with another code the instance is dropped. In a
    /// [pool](GuestBuilder::pool) each run is the start of a fresh instance.
    ///
    /// A command that uses the range-watch ABI is started before its first call, callback or memory
    /// access if it was not run before.
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    ///
    /// # Errors
    ///
    /// [`CallError::AlreadyStarted`] when the instance has been started, which with
    /// [`Start::Command`](crate::Start::Command) is always so; otherwise as [`call`](Self::call),
    /// except that an exit is no error, whatever its code.
    pub async fn run(&self) -> Result<Exit, CallError> {
        CallError::unless_callable(&self.inner.config.exports, START, &[])?;
        run(Session::lease_unstarted(&self.inner).await?).await
    }

    /// Reads or writes the guest's linear memory between two calls, as bytes from address 0; empty
    /// when it exports none. With a pool it is the memory of any idle instance.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: `f` runs to its end or not at all.
    ///
    /// # Errors
    ///
    /// [`CallError::Gone`] or [`CallError::Instantiate`]: there is no instance.
    pub async fn with_memory<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, CallError> {
        let mut session = Session::lease(&self.inner, Role::Calls, "memory").await?;
        session.memory().map(f)
    }

    /// Waits until a callback is due to a watch of the guest, for a loop around
    /// [`drive_until_idle`](Self::drive_until_idle). Resolves at once when the guest has ended.
    ///
    /// The future does not borrow and keeps nothing alive.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let started = self.inner.watches.started().clone();
        async move { drop(started.due().await) }
    }

    /// The future that delivers to the guest's watches, for as long as the guest lives. Spawn it on
    /// your executor, as in `tokio::spawn(guest.pump())`: it is `Send` and borrows nothing.
    ///
    /// Callbacks of one watch never overlap; those of different watches run concurrently in as
    /// many instances as the guest has for callbacks, which is one unless it has a pool. Several
    /// pumps of one guest share that bound.
    #[must_use = "a pump does nothing unless it is spawned or awaited"]
    pub fn pump(&self) -> Pump {
        Pump::new(self.inner.clone())
    }

    /// Delivers what is due to the guest's watches, one callback after the other, until nothing is
    /// due, and returns how many callbacks ran. It yields to the executor after each. A guest that
    /// was [closed](Self::close) has no watches, so that nothing is due.
    ///
    /// What a callback emits is due too: a guest whose callback always emits into its own range
    /// keeps this going for as long as the future is polled. Beside a pump, a callback that the
    /// pump runs is not waited for.
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
        while self.inner.watches.started().n_ready() > 0 {
            if self.inner.run_next(None).await? {
                n_callbacks += 1;
            }
            yield_now().await;
        }
        match self.inner.callbacks().gone() {
            Some(error) if self.inner.has_lost_watches() => Err(error),
            _ => Ok(n_callbacks),
        }
    }

    /// The number of watches of the guest, in all states together.
    #[must_use]
    pub fn n_watches(&self) -> usize {
        self.inner.watches.n_watches()
    }

    /// Ends the guest: no callback is entered any more. Waits for the callbacks and calls that run
    /// and for the sessions that exist, then drops the instances.
    ///
    /// Calls that are made later fail with [`CallError::Gone`]; those that wait for an instance are
    /// served before. A callback that a pump runs ends only if that
    /// pump is polled: close from another task, or drop the pump.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the first poll ends the guest, and a second `close` waits as the first did.
    pub async fn close(&self) {
        self.inner.closing.set();
        self.inner.watches.end();
        self.inner.close().await;
    }
}

/// Runs a command on an instance that has not been started.
pub(crate) async fn run(mut session: Session) -> Result<Exit, CallError> {
    // A fresh instance has been started, too, if the hook for new instances has done so.
    if session.memory_and_state()?.1.is_started {
        return Err(CallError::AlreadyStarted);
    }
    let exit = session.start().await;
    match &exit {
        Ok(exit) if exit.code() == 0 => {}
        Ok(exit) => {
            session.lose(&format_args!("`{START}` exited with code {}", exit.code()));
        }
        Err(error) => session.lose(&ErrorChain::new(error)),
    }
    exit
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.inner.closing.set();
        self.inner.watches.end();
        self.inner.dropped.set();
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("id", &self.id().get())
            .field("n_watches", &self.n_watches())
            .finish_non_exhaustive()
    }
}
