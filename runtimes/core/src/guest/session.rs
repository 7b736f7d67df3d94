//! The lease of one instance, for one call or several.

use std::fmt;
use std::sync::Arc;

use crate::engine::exports::Export;
use crate::engine::module::START;
use crate::engine::runtime::{GuestState, Instance};
use crate::engine::typed_values::TypedValues;
use crate::engine::val::{FuncType, Val};
use crate::guest::call_error::CallError;
use crate::guest::ids::InstanceId;
use crate::guest::inner::Inner;
use crate::guest::pool::{Permit, Pool};
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
    pub(crate) guest: Arc<Inner>,
    role: Role,
    /// `None` until it has been made, and after it was lost.
    pub(crate) instance: Option<Box<dyn Instance>>,
    /// Why the instance was lost.
    pub(crate) lost: Option<String>,
    /// Whether calls run under an owner that was set.
    has_owner: bool,
    /// Whether the next call, or the one that runs, has a context.
    pub(crate) has_context: bool,
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
    #[inline]
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
        if guest.config.start == Start::Command {
            // No instance is unstarted, and to make another would replace one.
            return Err(CallError::AlreadyStarted);
        }
        let mut session = Self::wait(guest, Role::Calls).await?;
        session.instance = session.pool().take_unstarted()?;
        session.make(START).await?;
        Ok(session)
    }

    /// Waits until an instance may be used or made.
    pub(crate) async fn wait(guest: &Arc<Inner>, role: Role) -> Result<Self, CallError> {
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

    fn pool(&self) -> &Pool {
        self.guest.pool(self.role)
    }

    #[inline]
    pub(crate) fn memory_and_state(&mut self) -> Result<(&mut [u8], &mut GuestState), CallError> {
        self.instance().map(Instance::memory_and_state)
    }

    #[inline]
    pub(crate) fn instance(&mut self) -> Result<&mut (dyn Instance + 'static), CallError> {
        match self.instance {
            Some(ref mut instance) => Ok(&mut **instance),
            None => Err(self.gone()),
        }
    }

    #[cold]
    pub(crate) fn gone(&self) -> CallError {
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
    /// [`CallError`]. A wrong name, wrong arguments and [`CallError::AlreadyStarted`] leave the
    /// guest as it was; after every other error the instance is lost.
    pub async fn call(&mut self, export: &str, args: &[Val]) -> Result<Vec<Val>, CallError> {
        let guest = self.guest.clone();
        let export = CallError::unless_callable(&guest.config.exports, export, args)?;
        self.check_start(export.name)?;
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
        self.check_start(export)?;
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
    pub(crate) fn drop_context(&mut self) {
        drop(self.take_context());
    }

    fn take_context(&mut self) -> TypedValues {
        self.has_context = false;
        match &mut self.instance {
            Some(instance) => std::mem::take(&mut instance.memory_and_state().1.context),
            None => TypedValues::default(),
        }
    }

    /// Lets later calls run under the guest's own owner again. Returns the owner that was set,
    /// whose drop may end it.
    #[inline]
    pub(crate) fn restore_owner(&mut self) -> Option<Owner> {
        if !std::mem::take(&mut self.has_owner) {
            return None;
        }
        let (_, state) = self.instance.as_mut()?.memory_and_state();
        Some(state.abi().restore_owner(&self.guest.owner))
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

    /// An export that the guest was checked to have.
    pub(crate) fn export<'n>(&self, name: &'n str) -> Result<Export<'n>, CallError> {
        let found = CallError::unless_found(&self.guest.config.exports, name);
        found.map(|(export, _)| export)
    }

    /// Drops the instance and says why.
    pub(crate) fn lose(&mut self, why: &impl ToString) {
        // A later call only finds that the instance is gone. Before the drop, which may panic.
        self.lost.get_or_insert_with(|| why.to_string());
        self.instance = None;
    }
}

impl Drop for Session {
    #[inline]
    fn drop(&mut self) {
        // Dropped when the instance is back, as a panic of their values would keep it from that.
        let _owner = self.restore_owner();
        let _context = self.has_context.then(|| self.take_context());
        match self.instance.take() {
            Some(instance) if self.guest.config.limits.max_recycle_bytes().is_none() => {
                self.pool().give_back(instance);
            }
            instance => self.give_back_or_drop(instance),
        }
    }
}

impl Session {
    /// Gives an instance back unless its memory is too large. Without one, the guest may have lost
    /// its only instance.
    #[cold]
    fn give_back_or_drop(&self, instance: Option<Box<dyn Instance>>) {
        let pool = self.pool();
        // A panic of a value of the embedder, which is dropped with an instance, keeps no permit.
        let permit = Permit::new(pool);
        match (instance, &self.lost) {
            (Some(mut instance), _) => {
                let max_bytes = self.guest.config.limits.max_recycle_bytes();
                let (memory, state) = instance.memory_and_state();
                let is_above = max_bytes.is_some_and(|max| memory.len() > max);
                // What was queued belongs to the instance until it is flushed.
                if is_above && !state.abi().has_gathered() {
                    pool.recycle();
                    drop(instance);
                } else {
                    permit.give_back(instance);
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

/// Why a call that was dropped has lost its instance.
pub(crate) fn dropped(export: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| write!(f, "a call of `{export}` was dropped before it returned"))
}
