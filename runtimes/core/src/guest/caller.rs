//! Calls under an owner or with a context.

use std::fmt;
use std::sync::Arc;

use crate::engine::typed_values::TypedValues;
use crate::engine::val::{Scalars, Val};
use crate::guest::call_error::CallError;
use crate::guest::func::Func;
use crate::guest::inner::Inner;
use crate::guest::run;
use crate::guest::session::{Role, Session};
use crate::watches::owner::Owner;

/// A call that is to be made: under which [`Owner`], and with which context. From
/// [`Guest::caller`](crate::Guest::caller).
///
/// The context are values of the embedder for one call: the transaction of a request, its deadline,
/// its peer. Host functions that the guest calls reach them by `context` of their
/// [`HostCx`](crate::HostCx), and so do the commit hook and
/// [`on_call_end`](crate::GuestBuilder::on_call_end). They are dropped at the end of the call,
/// however it ends: it returns, traps, or its future is dropped.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{CallError, Guest, HostModule, Owner};
///
/// /// What a request may still write.
/// struct Quota {
///     n_bytes: u32,
/// }
///
/// fn log() -> HostModule {
///     HostModule::new("log").function("write", |cx, (at, len): (u32, u32)| {
///         let (memory, quota) = cx.memory_and_context::<Quota>()?;
///         quota.n_bytes = quota.n_bytes.checked_sub(len).ok_or("the quota is used up")?;
///         let text = memory.get(at as usize..).and_then(|text| text.get(..len as usize));
///         println!("{}", text.ok_or("outside of the memory")?.escape_ascii());
///         Ok(())
///     })
/// }
///
/// async fn serve(guest: &Guest, stream: &Owner, request: &[u8]) -> Result<Vec<u8>, CallError> {
///     let caller = guest.caller().owner(stream).context(Quota { n_bytes: 1 << 10 });
///     caller.call_bytes("serve", request).await
/// }
/// ```
#[must_use = "a caller does nothing unless it calls"]
pub struct Caller<'g> {
    guest: &'g Arc<Inner>,
    owner: Option<&'g Owner>,
    context: TypedValues,
}

impl<'g> Caller<'g> {
    pub(crate) fn new(guest: &'g Arc<Inner>) -> Self {
        Self {
            guest,
            owner: None,
            context: TypedValues::default(),
        }
    }

    /// Calls under `owner`: the guest opens, starts and stops watches of this owner.
    pub fn owner(mut self, owner: &'g Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Adds a value to the context of the call. There is one value of each type: a second one
    /// replaces the first.
    pub fn context<T: Send + 'static>(mut self, value: T) -> Self {
        self.context.insert(value);
        self
    }

    /// Calls an export, as [`Guest::call`](crate::Guest::call) does.
    ///
    /// # Cancel safety
    ///
    /// As [`Guest::call`](crate::Guest::call).
    ///
    /// # Errors
    ///
    /// As [`Guest::call`](crate::Guest::call); [`CallError::Owner`] if the owner has ended before
    /// the guest was entered, or belongs to another guest. The guest is as it was then.
    pub async fn call(self, export: &str, args: &[Val]) -> Result<Vec<Val>, CallError> {
        let config = &self.guest.config;
        let found = CallError::unless_callable(&config.exports, export, args)?;
        if config.is_run(export) {
            return self.run(export).await;
        }
        let mut session = self.lease(export).await?;
        session.call_or_lose(found, args).await
    }

    /// Calls an export with bytes, as [`Guest::call_bytes`](crate::Guest::call_bytes) does.
    ///
    /// # Cancel safety
    ///
    /// As [`Guest::call`](crate::Guest::call).
    ///
    /// # Errors
    ///
    /// As [`Guest::call_bytes`](crate::Guest::call_bytes) and [`call`](Self::call).
    pub async fn call_bytes(
        self,
        export: &str,
        input: impl Into<Vec<u8>>,
    ) -> Result<Vec<u8>, CallError> {
        let mut session = self.lease(export).await?;
        session.call_bytes(export, input).await
    }

    /// Calls a function, as [`Func::call`] does.
    ///
    /// # Cancel safety
    ///
    /// As [`Guest::call`](crate::Guest::call).
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); [`CallError::OtherGuest`] for a function of another guest.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rangewatch_runtime::{CallError, Guest, Owner};
    /// # async fn example(guest: &Guest, stream: &Owner) -> Result<(), CallError> {
    /// let apply = guest.func::<(u64, u64), u64>("apply")?;
    /// let revision: u64 = guest.caller().owner(stream).call_func(&apply, (7, 1)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call_func<P: Scalars, R: Scalars>(
        self,
        func: &Func<P, R>,
        params: P,
    ) -> Result<R, CallError> {
        let mut session = self.lease(func.name()).await?;
        func.call_in(&mut session, params).await
    }

    /// Runs a command by a call of `export`, which has no results.
    pub(crate) async fn run(self, export: &str) -> Result<Vec<Val>, CallError> {
        self.check(export)?;
        let session = Session::lease_unstarted(self.guest).await?;
        let exit = run(self.prepare(session, export)?).await?;
        match exit.code() {
            0 => Ok(Vec::new()),
            _ => Err(CallError::Exit {
                export: export.to_owned(),
                exit,
            }),
        }
    }

    /// Leases an instance for a call of `export`.
    async fn lease(self, export: &str) -> Result<Session, CallError> {
        self.check(export)?;
        let session = Session::lease(self.guest, Role::Calls, export).await?;
        self.prepare(session, export)
    }

    /// Whether the owner can be set. A call that cannot be made should not wait for an instance.
    fn check(&self, export: &str) -> Result<(), CallError> {
        match self.owner {
            Some(owner) => self.guest.check_owner(owner, export),
            None => Ok(()),
        }
    }

    fn prepare(self, mut session: Session, export: &str) -> Result<Session, CallError> {
        if let Some(owner) = self.owner {
            session.set_owner_of(owner, export)?;
        }
        session.replace_context(self.context)?;
        Ok(session)
    }
}

impl fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("owner", &self.owner)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
