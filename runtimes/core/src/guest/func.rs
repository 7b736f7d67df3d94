//! Exports with the types of Rust.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::engine::exports::Export;
use crate::engine::val::{FuncType, Scalars};
use crate::guest::call_error::CallError;
use crate::guest::inner::Inner;
use crate::guest::session::{Role, Session};

/// An export of a guest with the types of its parameters and results, looked up and checked once.
/// From [`Guest::func`](crate::Guest::func). A call costs less than one by name.
///
/// It keeps the guest's instances alive; calls after the guest was dropped still run.
///
/// # Examples
///
/// ```
/// # use rangewatch_runtime::{CallError, Guest};
/// # async fn example(guest: &Guest) -> Result<(), CallError> {
/// let apply = guest.func::<(u64, u64), u64>("apply")?;
/// let revision: u64 = apply.call((7, 1)).await?;
/// # Ok(())
/// # }
/// ```
pub struct Func<P, R> {
    guest: Arc<Inner>,
    name: Box<str>,
    index: usize,
    signature: PhantomData<fn(P) -> R>,
}

impl<P: Scalars, R: Scalars> Func<P, R> {
    pub(crate) fn new(guest: &Arc<Inner>, name: &str) -> Result<Self, CallError> {
        let (export, ty) = CallError::unless_found(&guest.config.exports, name)?;
        let asked = FuncType::new(P::types(), R::types());
        if *ty != asked {
            return Err(CallError::FuncType {
                export: name.to_owned(),
                ty: ty.clone(),
                asked,
            });
        }
        Ok(Self {
            guest: guest.clone(),
            name: name.into(),
            index: export.index,
            signature: PhantomData,
        })
    }

    /// The name of the export.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls the export, as [`Guest::call`](crate::Guest::call) does.
    ///
    /// # Cancel safety
    ///
    /// As [`Guest::call`](crate::Guest::call).
    ///
    /// # Errors
    ///
    /// As [`Guest::call`](crate::Guest::call).
    pub async fn call(&self, params: P) -> Result<R, CallError> {
        let mut session = Session::lease(&self.guest, Role::Calls, &self.name).await?;
        self.call_in(&mut session, params).await
    }

    /// Calls the export on the instance of a session.
    ///
    /// # Cancel safety
    ///
    /// As [`Session::call`].
    ///
    /// # Errors
    ///
    /// As [`Session::call`]; [`CallError::OtherGuest`] for a session of another guest.
    pub async fn call_in(&self, session: &mut Session, params: P) -> Result<R, CallError> {
        if !Arc::ptr_eq(&session.guest, &self.guest) {
            return Err(CallError::OtherGuest {
                export: self.name.to_string(),
            });
        }
        session.check_start(&self.name)?;
        let export = Export {
            name: &self.name,
            index: self.index,
        };
        let results = session
            .call_or_lose(export, params.into_vals().as_ref())
            .await?;
        R::from_vals(&results).ok_or_else(|| CallError::Engine {
            export: self.name.to_string(),
            source: "the engine returned results of another signature".into(),
        })
    }
}

impl<P, R> Clone for Func<P, R> {
    fn clone(&self) -> Self {
        Self {
            guest: self.guest.clone(),
            name: self.name.clone(),
            index: self.index,
            signature: PhantomData,
        }
    }
}

impl<P, R> fmt::Debug for Func<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Func").field(&self.name).finish()
    }
}
