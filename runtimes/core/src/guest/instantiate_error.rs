//! Why a module did not become a guest.

use crate::engine::failure::EngineError;
use crate::engine::host_function::HostError;
use crate::engine::module::Import;
use crate::engine::shown::Shown;
use crate::engine::val::FuncType;
use crate::guest::call_error::CallError;

/// Why a module did not become a guest. [`ErrorChain`](crate::ErrorChain) displays it with its
/// sources.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_runtime::{Guest, InstantiateError, Module};
///
/// # async fn example(module: &Module, bus: &RangeWatchBus) {
/// match Guest::builder(module, bus).instantiate().await {
///     Err(InstantiateError::UnknownImport { import, hint }) => {
///         eprintln!("the guest needs {}.{}: {hint}", import.module, import.name);
///     }
///     Err(error) => eprintln!("{error}"),
///     Ok(guest) => drop(guest),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstantiateError {
    /// An import is not provided.
    #[error(
        "the import `{}.{}` ({}) is not provided: {hint}",
        Shown(&import.module), Shown(&import.name), import.ty
    )]
    UnknownImport {
        /// The import of the module.
        import: Box<Import>,
        /// What to do.
        hint: &'static str,
    },
    /// An import is provided with another signature.
    #[error(
        "the import `{}.{}` is a function {provided} here, but the module needs a {}",
        Shown(&import.module), Shown(&import.name), import.ty
    )]
    ImportType {
        /// The import of the module.
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
    #[error("the module imports the range-watch ABI but does not export {missing}, which it needs")]
    AbiExport {
        /// The name and type that is missing.
        missing: &'static str,
    },
    /// The module imports both generations of the range-watch ABI, of which a guest has one.
    #[error(
        "the module imports both `{}` and `{}`, the generations of the range-watch ABI: a guest \
         has one of them, so use the functions of one in all of the guest",
        crate::abi::gen1::MODULE,
        crate::abi::gen2::MODULE
    )]
    MixedGenerations,
    /// The module imports from a module of host functions but lacks the export of its meta page.
    #[error(
        "the module imports `{module}` but does not export `{export}`, a function () -> (i32) that \
         returns the address of its meta page"
    )]
    MetaPageExport {
        /// The import module.
        module: String,
        /// The export that is missing.
        export: String,
    },
    /// A host function's signature has a type that cannot be passed.
    #[error(
        "the host function `{function}` has the signature {ty}: v128 and references cannot be passed"
    )]
    HostFunctionType {
        /// `module.name`.
        function: String,
        /// The signature.
        ty: FuncType,
    },
    /// A fuel limit is set, but the runtime does not count fuel.
    #[error(
        "a fuel limit needs a runtime that counts fuel, and this `{runtime}` counts none: make the runtime \
         with `new` instead of `unmetered`, or its engine with `consume_fuel(true)`"
    )]
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
    /// The module starts with a larger table than the guest may have.
    #[error(
        "the module starts with a table of {elements} elements, but a table of the guest may have \
         {max_elements}: raise `Limits::table_elements`"
    )]
    Table {
        /// What its largest table starts with, in elements.
        elements: u64,
        /// The limit, in elements.
        max_elements: usize,
    },
    /// The module has more tables than [`Limits::MAX_TABLES`](crate::Limits::MAX_TABLES).
    #[error("the module has {n_tables} tables, but a guest may have {max}")]
    Tables {
        /// The number of its tables.
        n_tables: usize,
        /// The limit.
        max: usize,
    },
    /// One WASI context cannot serve several instances.
    #[error("several instances need a WASI context for each: use `wasi_with` in place of `wasi`")]
    SharedWasi,
    /// The size of a pool is 0 or above its maximum.
    #[error("a pool has room for 1 to {max} calls and for 1 to {max} callbacks")]
    PoolSize {
        /// The most that either may be.
        max: u32,
    },
    /// The embedder's WASI factory failed.
    #[error("the WASI context could not be built")]
    Wasi(#[source] HostError),
    /// The embedder's hook for new instances failed.
    #[error("the hook for new instances failed")]
    Hook(#[source] HostError),
    /// The start section, `_initialize`, `_start` or `__range_watch` failed, or `_start` exited
    /// with a code other than 0.
    #[error("the guest failed while it started")]
    Start(#[source] Box<CallError>),
    /// The engine refused, for example because no memory is left on the host.
    #[error("the engine could not instantiate the module")]
    Engine(#[source] EngineError),
}

impl InstantiateError {
    pub(crate) fn from_start(error: CallError) -> Self {
        match error {
            CallError::Engine { source, .. } => Self::Engine(source),
            error => Self::Start(Box::new(error)),
        }
    }
}
