//! The settings of a runtime.

use rangewatch_runtime::{BuildError, DEFAULT_STACK_BYTES, Profile, check_stack_bytes};
use rangewatch_wasi::link_wasmi::counts_fuel;
use wasmi::{CompilationMode, Config, Engine, Error, Linker, Module, Store};

use crate::engine::Wasmi;

/// The smallest frames of compiled code take this many bytes: as many frames may a call of wasmi
/// nest in a stack of the same size. wasmi would stop at 1,000 frames, where programs that recurse
/// as deep as a compiled engine allows need more.
const BYTES_PER_FRAME: usize = 32;

/// The bytes that the values of all frames of one call may take, for each byte of the stack: wasmi
/// keeps all values of a frame there, where compiled code has most of them in registers. The stack
/// is on the heap and grows as it is used.
const VALUE_BYTES_PER_BYTE: usize = 16;

/// Builds a [`Wasmi`]. Without a setting it is [`Wasmi::new`]: fuel is counted, the profile is
/// [`Profile::Baseline`], calls have 512 KiB of stack.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Profile;
/// use rangewatch_wasmi::Wasmi;
///
/// let runtime = Wasmi::builder()
///     .profile(Profile::Extended)
///     .max_stack_bytes(2 << 20)
///     .build()?;
/// # let _: Wasmi = runtime;
/// # Ok::<(), rangewatch_runtime::BuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct WasmiBuilder {
    engine: Option<Engine>,
    pub(crate) is_metered: bool,
    profile: Profile,
    max_stack_bytes: Option<usize>,
}

impl WasmiBuilder {
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

    /// The WebAssembly proposals that modules may use. wasmi has no exception handling: of
    /// [`Profile::Extended`] it has tail calls.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// How deep calls of a guest may nest, in bytes of the stack that compiled code of the same
    /// guest would need on wasmtime: 512 KiB unless set, from 16 KiB to 64 MiB. A call that exceeds
    /// it traps with `TrapKind::StackOverflow`.
    ///
    /// wasmi has its stack on the heap: it admits a frame for each 32 bytes of this limit, and 16
    /// times the limit for the values of all frames together.
    pub fn max_stack_bytes(mut self, bytes: usize) -> Self {
        self.max_stack_bytes = Some(bytes);
        self
    }

    /// Uses an engine that exists already: see [`Wasmi::with_engine`].
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Builds the runtime.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: a limit outside of its range, an engine that cannot run guests.
    pub fn build(self) -> Result<Wasmi, BuildError> {
        let engine = match &self.engine {
            Some(engine) => engine.clone(),
            None => {
                check_stack_bytes(self.stack_bytes())?;
                Engine::new(&self.config())
            }
        };
        let lacking = (self.profile)
            .lacking(|wasm| Module::validate(&engine, wasm))
            .map_err(|error| BuildError::Baseline(error.into()))?;
        let is_metered = counts_fuel(&engine);
        if self.engine.is_some() {
            self.check(&engine, is_metered)?;
        }
        Ok(Wasmi {
            engine,
            is_metered,
            profile: self.profile,
            lacking: lacking.into(),
        })
    }

    fn stack_bytes(&self) -> usize {
        self.max_stack_bytes.unwrap_or(DEFAULT_STACK_BYTES)
    }

    pub(crate) fn config(&self) -> Config {
        let stack_bytes = self.stack_bytes();
        let mut config = Config::default();
        config
            // A call into a function that is translated lazily could not be resumed.
            .compilation_mode(CompilationMode::Eager)
            .consume_fuel(self.is_metered)
            .set_max_recursion_depth(stack_bytes / BYTES_PER_FRAME)
            .set_max_stack_height(stack_bytes * VALUE_BYTES_PER_BYTE);
        config
    }

    fn check(&self, engine: &Engine, is_metered: bool) -> Result<(), BuildError> {
        let fixed = |setting, in_config| Err(BuildError::FixedByEngine { setting, in_config });
        if self.max_stack_bytes.is_some() {
            return fixed(
                "max_stack_bytes",
                "set_max_recursion_depth` and `set_max_stack_height",
            );
        }
        if !self.is_metered && is_metered {
            return fixed("unmetered", "consume_fuel(false)");
        }
        let needs = match fuel_of_two_calls(engine, is_metered) {
            Ok([first, second]) if first == second => return Ok(()),
            Ok(_) => {
                "call `Config::compilation_mode(CompilationMode::Eager)`: a function that is \
                 translated when it is called takes fuel for that, and cannot be suspended there"
            }
            Err(_) => {
                "leave room for some frames in `Config::set_max_recursion_depth` and \
                 `Config::set_max_stack_height`"
            }
        };
        Err(BuildError::Unsuited { needs })
    }
}

/// The fuel that the first call of a function takes and that the next one takes: the first one
/// takes more on an engine that translates functions lazily.
fn fuel_of_two_calls(engine: &Engine, is_metered: bool) -> Result<[u64; 2], Error> {
    const FUEL: u64 = 1 << 32;
    let module = Module::new(engine, PROBE)?;
    let mut store = Store::new(engine, ());
    let instance = Linker::new(engine).instantiate_and_start(&mut store, &module)?;
    let run = instance.get_typed_func::<(), ()>(&store, "")?;
    let mut fuel = [0; 2];
    for fuel in &mut fuel {
        if is_metered {
            store.set_fuel(FUEL)?;
        }
        run.call(&mut store, ())?;
        if is_metered {
            *fuel = FUEL - store.get_fuel()?;
        }
    }
    Ok(fuel)
}

/// `(module (func $callee) (func (export "") (call $callee)))`
const PROBE: &[u8] = b"\0asm\x01\0\0\0\
    \x01\x04\x01\x60\x00\x00\x03\x03\x02\x00\x00\x07\x04\x01\x00\x00\x01\
    \x0a\x09\x02\x02\x00\x0b\x04\x00\x10\x00\x0b";
