//! The settings of a runtime.

use std::path::PathBuf;
use std::sync::Arc;

use rangewatch_runtime::{BuildError, DEFAULT_STACK_BYTES, Profile, check_stack_bytes};
use wasmtime::{Config, Engine, Module, WasmFeatures};

use crate::compiled::CompiledModules;
use crate::engine::Wasmtime;

/// The stack that host functions have beside the guest's, in bytes. A host function that needs more
/// ends the process: wasmtime runs it on the stack of the guest's call.
const HOST_STACK_BYTES: usize = 1536 << 10;

/// The least that a given engine must leave them, in bytes: an unoptimized build of this project
/// needs less than half of it.
const MIN_HOST_STACK_BYTES: usize = 256 << 10;

/// Builds a [`Wasmtime`]. Without a setting it is [`Wasmtime::new`]: fuel is counted, the profile
/// is [`Profile::Baseline`], calls have 512 KiB of stack, compiled modules are not kept.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Profile;
/// use rangewatch_wasmtime::Wasmtime;
///
/// let runtime = Wasmtime::builder()
///     .profile(Profile::Extended)
///     .max_stack_bytes(2 << 20)
///     .build()?;
/// # let _: Wasmtime = runtime;
/// # Ok::<(), rangewatch_runtime::BuildError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct WasmtimeBuilder {
    engine: Option<Engine>,
    pub(crate) is_metered: bool,
    profile: Profile,
    max_stack_bytes: Option<usize>,
    compiled_dir: Option<PathBuf>,
}

impl WasmtimeBuilder {
    pub(crate) fn new() -> Self {
        Self {
            is_metered: true,
            ..Self::default()
        }
    }

    /// Counts no fuel. A guest that loops blocks its thread without end: for trusted guests only.
    pub fn unmetered(mut self) -> Self {
        self.is_metered = false;
        self
    }

    /// The WebAssembly proposals that modules may use. Exceptions need the feature `exceptions` of
    /// this crate, or an engine of the embedder that has them.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// How deep calls of a guest may nest, in bytes of the stack of compiled code, of which a call
    /// takes some tens to some hundreds: 512 KiB unless set, from 16 KiB to 64 MiB. A call that
    /// exceeds it traps with `TrapKind::StackOverflow`. The same setting of `rangewatch-wasmi`
    /// admits a comparable depth.
    ///
    /// Each call that is suspended holds a stack of this size and 1.5 MiB more for host functions,
    /// of which the operating system provides the pages that were used.
    pub fn max_stack_bytes(mut self, bytes: usize) -> Self {
        self.max_stack_bytes = Some(bytes);
        self
    }

    /// Uses an engine that exists already: see [`Wasmtime::with_engine`].
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Keeps compiled modules in a directory of the host, so that loading the same module again, in
    /// this process or in another one, takes some milliseconds. The directory is created if it does
    /// not exist.
    ///
    /// A file in it is native code that this process runs, so only the user of this process may be
    /// able to write there: on Unix the directory must belong to that user and be writable by no
    /// other, and each directory above it must belong to that user or to root and be writable by no
    /// other or be sticky. Other systems have no such check here and are refused.
    ///
    /// A file is used for the same bytes, the same versions of wasmtime and of this crate, the same
    /// settings and the same processor features only. One that is damaged or has been made writable
    /// by others is ignored and replaced. A module that cannot be written is compiled each time;
    /// a warning of the facade `tracing` says why. Any number of processes may use the directory at
    /// once. Files are never deleted: an operator may delete them at any time.
    pub fn compiled_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.compiled_dir = Some(dir.into());
        self
    }

    /// Builds the runtime.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: a limit outside of its range, an engine that cannot run guests, a directory
    /// that others can write, a machine that wasmtime does not support.
    pub fn build(self) -> Result<Wasmtime, BuildError> {
        let engine = match &self.engine {
            Some(engine) => self.check(engine)?,
            None => {
                check_stack_bytes(self.stack_bytes())?;
                Engine::new(&self.config()).map_err(|error| BuildError::Engine(error.into()))?
            }
        };
        let lacking = (self.profile)
            .lacking(|wasm| Module::validate(&engine, wasm))
            .map_err(|error| BuildError::Baseline(error.into()))?;
        let compiled = match &self.compiled_dir {
            Some(dir) => {
                let modules = CompiledModules::open(dir, &engine, self.profile, &lacking)
                    .map_err(|error| BuildError::CompiledDir(error.into()))?;
                Some(Arc::new(modules))
            }
            None => None,
        };
        Ok(Wasmtime {
            is_metered: engine.get_consume_fuel(),
            engine: Ok(engine),
            profile: self.profile,
            lacking: lacking.into(),
            compiled,
        })
    }

    fn stack_bytes(&self) -> usize {
        self.max_stack_bytes.unwrap_or(DEFAULT_STACK_BYTES)
    }

    pub(crate) fn config(&self) -> Config {
        let stack_bytes = self.stack_bytes();
        // Without exceptions there is no collector in a store, whatever features other crates of
        // the program enable.
        let has_exceptions = cfg!(feature = "exceptions") && self.profile == Profile::Extended;
        let mut config = Config::new();
        config
            .consume_fuel(self.is_metered)
            .cranelift_nan_canonicalization(true)
            .max_wasm_stack(stack_bytes)
            .async_stack_size(stack_bytes + HOST_STACK_BYTES)
            .gc_support(has_exceptions)
            .wasm_features(WasmFeatures::EXCEPTIONS, has_exceptions);
        #[cfg(feature = "exceptions")]
        config.collector(wasmtime::Collector::DeferredReferenceCounting);
        config
    }

    fn check(&self, engine: &Engine) -> Result<Engine, BuildError> {
        let fixed = |setting, in_config| Err(BuildError::FixedByEngine { setting, in_config });
        if self.max_stack_bytes.is_some() {
            return fixed("max_stack_bytes", "max_wasm_stack");
        }
        if !self.is_metered && engine.get_consume_fuel() {
            return fixed("unmetered", "consume_fuel(false)");
        }
        let host_stack = engine
            .get_async_stack_size()
            .saturating_sub(engine.get_max_wasm_stack());
        let needs = if engine.get_epoch_interruption() {
            "call `Config::epoch_interruption(false)`: stores have no epoch deadline here, and \
             slices of fuel interrupt guests"
        } else if host_stack < MIN_HOST_STACK_BYTES {
            "let `Config::async_stack_size` exceed `Config::max_wasm_stack` by at least 256 KiB: \
             host functions run in between"
        } else {
            match engine.get_cranelift_nan_canonicalization() {
                Some(true) => return Ok(engine.clone()),
                Some(false) => {
                    "call `Config::cranelift_nan_canonicalization(true)`: guests compute the same \
                     NaNs on every machine and engine"
                }
                None => "it has no compiler: leave `Config::enable_compiler` on",
            }
        };
        Err(BuildError::Unsuited { needs })
    }
}

impl std::fmt::Debug for WasmtimeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmtimeBuilder")
            .field("is_metered", &self.is_metered)
            .field("profile", &self.profile)
            .field("max_stack_bytes", &self.max_stack_bytes)
            .field("compiled_dir", &self.compiled_dir)
            .finish_non_exhaustive()
    }
}
