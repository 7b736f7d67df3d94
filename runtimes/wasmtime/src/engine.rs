//! The runtime: an engine with a profile, and what it keeps of compiled modules.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rangewatch_runtime::{BuildError, Compiled, EngineError, Profile, Proposal, Runtime};
use wasmtime::{Engine, Module};

use crate::builder::WasmtimeBuilder;
use crate::compiled::CompiledModules;
use crate::runtime::{NAME, WasmtimeModule};

/// wasmtime as a [`Runtime`].
///
/// On a machine that wasmtime does not compile for, [`load`](Runtime::load) says so.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Runtime;
///
/// let runtime = rangewatch_wasmtime::Wasmtime::new();
/// let runtime: std::sync::Arc<dyn Runtime> = std::sync::Arc::new(runtime);
/// assert_eq!(runtime.name(), "wasmtime");
/// ```
#[derive(Clone)]
pub struct Wasmtime {
    pub(crate) engine: Result<Engine, Arc<str>>,
    pub(crate) is_metered: bool,
    pub(crate) profile: Profile,
    pub(crate) lacking: Arc<[Proposal]>,
    pub(crate) compiled: Option<Arc<CompiledModules>>,
}

impl Wasmtime {
    /// An engine that counts fuel: guests yield at every slice and may be limited. Counting costs
    /// compiled code some of its speed.
    #[must_use]
    pub fn new() -> Self {
        Self::of_defaults(Self::builder())
    }

    /// An engine that counts no fuel. A guest that loops blocks its thread without end: for
    /// trusted guests only.
    #[must_use]
    pub fn unmetered() -> Self {
        Self::of_defaults(Self::builder().unmetered())
    }

    /// A runtime with other settings: the profile, the stack, a directory for compiled modules.
    pub fn builder() -> WasmtimeBuilder {
        WasmtimeBuilder::new()
    }

    /// A runtime on an engine that exists already: one that the program shares with other stores,
    /// or one with settings that [`builder`](Self::builder) does not have, for example the pooling
    /// allocator. [`WasmtimeBuilder::engine`] does the same beside other settings.
    ///
    /// Guests are metered if the engine counts fuel. Its costs of instructions, if they were
    /// changed, are the units of all limits on fuel.
    ///
    /// # Errors
    ///
    /// [`BuildError::Unsuited`], which says what to change in the `Config`: it interrupts by
    /// epochs, leaves NaNs as they are, has no compiler, or less than 256 KiB of stack for host
    /// functions (`async_stack_size` less `max_wasm_stack`). [`BuildError::Baseline`]: it refuses
    /// modules of the baseline profile.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasmtime::{Wasmtime, wasmtime};
    ///
    /// let mut config = wasmtime::Config::new();
    /// config
    ///     .consume_fuel(true)
    ///     .cranelift_nan_canonicalization(true)
    ///     .memory_reservation(64 << 20);
    /// let runtime = Wasmtime::with_engine(wasmtime::Engine::new(&config)?)?;
    /// # let _: Wasmtime = runtime;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_engine(engine: Engine) -> Result<Self, BuildError> {
        Self::builder().engine(engine).build()
    }

    fn of_defaults(builder: WasmtimeBuilder) -> Self {
        Self {
            engine: Engine::new(&builder.config()).map_err(|error| error.to_string().into()),
            is_metered: builder.is_metered,
            profile: Profile::Baseline,
            lacking: Arc::default(),
            compiled: None,
        }
    }
}

impl Default for Wasmtime {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Wasmtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wasmtime")
            .field("is_metered", &self.is_metered)
            .field("profile", &self.profile)
            .field("compiled", &self.compiled)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Runtime for Wasmtime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn profile(&self) -> Profile {
        self.profile
    }

    fn lacking(&self) -> &[Proposal] {
        &self.lacking
    }

    async fn compiled_before(&self, wasm: &[u8]) -> Option<Arc<dyn Compiled>> {
        let engine = self.engine.as_ref().ok()?;
        let module = self.compiled.as_ref()?.read(engine, wasm)?;
        Some(Arc::new(WasmtimeModule::new(self.is_metered, module)))
    }

    async fn compile(&self, wasm: &[u8]) -> Result<Arc<dyn Compiled>, EngineError> {
        let engine = self.engine.as_ref().map_err(|error| error.to_string())?;
        let module = Module::from_binary(engine, wasm)?;
        if let Some(compiled) = &self.compiled {
            compiled.write(wasm, &module);
        }
        Ok(Arc::new(WasmtimeModule::new(self.is_metered, module)))
    }
}
