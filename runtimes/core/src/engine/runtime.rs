//! The seam: what a backend implements.
//!
//! It is cut at what the host needs and not at all of wasm: compile, link, instantiate, call an
//! export, see the memory. A backend translates; every policy (what is provided, who may call
//! whom, what happens after a trap) lives in this crate, once.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use rangewatch_wasi::Wasi;

use crate::abi::GuestAbi;
use crate::engine::failure::{EngineError, Failure};
use crate::engine::host_function::HostFunction;
use crate::engine::load_error::LoadError;
use crate::engine::module::{Module, ModuleInfo};
use crate::engine::val::Val;
use crate::guest::limits::Limits;

/// A wasm engine, ready to load modules. Usable as `Arc<dyn Runtime>`, so that the engine can come
/// from a configuration string.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Guest, Runtime, Val};
/// # async fn example(runtime: std::sync::Arc<dyn Runtime>, wasm: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let bus = rangewatch_bus::RangeWatchBus::new();
/// let module = runtime.load(wasm).await?;
/// let guest = Guest::builder(&module, &bus).instantiate().await?;
/// guest.call("apply", &[Val::I64(7)]).await?;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Runtime: Debug + Send + Sync + 'static {
    /// The engine's name, as in a configuration: `wasmtime`, `wasmi`.
    fn name(&self) -> &'static str;

    /// Compiles a module that core has validated. Users call [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// Whatever the engine says.
    async fn compile(&self, wasm: &[u8]) -> Result<Arc<dyn Compiled>, EngineError>;

    /// Validates and compiles a module.
    ///
    /// Compiling is work of the processor and not sliced: it holds the thread, for an optimizing
    /// engine up to some seconds for a guest of some megabytes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the work done.
    ///
    /// # Errors
    ///
    /// [`LoadError`]: not wasm, outside of the profile, or refused by the engine.
    async fn load(&self, wasm: &[u8]) -> Result<Module, LoadError> {
        let info = ModuleInfo::parse(wasm)?;
        let compiled = self.compile(wasm).await.map_err(LoadError::Engine)?;
        Ok(Module::new(info, compiled))
    }
}

macro_rules! forward {
    ($($pointer:ident)*) => {$(
        #[async_trait]
        impl<R: Runtime + ?Sized> Runtime for $pointer<R> {
            fn name(&self) -> &'static str {
                (**self).name()
            }

            async fn compile(&self, wasm: &[u8]) -> Result<Arc<dyn Compiled>, EngineError> {
                (**self).compile(wasm).await
            }

            async fn load(&self, wasm: &[u8]) -> Result<Module, LoadError> {
                (**self).load(wasm).await
            }
        }
    )*};
}
forward!(Arc Box);

/// A module as an engine holds it.
pub trait Compiled: Send + Sync {
    /// The name of the runtime that compiled it.
    fn runtime(&self) -> &'static str;

    /// Whether it was compiled to count fuel.
    fn is_metered(&self) -> bool;

    /// Resolves the imports, once for many instances. Core has checked that `imports` covers what
    /// the module asks for, with the right signatures.
    ///
    /// # Errors
    ///
    /// Whatever the engine says.
    fn link(&self, imports: &Imports) -> Result<Arc<dyn Linked>, EngineError>;
}

/// What a guest's imports resolve to.
#[derive(Clone, Debug, Default)]
pub struct Imports {
    pub(crate) abi: bool,
    pub(crate) wasi: bool,
    pub(crate) wasi_at_once: Vec<&'static str>,
    pub(crate) functions: Vec<HostFunction>,
}

impl Imports {
    /// Whether the backend links the four functions of the range-watch ABI that never wait. If not,
    /// they are among the [`functions`](Self::functions).
    #[must_use]
    pub fn abi(&self) -> bool {
        self.abi
    }

    /// Whether the functions of WASI preview1 are to be linked.
    #[must_use]
    pub fn wasi(&self) -> bool {
        self.wasi
    }

    /// Whether a function of WASI can have to wait, in the contexts that this guest's instances have. One that cannot
    /// is best linked as those that return at once.
    #[must_use]
    pub fn wasi_may_wait(&self, function: &str) -> bool {
        !self.wasi_at_once.contains(&function)
    }

    /// The functions that are called through their object: the embedder's own, the ABI's `stop`,
    /// which may wait, and for commands the rest of the ABI, which may have to
    /// [read the meta page](crate::HostCx::page) first.
    #[must_use]
    pub fn functions(&self) -> &[HostFunction] {
        &self.functions
    }
}

/// A module whose imports are resolved.
#[async_trait]
pub trait Linked: Send + Sync {
    /// Makes an instance and runs its start section, under `limits`.
    ///
    /// # Errors
    ///
    /// [`Failure`], of the engine or of the start section.
    async fn instantiate(
        &self,
        state: GuestState,
        limits: &Limits,
    ) -> Result<Box<dyn Instance>, Failure>;
}

/// What the host keeps per instance, inside of the engine's store.
#[derive(Debug)]
pub struct GuestState {
    abi: GuestAbi,
    wasi: Wasi,
    /// Whether a command's `_start` has been called.
    pub(crate) is_started: bool,
}

impl GuestState {
    pub(crate) fn new(abi: GuestAbi, wasi: Wasi) -> Self {
        Self {
            abi,
            wasi,
            is_started: false,
        }
    }

    /// The instance's half of the range-watch ABI.
    pub fn abi(&mut self) -> &mut GuestAbi {
        &mut self.abi
    }

    /// The instance's WASI context.
    pub fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

/// One instance of a module, with its memory.
#[async_trait]
pub trait Instance: Send {
    /// The exported memory (empty when there is none) and what the host keeps for the instance.
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState);

    /// Calls an export. Core has checked that it exists and that the arguments fit. Suspends at
    /// every fuel slice and in every asynchronous host function.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: after the future was dropped the instance may only be dropped. Core does.
    ///
    /// # Errors
    ///
    /// [`Failure`]; the instance may only be dropped then.
    async fn call(&mut self, export: &str, args: &[Val]) -> Result<Vec<Val>, Failure>;
}
