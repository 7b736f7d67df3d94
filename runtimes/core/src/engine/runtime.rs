//! The seam: what a backend implements.
//!
//! It has what the host needs and not all of wasm: compile, link, instantiate, call an export,
//! access the memory. A backend translates; every policy (which imports are provided, what may be
//! called, what happens after a trap) is in this crate.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use rangewatch_wasi::{Wasi, WorkMeter};

use crate::abi::GuestAbi;
use crate::engine::exports::Export;
use crate::engine::failure::{EngineError, Failure};
use crate::engine::host_cx::{NoContext, NoData};
use crate::engine::host_function::HostFunction;
use crate::engine::load_error::LoadError;
use crate::engine::meta_page::MetaPage;
use crate::engine::module::{Module, ModuleInfo};
use crate::engine::profile::{Profile, Proposal};
use crate::engine::typed_values::TypedValues;
use crate::engine::val::Val;
use crate::guest::ids::InstanceId;
use crate::guest::limits::Limits;

/// A wasm engine, ready to load modules. Usable as `Arc<dyn Runtime>`, so that the engine can come
/// from a configuration string.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Guest, Runtime, Val};
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// # async fn example(runtime: std::sync::Arc<dyn Runtime>, wasm: &[u8]) -> Result {
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

    /// The proposals that modules may use.
    fn profile(&self) -> Profile {
        Profile::Baseline
    }

    /// The proposals of the profile that the engine does not have: a module that needs one is
    /// refused.
    fn lacking(&self) -> &[Proposal] {
        &[]
    }

    /// A module that was compiled before, from exactly these bytes, by an engine with the same
    /// profile, the same [`lacking`](Self::lacking) proposals and the same configuration: core has
    /// validated it then and does not check the bodies of its functions again. `None` compiles the
    /// module; errors of whatever keeps compiled modules end in `None` too.
    async fn compiled_before(&self, _wasm: &[u8]) -> Option<Arc<dyn Compiled>> {
        None
    }

    /// Compiles a module that core has validated. Users call [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// The error of the engine.
    async fn compile(&self, wasm: &[u8]) -> Result<Arc<dyn Compiled>, EngineError>;

    /// Validates and compiles a module.
    ///
    /// Compiling is not sliced: it blocks the thread, with an optimizing engine up to some seconds
    /// for a guest of some megabytes. A runtime that keeps compiled modules takes some milliseconds
    /// for one that it has.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: only the work done is lost.
    ///
    /// # Errors
    ///
    /// [`LoadError`]: not wasm, outside of the profile, or refused by the engine.
    async fn load(&self, wasm: &[u8]) -> Result<Module, LoadError> {
        let (profile, lacking) = (self.profile(), self.lacking());
        if let Some(compiled) = self.compiled_before(wasm).await {
            let info = ModuleInfo::read_validated(wasm, profile, lacking)?;
            return Ok(Module::new(info, compiled));
        }
        let info = ModuleInfo::parse_for(wasm, profile, lacking, self.name())?;
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

            fn profile(&self) -> Profile {
                (**self).profile()
            }

            fn lacking(&self) -> &[Proposal] {
                (**self).lacking()
            }

            async fn compiled_before(&self, wasm: &[u8]) -> Option<Arc<dyn Compiled>> {
                (**self).compiled_before(wasm).await
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

/// A module that an engine has compiled.
pub trait Compiled: Send + Sync {
    /// The name of the runtime that compiled it.
    fn runtime(&self) -> &'static str;

    /// Whether it was compiled to count fuel.
    fn is_metered(&self) -> bool;

    /// Resolves the imports, once for many instances. Core has checked that `imports` provides each
    /// import of the module with its signature.
    ///
    /// # Errors
    ///
    /// The error of the engine.
    fn link(&self, imports: &Imports) -> Result<Arc<dyn Linked>, EngineError>;
}

/// The functions that a guest's imports resolve to, besides those of the guest ABI, which every
/// backend links.
#[derive(Clone, Debug, Default)]
pub struct Imports {
    pub(crate) is_command: bool,
    pub(crate) wasi: bool,
    pub(crate) functions: Vec<HostFunction>,
}

impl Imports {
    /// Whether the guest is a command, which may call the guest ABI while its `_start` runs, before
    /// core has read its meta page. For such a guest a backend calls the export
    /// [`PAGE`](crate::abi::gen1::PAGE) when the guest calls a function of the ABI and is not
    /// [attached](crate::abi::GuestAbi::must_attach), and attaches what it returns.
    #[must_use]
    pub fn is_command(&self) -> bool {
        self.is_command
    }

    /// Whether the functions of WASI preview1 are to be linked.
    #[must_use]
    pub fn wasi(&self) -> bool {
        self.wasi
    }

    /// The functions of the embedder.
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

/// The state of the host for one instance, in the engine's store.
#[derive(Debug)]
pub struct GuestState {
    pub(crate) instance_id: InstanceId,
    abi: GuestAbi,
    wasi: Wasi,
    pub(crate) data: TypedValues,
    /// The context of the call that runs; empty between calls.
    pub(crate) context: TypedValues,
    /// The meta pages that were read, by the export.
    pub(crate) pages: Vec<(Arc<str>, MetaPage)>,
    /// Whether a command's `_start` has been called.
    pub(crate) is_started: bool,
}

impl GuestState {
    pub(crate) fn new(abi: GuestAbi, wasi: Wasi) -> Self {
        Self {
            instance_id: InstanceId::new(),
            abi,
            wasi,
            data: TypedValues::default(),
            context: TypedValues::default(),
            pages: Vec::new(),
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

    /// The embedder's data of the type `T`.
    ///
    /// # Errors
    ///
    /// [`NoData`]: the guest was built without data of this type.
    pub fn data<T: 'static>(&mut self) -> Result<&mut T, NoData> {
        self.data.get_mut().ok_or_else(NoData::of::<T>)
    }

    /// The value of the type `T` in the context of the call that runs.
    ///
    /// # Errors
    ///
    /// [`NoContext`]: the call was made without a value of this type.
    pub fn context<T: 'static>(&mut self) -> Result<&mut T, NoContext> {
        self.context.get_mut().ok_or_else(NoContext::of::<T>)
    }

    /// The work of all imports: of the ABI, of WASI and of the embedder.
    pub fn meter(&mut self) -> &mut WorkMeter {
        self.wasi.meter()
    }
}

/// One instance of a module, with its memory.
#[async_trait]
pub trait Instance: Send {
    /// The exported memory (empty when there is none) and what the host keeps for the instance.
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState);

    /// What the host keeps for the instance.
    fn state(&mut self) -> &mut GuestState {
        self.memory_and_state().1
    }

    /// Begins a call of an export. Core has checked that it exists and that the arguments fit.
    ///
    /// A call is suspended at every fuel slice and in every asynchronous host function. A backend
    /// may run it to the first of these, or leave all of it to [`resume`](Self::resume).
    fn call(&mut self, export: Export<'_>, args: &[Val]) -> Called;

    /// Runs the call that [`call`](Self::call) has begun to its end. Core polls it at once.
    ///
    /// When the future is dropped before it has resolved, core drops the instance.
    async fn resume(&mut self) -> Result<Vec<Val>, Failure>;
}

/// A call of an export that has begun. After a [`Failure`] core drops the instance.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a backend makes either")]
#[must_use = "the call may not have ended"]
pub enum Called {
    /// It has ended and was never suspended.
    Ended(Result<Vec<Val>, Failure>),
    /// It goes on in [`Instance::resume`].
    Suspended,
}
