//! The lease of one instance, for one call or several.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};

use crate::abi::{Callback, gen1};
use crate::engine::error_chain::ErrorChain;
use crate::engine::exports::Export;
use crate::engine::failure::{Failure, TrapKind};
use crate::engine::host_cx::HostCx;
use crate::engine::host_function::{no_unwind, panicked, run_hook};
use crate::engine::meta_page::MetaPage;
use crate::engine::module::START;
use crate::engine::runtime::{Called, GuestState, Instance};
use crate::engine::typed_values::TypedValues;
use crate::engine::val::{FuncType, Val};
use crate::guest::call_end::{CallEnd, CallOutcome};
use crate::guest::call_error::CallError;
use crate::guest::callback_error::CallbackErrorCause;
use crate::guest::ids::InstanceId;
use crate::guest::inner::Inner;
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::pool::Pool;
use crate::guest::start::Start;
use crate::watches::owner::Owner;

/// An instance of a guest for several calls and accesses to its memory, which no other call uses
/// meanwhile. From [`Guest::session`](crate::Guest::session).
///
/// Dropping the session gives the instance back. A call that fails, or whose future is dropped
/// before it returned, loses the instance, as [`Guest::call`](crate::Guest::call) does; later calls
/// of the session fail with [`CallError::Gone`].
///
/// Each call commits what it has staged: a session is no transaction. Calls with the types of Rust
/// are made by [`Func::call_in`](crate::Func::call_in).
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Guest, Val};
///
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// # async fn example(guest: &Guest) -> Result {
/// let mut session = guest.session().await?;
/// let [Val::I32(at)] = session.call("allocate", &[Val::I32(5)]).await?[..] else {
///     return Err("it returns an address".into());
/// };
/// let at = at as u32 as usize;
/// session.memory()?.get_mut(at..at + 5).ok_or("outside of memory")?.copy_from_slice(b"hello");
/// session.call("apply", &[Val::I32(at as i32), Val::I32(5)]).await?;
/// # Ok(())
/// # }
/// ```
pub struct Session {
    guest: Arc<Inner>,
    role: Role,
    /// `None` until it has been made, and after it was lost.
    instance: Option<Box<dyn Instance>>,
    /// Why the instance was lost.
    lost: Option<String>,
    /// Whether calls run under an owner that was set.
    has_owner: bool,
    /// Whether the next call, or the one that runs, has a context.
    has_context: bool,
}

/// What an instance is leased for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Calls,
    Callbacks,
}

impl Session {
    /// Waits for an instance, makes one if there is none, and starts it if it has to be started
    /// before it is used.
    pub(crate) async fn lease(
        guest: &Arc<Inner>,
        role: Role,
        export: &str,
    ) -> Result<Self, CallError> {
        if role == Role::Calls {
            guest.check_open()?;
        }
        if let Some(session) = Self::lease_idle(guest, role) {
            return Ok(session);
        }
        // Boxed: most leases end above, and need no room for these futures.
        Box::pin(async {
            let mut session = Self::wait(guest, role).await?;
            session.instance = session.pool().take()?;
            session.make(export).await?;
            if session.must_start() {
                session.start_before_use(export).await?;
            }
            Ok(session)
        })
        .await
    }

    /// Leases an instance that is idle and can be used at once.
    #[inline]
    fn lease_idle(guest: &Arc<Inner>, role: Role) -> Option<Self> {
        if guest.config.starts_before_use() {
            return None;
        }
        let instance = guest.pool(role).take_idle()?;
        Some(Self {
            guest: guest.clone(),
            role,
            instance: Some(instance),
            lost: None,
            has_owner: false,
            has_context: false,
        })
    }

    /// As [`lease`](Self::lease), an instance of a command that has not been started.
    pub(crate) async fn lease_unstarted(guest: &Arc<Inner>) -> Result<Self, CallError> {
        guest.check_open()?;
        let mut session = Self::wait(guest, Role::Calls).await?;
        session.instance = session.pool().take_unstarted()?;
        session.make(START).await?;
        Ok(session)
    }

    /// Makes the first instance of a guest.
    pub(crate) async fn make_first(guest: &Arc<Inner>) -> Result<(), InstantiateError> {
        let session = Self::wait(guest, Role::Calls).await;
        let mut session = session.map_err(InstantiateError::from_start)?;
        session.make_instance().await
    }

    /// Waits until an instance may be used or made.
    async fn wait(guest: &Arc<Inner>, role: Role) -> Result<Self, CallError> {
        guest.pool(role).acquire().await?;
        Ok(Self {
            guest: guest.clone(),
            role,
            instance: None,
            lost: None,
            has_owner: false,
            has_context: false,
        })
    }

    async fn make(&mut self, export: &str) -> Result<(), CallError> {
        if self.instance.is_some() {
            return Ok(());
        }
        let made = self.make_instance().await;
        made.map_err(|source| CallError::Instantiate {
            export: export.to_owned(),
            source: Box::new(source),
        })
    }

    /// Makes an instance, initializes it and runs the embedder's hook. An instance that fails is
    /// dropped, and the guest may make another.
    async fn make_instance(&mut self) -> Result<(), InstantiateError> {
        let guest = self.guest.clone();
        self.instance = Some(guest.bare_instance().await?);
        let mut is_made = AbortedMaking(Some(self));
        let session = is_made.session();
        session
            .initialize()
            .await
            .map_err(InstantiateError::from_start)?;
        if let Some(hook) = &guest.config.on_instance {
            hook(session).await.map_err(InstantiateError::Hook)?;
            if let Some(reason) = session.lost.take() {
                return Err(InstantiateError::Hook(reason.into()));
            }
            // What the hook has set is for its own calls.
            session.restore_owner();
            if session.has_context {
                session.drop_context();
            }
        }
        if guest.config.start == Start::Nothing {
            let pages = session.read_pages().await;
            pages.map_err(InstantiateError::from_start)?;
        }
        is_made.0 = None;
        Ok(())
    }

    fn pool(&self) -> &Pool {
        self.guest.pool(self.role)
    }

    pub(crate) fn guest(&self) -> &Arc<Inner> {
        &self.guest
    }

    #[inline]
    pub(crate) fn memory_and_state(&mut self) -> Result<(&mut [u8], &mut GuestState), CallError> {
        self.instance().map(Instance::memory_and_state)
    }

    #[inline]
    fn instance(&mut self) -> Result<&mut (dyn Instance + 'static), CallError> {
        match self.instance {
            Some(ref mut instance) => Ok(&mut **instance),
            None => Err(self.gone()),
        }
    }

    #[cold]
    fn gone(&self) -> CallError {
        CallError::Gone {
            reason: self.lost.clone().unwrap_or_default(),
        }
    }

    /// Calls an export, as [`Guest::call`](crate::Guest::call) does.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future after its first poll loses the instance.
    ///
    /// # Errors
    ///
    /// [`CallError`]. A wrong name or wrong arguments leave the guest as it was; after every other
    /// error the instance is lost.
    pub async fn call(&mut self, export: &str, args: &[Val]) -> Result<Vec<Val>, CallError> {
        let guest = self.guest.clone();
        let export = CallError::unless_callable(&guest.config.exports, export, args)?;
        self.call_or_lose(export, args).await
    }

    /// Calls an export with bytes, as [`Guest::call_bytes`](crate::Guest::call_bytes) does.
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    ///
    /// # Errors
    ///
    /// As [`Guest::call_bytes`](crate::Guest::call_bytes).
    pub async fn call_bytes(
        &mut self,
        export: &str,
        input: impl Into<Vec<u8>>,
    ) -> Result<Vec<u8>, CallError> {
        let guest = self.guest.clone();
        let (found, ty) = CallError::unless_found(&guest.config.exports, export)?;
        if *ty != FuncType::default() {
            return Err(CallError::NotForBytes {
                export: export.to_owned(),
                ty: ty.clone(),
            });
        }
        let input = input.into();
        if i32::try_from(input.len()).is_err() {
            return Err(CallError::InputTooLarge {
                export: export.to_owned(),
                n_bytes: input.len(),
            });
        }
        self.memory_and_state()?.1.abi().begin_bytes(input);
        self.call_or_lose(found, &[]).await?;
        Ok(self.memory_and_state()?.1.abi().end_bytes())
    }

    /// Sets the [`Owner`] that the calls of this session run under from now on.
    ///
    /// # Errors
    ///
    /// [`CallError::Owner`]: the owner has ended, or belongs to another guest.
    /// [`CallError::Gone`]: a call of this session has lost the instance.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::{CallError, Guest, Owner};
    ///
    /// # async fn example(guest: &Guest, stream: &Owner) -> Result<Vec<u8>, CallError> {
    /// let mut session = guest.session().await?;
    /// session.set_owner(stream)?;
    /// session.call_bytes("subscribe", b"orders/").await
    /// # }
    /// ```
    pub fn set_owner(&mut self, owner: &Owner) -> Result<(), CallError> {
        self.set_owner_of(owner, "a session")
    }

    /// Sets the owner for a call of `export`.
    pub(crate) fn set_owner_of(&mut self, owner: &Owner, export: &str) -> Result<(), CallError> {
        let set = self.memory_and_state()?.1.abi().set_owner(owner);
        set.map_err(|source| CallError::owner(export, source))?;
        self.has_owner = true;
        Ok(())
    }

    /// Adds a value to the context of the next call of this session, as
    /// [`Caller::context`](crate::Caller::context) does.
    ///
    /// # Errors
    ///
    /// [`CallError::Gone`]: a call of this session has lost the instance.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// use rangewatch_runtime::{CallError, Guest};
    ///
    /// # async fn example(guest: &Guest, deadline: Instant) -> Result<Vec<u8>, CallError> {
    /// let mut session = guest.session().await?;
    /// session.call("prepare", &[]).await?;
    /// session.set_context(deadline)?; // for one call
    /// session.call_bytes("answer", b"orders/").await
    /// # }
    /// ```
    pub fn set_context<T: Send + 'static>(&mut self, value: T) -> Result<(), CallError> {
        self.memory_and_state()?.1.context.insert(value);
        self.has_context = true;
        Ok(())
    }

    /// Sets the whole context of the next call.
    pub(crate) fn replace_context(&mut self, context: TypedValues) -> Result<(), CallError> {
        self.memory_and_state()?.1.context = context;
        self.has_context = true;
        Ok(())
    }

    #[cold]
    fn drop_context(&mut self) {
        drop(self.take_context());
    }

    fn take_context(&mut self) -> TypedValues {
        self.has_context = false;
        match &mut self.instance {
            Some(instance) => std::mem::take(&mut instance.memory_and_state().1.context),
            None => TypedValues::default(),
        }
    }

    /// Lets later calls run under the guest's own owner again.
    #[inline]
    fn restore_owner(&mut self) {
        if !std::mem::take(&mut self.has_owner) {
            return;
        }
        if let Some(instance) = &mut self.instance {
            let (_, state) = instance.memory_and_state();
            state.abi().restore_owner(&self.guest.owner);
        }
    }

    /// The guest's linear memory between two calls, as bytes from address 0; empty when it exports
    /// none.
    ///
    /// # Errors
    ///
    /// [`CallError::Gone`]: a call of this session has lost the instance.
    pub fn memory(&mut self) -> Result<&mut [u8], CallError> {
        Ok(self.memory_and_state()?.0)
    }

    /// Identifies the instance.
    ///
    /// # Errors
    ///
    /// [`CallError::Gone`]: a call of this session has lost the instance.
    pub fn instance_id(&mut self) -> Result<InstanceId, CallError> {
        Ok(self.memory_and_state()?.1.instance_id)
    }

    /// The embedder's data of this instance, from
    /// [`GuestBuilder::instance_data`](crate::GuestBuilder::instance_data).
    ///
    /// # Errors
    ///
    /// [`CallError::Gone`]: a call of this session has lost the instance. [`CallError::NoData`]:
    /// the guest was built without data of this type.
    pub fn data<T: 'static>(&mut self) -> Result<&mut T, CallError> {
        Ok(self.memory_and_state()?.1.data()?)
    }

    pub(crate) async fn call_or_lose(
        &mut self,
        export: Export<'_>,
        args: &[Val],
    ) -> Result<Vec<Val>, CallError> {
        let results = self.call_and_keep(export, args).await;
        if let Err(error) = &results {
            self.lose(&ErrorChain::new(error));
        }
        results
    }

    /// Calls an export, flushes what the guest wrote, and commits what it staged if it returned or
    /// exited with code 0. The instance is kept after an error: the caller has to lose it.
    pub(crate) async fn call_and_keep(
        &mut self,
        export: Export<'_>,
        args: &[Val],
    ) -> Result<Vec<Val>, CallError> {
        let running = RunningCall::new(self, export.name);
        let session = &mut *running.session;
        let results = match session.run(export, args).await {
            Ok(Returned {
                values,
                has_nothing_to_commit: true,
            }) => Ok(values),
            returned => {
                let results = returned.map(|returned| returned.values);
                session.commit_or_discard(export.name, results).await
            }
        };
        running.end(results.as_ref().err());
        results
    }

    /// Runs a callback that was entered, and commits what it staged unless the guest reports an
    /// error. The instance is lost after every error but a report.
    pub(crate) async fn call_back(
        &mut self,
        callback: &Callback,
    ) -> Result<(), CallbackErrorCause> {
        let recv = self.export(gen1::RECV).map_err(CallbackErrorCause::Call)?;
        let running = RunningCall::new(self, recv.name);
        let session = &mut *running.session;
        let returned = session.run(recv, &[]).await;
        let returned = returned.map(|returned| returned.values);
        let report = match (&returned, session.memory_and_state()) {
            (Ok(_), Ok((memory, state))) => state.abi().take_report(memory, callback),
            _ => Ok(None),
        };
        let outcome = match report {
            Ok(None) => {
                let committed = session.commit_or_discard(gen1::RECV, returned).await;
                committed.map(drop).map_err(CallbackErrorCause::Call)
            }
            Ok(Some(text)) => Err(CallbackErrorCause::Reported(text)),
            Err(error) => Err(CallbackErrorCause::Abi(error)),
        };
        if let Err(CallbackErrorCause::Call(error)) = &outcome {
            running.end(Some(error));
            self.lose(&ErrorChain::new(error));
            return outcome;
        }
        if let Ok((_, state)) = session.memory_and_state() {
            state.abi().discard();
        }
        running.end_as(match outcome {
            Ok(()) => CallOutcome::Returned,
            Err(_) => CallOutcome::Reported,
        });
        // After the hooks, which may ask for the owner and the id of the watch.
        if let Ok((_, state)) = self.memory_and_state() {
            state.abi().leave();
        }
        outcome
    }

    /// An export that the guest was checked to have.
    fn export<'n>(&self, name: &'n str) -> Result<Export<'n>, CallError> {
        let found = CallError::unless_found(&self.guest.config.exports, name);
        found.map(|(export, _)| export)
    }

    /// Calls an export and flushes what the guest wrote.
    #[inline]
    async fn run(&mut self, export: Export<'_>, args: &[Val]) -> Result<Returned, CallError> {
        let called = match self.guest.config.limits.max_wall_time() {
            None => match self.instance()?.call(export, args) {
                Called::Ended(ended) => ended,
                Called::Running(running) => running.await,
            },
            Some(limit) => Box::pin(self.call_within(limit, export, args)).await?,
        };
        let Some(instance) = &mut self.instance else {
            return Err(self.gone());
        };
        let (memory, state) = instance.memory_and_state();
        state.abi().leave_group();
        let config = &self.guest.config;
        if config.has_wasi() {
            self.guest.flush(state.wasi(), export.name);
        }
        match called {
            Ok(values) => Ok(Returned {
                values,
                has_nothing_to_commit: !config.has_hook && state.abi().n_staged() == 0,
            }),
            Err(Failure::Trap {
                kind: kind @ TrapKind::Unreachable,
                source,
            }) => Err(CallError::Trap {
                export: export.name.to_owned(),
                kind,
                message: state.abi().take_panic_text(memory),
                source,
            }),
            Err(failure) => {
                let error = CallError::new(export.name, failure);
                Err(error.with_fuel_limit(config.limits.max_fuel_per_call()))
            }
        }
    }

    /// Calls an export, which may run so long.
    async fn call_within(
        &mut self,
        limit: Duration,
        export: Export<'_>,
        args: &[Val],
    ) -> Result<Result<Vec<Val>, Failure>, CallError> {
        let sleep = self.guest.config.timer.sleep(limit);
        let call = pin!(self.instance()?.call(export, args).end());
        let called = match select(call, sleep).await {
            Either::Left((called, _)) => Some(called),
            Either::Right(_) => None,
        };
        called.ok_or_else(|| CallError::TimedOut {
            export: export.name.to_owned(),
            limit,
        })
    }

    /// Commits what a call has staged, if it has ended well, and drops it if not. The hook of the
    /// embedder is awaited in a future of its own.
    async fn commit_or_discard(
        &mut self,
        export: &str,
        results: Result<Vec<Val>, CallError>,
    ) -> Result<Vec<Val>, CallError> {
        let has_ended_well = match &results {
            Ok(_) => true,
            Err(CallError::Exit { exit, .. }) => exit.code() == 0,
            Err(_) => false,
        };
        let Some(instance) = &mut self.instance else {
            return results;
        };
        let abi = instance.memory_and_state().1.abi();
        if !has_ended_well {
            return results.map_err(|error| match abi.discard() {
                0 => error,
                n_emits => CallError::Discarded {
                    n_emits,
                    source: Box::new(error),
                },
            });
        }
        if self.guest.config.has_hook {
            Box::pin(self.commit_by_hook(export)).await?;
            return results;
        }
        let n_emits = abi.n_staged();
        if n_emits > 0 {
            // An emit wakes subscribers, and a waker is code of the embedder.
            no_unwind("commit", || abi.commit())
                .map_err(|panic| CallError::new(export, panic.into()))?
                .map_err(|source| CallError::Refused {
                    export: export.to_owned(),
                    n_emits,
                    source,
                })?;
        }
        results
    }

    async fn commit_by_hook(&mut self, export: &str) -> Result<(), CallError> {
        let guest = self.guest.clone();
        let Some(hook) = guest.config.bus.hook() else {
            return Ok(());
        };
        let instance = self.instance()?;
        let abi = instance.memory_and_state().1.abi();
        let (n_emits, emits) = (abi.n_staged(), abi.take_for_hook());
        let mut cx = BetweenCalls(instance);
        // The future is made in its own: making it is code of the embedder, too.
        let committing = AssertUnwindSafe(async { hook.commit(&mut cx, emits).await });
        let committed = match committing.catch_unwind().await {
            Ok(committed) => committed,
            Err(panic) => Err(panicked("the commit hook", &*panic).into()),
        };
        committed.map_err(|source| CallError::NotCommitted {
            export: export.to_owned(),
            n_emits,
            source,
        })
    }

    /// Reads the meta pages of an initialized instance: that of the ABI, if the module uses it, and
    /// those of modules of host functions.
    pub(crate) async fn read_pages(&mut self) -> Result<(), CallError> {
        let config = self.guest.config.clone();
        if config.info.uses_abi() {
            let page = self.page_address(gen1::PAGE).await?;
            let (memory, state) = self.memory_and_state()?;
            (state.abi())
                .attach(memory, page, config.can_receive)
                .map_err(|source| CallError::Abi {
                    export: gen1::PAGE.to_owned(),
                    source,
                })?;
        }
        for source in &config.pages {
            let at = self.page_address(&source.export).await?;
            let (memory, state) = self.memory_and_state()?;
            let page = MetaPage::read(memory, at, source.n_addresses);
            let page = page.map_err(|error| CallError::MetaPage {
                export: source.export.clone(),
                source: error,
            })?;
            state.pages.push((source.export.as_str().into(), page));
        }
        Ok(())
    }

    async fn page_address(&mut self, export: &str) -> Result<u32, CallError> {
        let found = self.export(export)?;
        let limit = self.guest.config.limits.max_wall_time();
        let mut call = UnreturnedCall {
            session: self,
            export,
            has_returned: false,
        };
        let page = match limit {
            None => Ok(call.session.instance()?.call(found, &[]).end().await),
            Some(limit) => call.session.call_within(limit, found, &[]).await,
        };
        call.has_returned = true;
        let page = page?.map_err(|failure| CallError::new(export, failure))?;
        Ok(match page[..] {
            [Val::I32(page)] => page as u32,
            // The signature was checked when the imports were.
            _ => 0,
        })
    }

    /// Drops the instance and says why.
    pub(crate) fn lose(&mut self, why: &impl ToString) {
        self.instance = None;
        // A later call only finds that the instance is gone.
        self.lost.get_or_insert_with(|| why.to_string());
    }
}

/// Releases a permit, also when the drop of a value of the embedder panics.
struct Release<'p>(&'p Pool);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.restore_owner();
        // Dropped when the instance is back, as a panic of its values would keep it from that.
        let _context = self.has_context.then(|| self.take_context());
        let pool = self.guest.pool(self.role);
        // Dropped before `_context`: the permit is free when the instance is back or gone.
        let _release = Release(pool);
        match (self.instance.take(), self.lost.take()) {
            (Some(mut instance), _) => {
                let max_bytes = self.guest.config.limits.max_recycle_bytes();
                let (memory, state) = instance.memory_and_state();
                let is_above = max_bytes.is_some_and(|max| memory.len() > max);
                // What was queued belongs to the instance until it is flushed.
                if is_above && !state.abi().has_gathered() {
                    pool.recycle();
                    drop(instance);
                } else {
                    pool.give_back(instance);
                }
            }
            (None, Some(reason)) => {
                if pool.lose(reason) {
                    // Nothing can deliver to the guest's watches any more.
                    self.guest.lose_watches();
                }
            }
            (None, None) => {}
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_lost", &self.lost.is_some())
            .finish_non_exhaustive()
    }
}

/// A call that returned.
struct Returned {
    values: Vec<Val>,
    /// Whether it has staged nothing and no hook is to be run.
    has_nothing_to_commit: bool,
}

/// The context of the commit hook, which runs when the guest does not.
struct BetweenCalls<'a>(&'a mut dyn Instance);

impl HostCx for BetweenCalls<'_> {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        self.0.memory_and_state()
    }

    fn fuel_left(&mut self) -> Option<u64> {
        None
    }
}

/// A call that runs. Dropped before it has ended, it loses the instance: the memory is in an
/// unknown state.
struct RunningCall<'s, 'e> {
    session: &'s mut Session,
    export: &'e str,
    has_ended: bool,
}

impl<'s, 'e> RunningCall<'s, 'e> {
    fn new(session: &'s mut Session, export: &'e str) -> Self {
        Self {
            session,
            export,
            has_ended: false,
        }
    }

    #[inline]
    fn end(self, error: Option<&CallError>) {
        self.end_as(error.map_or(CallOutcome::Returned, CallOutcome::Failed));
    }

    fn end_as(mut self, outcome: CallOutcome<'_>) {
        self.has_ended = true;
        self.session.on_call_end(self.export, outcome);
        if self.session.has_context {
            self.session.drop_context();
        }
    }
}

impl Drop for RunningCall<'_, '_> {
    fn drop(&mut self) {
        if self.has_ended || self.session.instance.is_none() {
            return;
        }
        let guest = self.session.guest.clone();
        if let Ok((_, state)) = self.session.memory_and_state() {
            // Nothing else can reach the writers of the guest.
            guest.flush(state.wasi(), self.export);
        }
        self.session.on_call_end(self.export, CallOutcome::Dropped);
        self.session.lose(&dropped(self.export));
    }
}

impl Session {
    #[inline]
    fn on_call_end(&mut self, export: &str, outcome: CallOutcome<'_>) {
        for hook in &self.guest.config.on_call_end {
            let Some(instance) = &mut self.instance else {
                return;
            };
            let (memory, state) = instance.memory_and_state();
            // Also run while a future is dropped, where a panic would abort the process.
            run_hook("on_call_end", || {
                hook(&mut CallEnd::new(export, outcome, memory, state));
            });
        }
    }
}

/// A call of an export that returns the address of a page, for which no hook runs. Dropped before
/// it has returned, it loses the instance.
struct UnreturnedCall<'s, 'e> {
    session: &'s mut Session,
    export: &'e str,
    has_returned: bool,
}

impl Drop for UnreturnedCall<'_, '_> {
    fn drop(&mut self) {
        if !self.has_returned {
            self.session.lose(&dropped(self.export));
        }
    }
}

fn dropped(export: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| write!(f, "a call of `{export}` was dropped before it returned"))
}

/// An instance that is being made. Dropped before it is made, it is dropped without a trace: the
/// guest may make another.
struct AbortedMaking<'s>(Option<&'s mut Session>);

impl AbortedMaking<'_> {
    fn session(&mut self) -> &mut Session {
        self.0.as_mut().expect("it is taken when this ends")
    }
}

impl Drop for AbortedMaking<'_> {
    fn drop(&mut self) {
        if let Some(session) = &mut self.0 {
            session.instance = None;
            session.lost = None;
        }
    }
}
