//! What can go wrong, one type per operation.

use std::fmt;

use rangewatch_wasi::Exit;

use crate::abi::AbiError;
use crate::host_function::HostError;
use crate::module::Import;
use crate::val::{FuncType, TypeList, Val, ValType};

/// An error of an engine, in the engine's words.
pub type EngineError = Box<dyn std::error::Error + Send + Sync>;

/// Why bytes did not become a [`Module`](crate::Module).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are no wasm binary: nothing, text, a file of another kind.
    #[error(
        "not a wasm binary: it should start with \"\\0asm\" but starts with \"{}\"; \
         a text module (.wat) must be assembled first",
        starts_with.escape_ascii()
    )]
    NotWasm {
        /// The first bytes, at most eight.
        starts_with: Vec<u8>,
    },
    /// The bytes are a component, or of a version that is not 1.
    #[error(
        "not a core wasm module but a component or another version of wasm: build a core module, \
         for the target wasm32-wasip1 or wasm32-unknown-unknown"
    )]
    NotCore,
    /// The module is malformed or cut off, or uses a feature outside of the profile: threads and shared
    /// memory, tail calls, garbage collection, exceptions, external references, 64-bit or multiple
    /// memories.
    #[error(
        "not a valid module of the supported wasm profile (WebAssembly 2.0 with extended constants): \
         {0}; if this names a feature, build the guest without it; if not, the file is damaged or cut off"
    )]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The engine could not compile a module that is valid.
    #[error("the engine could not compile the module: {0}")]
    Engine(#[source] EngineError),
}

impl From<wasmparser::BinaryReaderError> for LoadError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid(Box::new(error))
    }
}

/// Why a module did not become a guest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstantiateError {
    /// Nobody provides an import.
    #[error("nobody provides the import `{}.{}` ({}): {hint}", import.module, import.name, import.ty)]
    UnknownImport {
        /// What is asked for.
        import: Box<Import>,
        /// What to do.
        hint: &'static str,
    },
    /// An import is provided with another signature.
    #[error(
        "the import `{}.{}` is a function {provided} here, but the module wants a {}",
        import.module, import.name, import.ty
    )]
    ImportType {
        /// What the module asks for.
        import: Box<Import>,
        /// The signature of what the host has.
        provided: FuncType,
    },
    /// Two host functions of one name, or one that takes a name of the ABI or of WASI.
    #[error("the host function `{function}` is provided twice: give it another name")]
    DuplicateHostFunction {
        /// `module.name`.
        function: String,
    },
    /// The module imports the range-watch ABI but lacks an export that the ABI needs.
    #[error(
        "the module imports `{abi}` but does not export {missing}, which the range-watch ABI needs",
        abi = crate::abi::MODULE
    )]
    AbiExport {
        /// The name and type that is missing.
        missing: &'static str,
    },
    /// A host function's signature has a type that does not cross the border.
    #[error(
        "the host function `{function}` has the signature {ty}: v128 and references do not cross"
    )]
    HostFunctionType {
        /// `module.name`.
        function: String,
        /// The signature.
        ty: FuncType,
    },
    /// A fuel limit was asked of a runtime that does not count fuel.
    #[error("a fuel limit needs a runtime that counts fuel, and `{runtime}` was built without")]
    NotMetered {
        /// The name of the runtime.
        runtime: &'static str,
    },
    /// The module starts with more memory than the guest may have.
    #[error(
        "the module starts with {bytes} bytes of memory, but the guest may have {max_bytes}: \
         raise `Limits::memory_bytes`"
    )]
    Memory {
        /// What the module starts with, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        max_bytes: usize,
    },
    /// One WASI context cannot serve several instances.
    #[error(
        "a pool of instances needs a WASI context for each: use `wasi_with` in place of `wasi`"
    )]
    SharedWasi,
    /// A pool of no places, or of too many.
    #[error("a pool has room for 1 to {max} calls and for 1 to {max} callbacks")]
    PoolSize {
        /// The most that either may be.
        max: u32,
    },
    /// The embedder's WASI factory failed.
    #[error("the WASI context could not be built: {0}")]
    Wasi(#[source] HostError),
    /// The start section, `_initialize` or `__range_watch` failed.
    #[error("the guest failed while it started: {0}")]
    Start(#[source] Box<CallError>),
    /// The engine refused: a limit on memory or tables, no memory left on the host.
    #[error("the engine could not instantiate the module: {0}")]
    Engine(#[source] EngineError),
}

/// Why a call into a guest gave no results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The module exports no function of that name.
    #[error(
        "the guest exports no function `{export}`; it exports: {}",
        Names(exports)
    )]
    UnknownExport {
        /// The name that was asked for.
        export: String,
        /// The functions that there are.
        exports: Vec<String>,
    },
    /// The arguments do not fit the signature.
    #[error("`{export}` is {ty}, but was called with {}", Given(given))]
    Arguments {
        /// The export.
        export: String,
        /// Its signature.
        ty: FuncType,
        /// The types of the arguments given.
        given: Vec<ValType>,
    },
    /// The export's signature has a type that does not cross the border.
    #[error("`{export}` is {ty}: v128 and references do not cross between host and guest")]
    Signature {
        /// The export.
        export: String,
        /// Its signature.
        ty: FuncType,
    },
    /// The guest trapped. Its instance is gone.
    #[error("`{export}` trapped: {kind}")]
    Trap {
        /// The export that was called.
        export: String,
        /// The kind of trap, the same on every engine.
        kind: TrapKind,
        /// The engine's words.
        #[source]
        source: EngineError,
    },
    /// The guest ended itself with WASI's `proc_exit`. Its instance is gone.
    #[error("`{export}` exited with code {}", .exit.code())]
    Exit {
        /// The export that was called.
        export: String,
        /// What it said.
        exit: Exit,
    },
    /// The guest misused the range-watch ABI, or the bus refused its emit. Its instance is gone.
    #[error("`{export}` broke the range-watch ABI: {source}")]
    Abi {
        /// The export that was called.
        export: String,
        /// What was wrong.
        source: AbiError,
    },
    /// A host function of the embedder failed. The guest's instance is gone.
    #[error("`{export}` called the host function `{function}`, which failed: {source}")]
    HostFunction {
        /// The export that was called.
        export: String,
        /// The host function, `module.name`.
        function: String,
        /// Its error.
        source: HostError,
    },
    /// The call did not return, and the emits that it had [staged](crate::Emits::Staged) are dropped.
    #[error("{source}; the emits that it had staged, {n_emits}, are dropped")]
    Discarded {
        /// How many emits.
        n_emits: usize,
        /// Why the call did not return.
        source: Box<Self>,
    },
    /// The call returned, but the bus refused the emits that it had [staged](crate::Emits::Staged), and all of them
    /// are dropped. The guest's instance is gone.
    #[error("`{export}` returned, but its staged emits, {n_emits}, are dropped: {source}")]
    Refused {
        /// The export that was called.
        export: String,
        /// How many emits.
        n_emits: usize,
        /// Why.
        source: AbiError,
    },
    /// The call returned, but what the guest wrote could not be flushed to the host's writers.
    #[error("`{export}` returned, but its output could not be flushed: {source}")]
    Flush {
        /// The export that was called.
        export: String,
        /// The writer's error.
        source: std::io::Error,
    },
    /// The guest's only instance is gone: an earlier call trapped, exited or was dropped midway.
    #[error("the guest's instance is gone, because {reason}; make a new guest from the module")]
    Gone {
        /// What ended it.
        reason: String,
    },
    /// A fresh instance of the pool could not be made.
    #[error("no instance could be made for `{export}`: {source}")]
    Instantiate {
        /// The export that was called.
        export: String,
        /// Why.
        source: Box<InstantiateError>,
    },
    /// The engine failed in a way that is no trap.
    #[error("`{export}` failed in the engine: {source}")]
    Engine {
        /// The export that was called.
        export: String,
        /// The engine's words.
        source: EngineError,
    },
}

impl CallError {
    pub(crate) fn new(export: &str, failure: Failure) -> Self {
        let export = export.to_owned();
        match failure {
            Failure::Trap { kind, source } => Self::Trap {
                export,
                kind,
                source,
            },
            Failure::Host(HostTrap::Exit(exit)) => Self::Exit { export, exit },
            Failure::Host(HostTrap::Abi(source)) => Self::Abi { export, source },
            Failure::Host(HostTrap::Function { function, source }) => Self::HostFunction {
                export,
                function,
                source,
            },
            Failure::Engine(source) => Self::Engine { export, source },
        }
    }

    pub(crate) fn unless_callable(
        info: &crate::ModuleInfo,
        export: &str,
        args: &[Val],
    ) -> Result<(), Self> {
        let Some(ty) = info.func(export) else {
            return Err(Self::UnknownExport {
                export: export.to_owned(),
                exports: info.funcs().map(str::to_owned).collect(),
            });
        };
        if !ty.crosses() {
            return Err(Self::Signature {
                export: export.to_owned(),
                ty: ty.clone(),
            });
        }
        if !ty.accepts(args) {
            return Err(Self::Arguments {
                export: export.to_owned(),
                ty: ty.clone(),
                given: args.iter().map(Val::ty).collect(),
            });
        }
        Ok(())
    }
}

/// The first of a list of names, without those that begin with `__`: they are for hosts.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const N_SHOWN: usize = 20;
        let names: Vec<_> = self
            .0
            .iter()
            .filter(|name| !name.starts_with("__"))
            .collect();
        for (i, name) in names.iter().take(N_SHOWN).enumerate() {
            write!(f, "{}{name}", if i > 0 { ", " } else { "" })?;
        }
        match names.len().saturating_sub(N_SHOWN) {
            0 if names.is_empty() => f.write_str("none"),
            0 => Ok(()),
            n_more => write!(f, " and {n_more} more"),
        }
    }
}

struct Given<'a>(&'a [ValType]);

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TypeList(self.0).fmt(f)
    }
}

/// How a call into an [`Instance`](crate::Instance) ended other than by returning: what a backend
/// tells core.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a backend must be able to say each of them"
)]
pub enum Failure {
    /// The engine trapped.
    Trap {
        /// The kind, translated from the engine's.
        kind: TrapKind,
        /// The engine's words.
        source: EngineError,
    },
    /// A host function ended the call; the error that went in comes out.
    Host(HostTrap),
    /// Anything else.
    Engine(EngineError),
}

/// An error of a host function on its way through an engine.
#[derive(Debug, thiserror::Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a backend passes it through unread"
)]
pub enum HostTrap {
    /// `proc_exit`.
    #[error("{0}")]
    Exit(#[source] Exit),
    /// The range-watch ABI.
    #[error("{0}")]
    Abi(#[source] AbiError),
    /// A function of the embedder.
    #[error("host function `{function}` failed: {source}")]
    Function {
        /// `module.name`.
        function: String,
        /// Its error.
        source: HostError,
    },
}

/// The kinds of traps that engines agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TrapKind {
    /// The `unreachable` instruction: a panic or an abort of the guest's language.
    #[error("unreachable code was reached (a panic or an abort of the guest)")]
    Unreachable,
    /// A load, store or bulk operation outside of the linear memory.
    #[error("memory access out of bounds")]
    MemoryOutOfBounds,
    /// A table access or an indirect call outside of the table.
    #[error("table access out of bounds")]
    TableOutOfBounds,
    /// An indirect call of an empty table element.
    #[error("indirect call of a null function")]
    NullFunction,
    /// An indirect call of a function of another signature.
    #[error("indirect call of a function of another signature")]
    BadSignature,
    /// An integer division whose result does not fit.
    #[error("integer overflow")]
    IntegerOverflow,
    /// An integer division by zero.
    #[error("integer division by zero")]
    DivisionByZero,
    /// A float that does not fit the integer it is converted to.
    #[error("invalid conversion to integer")]
    BadConversion,
    /// The call stack is full.
    #[error("call stack exhausted")]
    StackOverflow,
    /// The call burned all of its fuel.
    #[error("out of fuel: raise `Limits::fuel_per_call`, or look for a loop that does not end")]
    OutOfFuel,
    /// Something that this list does not name; the source says what.
    #[error("another trap of the engine")]
    Other,
}
