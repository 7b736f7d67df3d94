//! The runtime: an engine with a profile.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rangewatch_runtime::{BuildError, Compiled, EngineError, Profile, Proposal, Runtime};
use wasmi::{Engine, Module};

use crate::builder::WasmiBuilder;
use crate::runtime::{NAME, WasmiModule};

/// wasmi as a [`Runtime`].
///
/// Nothing is kept of loaded modules, as `rangewatch_wasmtime::WasmtimeBuilder::compiled_dir` does
/// it: wasmi translates a guest of two megabytes in a tenth of a second.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Runtime;
///
/// let runtime: std::sync::Arc<dyn Runtime> = std::sync::Arc::new(rangewatch_wasmi::Wasmi::new());
/// assert_eq!(runtime.name(), "wasmi");
/// ```
#[derive(Clone)]
pub struct Wasmi {
    pub(crate) engine: Engine,
    pub(crate) is_metered: bool,
    pub(crate) profile: Profile,
    pub(crate) lacking: Arc<[Proposal]>,
}

impl Wasmi {
    /// An engine that counts fuel: guests yield at every slice and may be limited.
    #[must_use]
    pub fn new() -> Self {
        Self::of_defaults(&Self::builder())
    }

    /// An engine that counts no fuel. A guest that loops blocks its thread without end: for
    /// trusted guests only.
    #[must_use]
    pub fn unmetered() -> Self {
        Self::of_defaults(&Self::builder().unmetered())
    }

    /// A runtime with other settings: the profile, the stack.
    pub fn builder() -> WasmiBuilder {
        WasmiBuilder::new()
    }

    /// A runtime on an engine that exists already, for example one that the program shares with
    /// other stores. [`WasmiBuilder::engine`] does the same beside other settings.
    ///
    /// Guests are metered if the engine counts fuel. Its costs of instructions, if they were
    /// changed, are the units of all limits on fuel. Modules with a start section do not load on an
    /// engine that does not allow them.
    ///
    /// # Errors
    ///
    /// [`BuildError::Unsuited`], which says what to change in the `Config`: it counts fuel and
    /// translates functions lazily, where a call cannot be suspended, or has no stack for a call.
    /// [`BuildError::Baseline`]: it refuses modules of the baseline profile.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasmi::{Wasmi, wasmi};
    ///
    /// let mut config = wasmi::Config::default();
    /// config
    ///     .compilation_mode(wasmi::CompilationMode::Eager)
    ///     .consume_fuel(true)
    ///     .set_max_cached_stacks(64);
    /// let runtime = Wasmi::with_engine(wasmi::Engine::new(&config))?;
    /// # let _: Wasmi = runtime;
    /// # Ok::<(), rangewatch_runtime::BuildError>(())
    /// ```
    pub fn with_engine(engine: Engine) -> Result<Self, BuildError> {
        Self::builder().engine(engine).build()
    }

    fn of_defaults(builder: &WasmiBuilder) -> Self {
        Self {
            engine: Engine::new(&builder.config()),
            is_metered: builder.is_metered,
            profile: Profile::Baseline,
            lacking: Arc::default(),
        }
    }
}

impl Default for Wasmi {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Wasmi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wasmi")
            .field("is_metered", &self.is_metered)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Runtime for Wasmi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn profile(&self) -> Profile {
        self.profile
    }

    fn lacking(&self) -> &[Proposal] {
        &self.lacking
    }

    async fn compile(&self, wasm: &[u8]) -> Result<Arc<dyn Compiled>, EngineError> {
        let module = Module::new(&self.engine, wasm)?;
        Ok(Arc::new(WasmiModule::new(self.is_metered, module)))
    }
}
