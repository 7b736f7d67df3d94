//! Host functions: the imports of a guest that the embedder provides.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use rangewatch_wasi::Exit;

use crate::abi::AbiError;
use crate::engine::error_chain::ErrorChain;
use crate::engine::failure::{HostTrap, OutOfFuel};
use crate::engine::host_cx::HostCx;
use crate::engine::val::{FuncType, Scalars, TypeList, Val};

/// Any error a host function may end with. The guest traps; the error reaches the caller as the
/// source of [`CallError::HostFunction`](crate::CallError::HostFunction).
pub type HostError = Box<dyn std::error::Error + Send + Sync>;

/// A host function that returns at once. It runs on the thread of the guest's call and is not
/// sliced: use an [`AsyncHostFunction`] for what may wait.
pub trait SyncHostFunction: Send + Sync + 'static {
    /// Runs the function on arguments of its signature and returns results of its signature.
    ///
    /// # Errors
    ///
    /// Any error traps the guest.
    fn call(&self, cx: &mut dyn HostCx, args: &[Val]) -> Result<Vec<Val>, HostError>;
}

/// A host function that may wait. The guest is suspended meanwhile and blocks no thread.
pub trait AsyncHostFunction: Send + Sync + 'static {
    /// Runs the function on arguments of its signature and returns results of its signature.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped with the guest's call; nothing after its current await runs then.
    ///
    /// # Errors
    ///
    /// Any error traps the guest.
    fn call<'a>(
        &'a self,
        cx: &'a mut dyn HostCx,
        args: &'a [Val],
    ) -> BoxFuture<'a, Result<Vec<Val>, HostError>>;
}

/// One import of a guest, provided by the embedder.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{GuestBuilder, HostFunction};
///
/// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
/// let add = HostFunction::sync("env", "add", |_cx, (a, b): (i32, i32)| Ok(a.wrapping_add(b)));
/// builder.host_function_object(add)
/// # }
/// ```
#[derive(Clone)]
pub struct HostFunction {
    module: Arc<str>,
    name: Arc<str>,
    ty: FuncType,
    body: HostFunctionBody,
}

/// How a [`HostFunction`] runs.
#[derive(Clone)]
#[expect(clippy::exhaustive_enums, reason = "a backend must serve every kind")]
pub enum HostFunctionBody {
    /// Returns at once.
    Sync(Arc<dyn SyncHostFunction>),
    /// May suspend the guest.
    Async(Arc<dyn AsyncHostFunction>),
}

impl fmt::Debug for HostFunctionBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync(_) => "Sync",
            Self::Async(_) => "Async",
        })
    }
}

impl HostFunction {
    /// A function of any signature, from an implementation of one of the two traits.
    pub fn new(module: &str, name: &str, ty: FuncType, body: HostFunctionBody) -> Self {
        Self {
            module: module.into(),
            name: name.into(),
            ty,
            body,
        }
    }

    /// A function that returns at once, from a closure over typed arguments.
    pub fn sync<A: Scalars, R: Scalars>(
        module: &str,
        name: &str,
        f: impl Fn(&mut dyn HostCx, A) -> Result<R, HostError> + Send + Sync + 'static,
    ) -> Self {
        let ty = FuncType::new(A::types(), R::types());
        let body = Typed {
            f,
            signature: std::marker::PhantomData::<fn(A) -> R>,
        };
        Self::new(module, name, ty, HostFunctionBody::Sync(Arc::new(body)))
    }

    /// A function that may wait, from a closure over typed arguments whose future borrows nothing
    /// of the context.
    pub fn asynchronous<A: Scalars, R: Scalars, F>(
        module: &str,
        name: &str,
        f: impl Fn(&mut dyn HostCx, A) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HostError>> + Send + 'static,
    {
        Self::asynchronous_cx(module, name, move |cx, args| f(cx, args).boxed())
    }

    /// A function that may wait, from a closure over typed arguments whose future borrows the
    /// context.
    pub fn asynchronous_cx<A: Scalars, R: Scalars>(
        module: &str,
        name: &str,
        f: impl for<'a> Fn(&'a mut dyn HostCx, A) -> BoxFuture<'a, Result<R, HostError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let ty = FuncType::new(A::types(), R::types());
        let body = TypedAsync {
            f,
            signature: std::marker::PhantomData::<fn(A) -> R>,
        };
        Self::new(module, name, ty, HostFunctionBody::Async(Arc::new(body)))
    }

    /// The import module, `env` in `(import "env" "now_ms" ..)`.
    #[must_use]
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The import name, `now_ms` in `(import "env" "now_ms" ..)`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `module.name`. Formatted on the error path only.
    pub(crate) fn full_name(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| write!(f, "{}.{}", self.module, self.name))
    }

    /// The signature.
    #[must_use]
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// Units of work of a call of any host function, beside what it [charges](HostCx::charge).
    pub const UNITS_PER_CALL: u64 = 100;

    /// Whether the function may wait, so that it has to be called with
    /// [`call_async`](Self::call_async).
    #[must_use]
    pub fn is_async(&self) -> bool {
        matches!(self.body, HostFunctionBody::Async(_))
    }

    /// Calls a function that returns at once, for a backend. The results are of its signature.
    ///
    /// A panic of the function is caught here: not every engine can be unwound through.
    ///
    /// # Errors
    ///
    /// The [`HostTrap`] that the guest's call ends with: the backend passes it through its engine
    /// and gives it back as [`Failure::Host`](crate::Failure::Host). An error of the function that
    /// is an [`Exit`] ends the guest as `proc_exit` does.
    pub fn call(&self, cx: &mut dyn HostCx, args: &[Val]) -> Result<Vec<Val>, HostTrap> {
        let HostFunctionBody::Sync(body) = &self.body else {
            return Err(self.trap("it may wait, and was called as one that may not".into()));
        };
        let results = no_unwind(self.full_name(), || body.call(cx, args))?;
        self.checked(results)
    }

    /// Calls a function of either kind, for a backend.
    ///
    /// # Cancel safety
    ///
    /// As the function's own.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn call_async(
        &self,
        cx: &mut dyn HostCx,
        args: &[Val],
    ) -> Result<Vec<Val>, HostTrap> {
        let HostFunctionBody::Async(body) = &self.body else {
            return self.call(cx, args);
        };
        match AssertUnwindSafe(async { body.call(cx, args).await })
            .catch_unwind()
            .await
        {
            Ok(results) => self.checked(results),
            Err(panic) => Err(panicked(self.full_name(), &*panic)),
        }
    }

    fn checked(&self, results: Result<Vec<Val>, HostError>) -> Result<Vec<Val>, HostTrap> {
        let results = results.map_err(|error| self.trap(error))?;
        if results
            .iter()
            .map(Val::ty)
            .eq(self.ty.results().iter().copied())
        {
            return Ok(results);
        }
        let types: Vec<_> = results.iter().map(Val::ty).collect();
        let message = format!("it is {} but returned {}", self.ty, TypeList(&types));
        Err(self.trap(message.into()))
    }

    fn trap(&self, error: HostError) -> HostTrap {
        let error = match error.downcast::<Exit>() {
            Ok(exit) => return HostTrap::Exit(*exit),
            Err(error) => error,
        };
        let error = match error.downcast::<OutOfFuel>() {
            Ok(error) => return HostTrap::OutOfFuel(*error),
            Err(error) => error,
        };
        match error.downcast::<AbiError>() {
            Ok(error) => HostTrap::Abi(*error),
            Err(source) => HostTrap::Function {
                function: self.full_name().to_string(),
                source,
            },
        }
    }

    /// What instantiation ends with when the start section calls this function although it may
    /// wait: not every engine can suspend a start section, so none does.
    #[must_use]
    pub fn in_start(&self) -> HostTrap {
        self.trap("it may wait, and a start section cannot: call it from an export".into())
    }
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}: {} ({:?})",
            self.module, self.name, self.ty, self.body
        )
    }
}

/// Runs code of an embedder on behalf of a guest's call of `function`, for a backend. A panic ends
/// the guest's call and no more: not every engine can be unwound through.
///
/// # Errors
///
/// The [`HostTrap`] that the guest's call ends with.
#[inline]
pub fn no_unwind<R>(function: impl fmt::Display, f: impl FnOnce() -> R) -> Result<R, HostTrap> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| panicked(function, &*panic))
}

/// Runs a hook of the embedder that cannot fail. A panic of it is logged, and ends nothing else.
pub(crate) fn run_hook(name: &str, hook: impl FnOnce()) {
    if let Err(panic) = no_unwind(name, hook) {
        tracing::error!(error = %ErrorChain::new(&panic), "a hook of the embedder failed");
    }
}

#[cold]
pub(crate) fn panicked(function: impl fmt::Display, panic: &(dyn Any + Send)) -> HostTrap {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HostTrap::Function {
        function: function.to_string(),
        source: format!("it panicked: {}", text.unwrap_or("(no text)")).into(),
    }
}

struct Typed<F, A, R> {
    f: F,
    signature: std::marker::PhantomData<fn(A) -> R>,
}

impl<F, A: Scalars, R: Scalars> SyncHostFunction for Typed<F, A, R>
where
    F: Fn(&mut dyn HostCx, A) -> Result<R, HostError> + Send + Sync + 'static,
{
    fn call(&self, cx: &mut dyn HostCx, args: &[Val]) -> Result<Vec<Val>, HostError> {
        let args = A::from_vals(args).ok_or(SIGNATURE_BROKEN)?;
        (self.f)(cx, args).map(|results| results.into_vals().as_ref().to_vec())
    }
}

struct TypedAsync<F, A, R> {
    f: F,
    signature: std::marker::PhantomData<fn(A) -> R>,
}

impl<F, A: Scalars, R: Scalars> AsyncHostFunction for TypedAsync<F, A, R>
where
    F: for<'a> Fn(&'a mut dyn HostCx, A) -> BoxFuture<'a, Result<R, HostError>>
        + Send
        + Sync
        + 'static,
{
    fn call<'a>(
        &'a self,
        cx: &'a mut dyn HostCx,
        args: &'a [Val],
    ) -> BoxFuture<'a, Result<Vec<Val>, HostError>> {
        let Some(args) = A::from_vals(args) else {
            return Box::pin(std::future::ready(Err(SIGNATURE_BROKEN.into())));
        };
        let call = (self.f)(cx, args);
        Box::pin(async move {
            let results = call.await?;
            Ok(results.into_vals().as_ref().to_vec())
        })
    }
}

/// Unreachable with a backend that keeps to the seam: it declares the signature that it calls.
const SIGNATURE_BROKEN: &str = "the backend passed arguments of another signature";
