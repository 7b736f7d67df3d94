//! The imports and exports of a wasm module, read once, before an engine compiles it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use wasmparser::types::{EntityType, TypesRef};
use wasmparser::{BinaryReaderError, Parser, Payload, Validator, WasmFeatures};

use crate::abi::gen1;
use crate::engine::load_error::LoadError;
use crate::engine::runtime::Compiled;
use crate::engine::val::{FuncType, ValType};

/// The one wasm profile: WebAssembly 2.0 with extended constants, without external references.
///
/// No threads, tail calls, garbage collection, exceptions, 64-bit or multiple memories: the engines
/// differ there. SIMD is included. A module outside of the profile is refused before an engine
/// compiles it, so every backend accepts the same modules; what the profile cannot express
/// (canonical NaNs) each backend configures.
const PROFILE: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::EXTENDED_CONST)
    .difference(WasmFeatures::GC_TYPES);

/// The export that runs a command.
pub(crate) const START: &str = "_start";
/// The export that initializes a reactor.
pub(crate) const INITIALIZE: &str = "_initialize";

/// A compiled module: make any number of guests from it.
///
/// Cloning is cheap and gives the same module.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Runtime;
///
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// # async fn example(runtime: &dyn Runtime, wasm: &[u8]) -> Result {
/// let module = runtime.load(wasm).await?;
/// for export in module.info().funcs() {
///     println!("{export}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Module {
    info: Arc<ModuleInfo>,
    compiled: Arc<dyn Compiled>,
}

impl Module {
    pub(crate) fn new(info: ModuleInfo, compiled: Arc<dyn Compiled>) -> Self {
        Self {
            info: Arc::new(info),
            compiled,
        }
    }

    /// Its imports and exports.
    #[must_use]
    pub fn info(&self) -> &ModuleInfo {
        &self.info
    }

    /// Whether the runtime that compiled it counts fuel.
    #[must_use]
    pub fn is_metered(&self) -> bool {
        self.compiled.is_metered()
    }

    pub(crate) fn info_arc(&self) -> Arc<ModuleInfo> {
        self.info.clone()
    }

    pub(crate) fn compiled(&self) -> &dyn Compiled {
        &*self.compiled
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// The imports and exports of a module.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{ExternType, Module};
///
/// # fn example(module: &Module) {
/// for import in module.info().imports() {
///     println!("{}.{} is a {}", import.module, import.name, import.ty);
/// }
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ModuleInfo {
    imports: Vec<Import>,
    exports: BTreeMap<String, ExternType>,
    memory_bytes: u64,
    is_command: bool,
    uses_abi: bool,
}

/// One import of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Import {
    /// The module part of the name.
    pub module: String,
    /// The field part of the name.
    pub name: String,
    /// The type that the module needs.
    pub ty: ExternType,
}

/// The type of an import or an export.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExternType {
    /// A function of this signature.
    Func(FuncType),
    /// A linear memory.
    Memory,
    /// A table.
    Table,
    /// A global.
    Global,
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Func(ty) => write!(f, "function {ty}"),
            Self::Memory => f.write_str("memory"),
            Self::Table => f.write_str("table"),
            Self::Global => f.write_str("global"),
        }
    }
}

impl ModuleInfo {
    /// Validates `wasm` against the profile and reads what it imports and exports.
    ///
    /// # Errors
    ///
    /// [`LoadError::NotWasm`] and [`LoadError::NotCore`] for bytes of another kind,
    /// [`LoadError::Invalid`] for a module that is damaged or outside of the profile.
    pub fn parse(wasm: &[u8]) -> Result<Self, LoadError> {
        if !wasm.starts_with(b"\0asm") {
            return Err(LoadError::NotWasm {
                starts_with: wasm.iter().copied().take(8).collect(),
            });
        }
        if wasm
            .get(4..8)
            .is_some_and(|version| version != [1, 0, 0, 0])
        {
            return Err(LoadError::NotCore);
        }
        Self::read(wasm).map_err(|error| LoadError::Invalid(Box::new(error)))
    }

    fn read(wasm: &[u8]) -> Result<Self, BinaryReaderError> {
        let types = Validator::new_with_features(PROFILE).validate_all(wasm)?;
        let types = types.as_ref();
        let mut info = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section {
                        let import = import?;
                        let ty = types.entity_type_from_import(&import);
                        info.imports.push(Import {
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                            ty: extern_type(types, ty),
                        });
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        // The profile has one memory, of pages of 64 KiB.
                        info.memory_bytes += memory?.initial << 16;
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        let ty = types.entity_type_from_export(&export);
                        info.exports
                            .insert(export.name.to_owned(), extern_type(types, ty));
                    }
                }
                _ => {}
            }
        }
        info.is_command =
            info.func(START) == Some(&FuncType::default()) && info.func(INITIALIZE).is_none();
        info.uses_abi = (info.imports.iter()).any(|import| import.module == gen1::MODULE);
        Ok(info)
    }

    /// The imports, in the order of the module.
    #[must_use]
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// Whether it imports the range-watch ABI.
    pub(crate) const fn uses_abi(&self) -> bool {
        self.uses_abi
    }

    /// Whether it is a command: it exports `_start` and no `_initialize`.
    ///
    /// Source: WASI preview1, application ABI.
    pub(crate) const fn is_command(&self) -> bool {
        self.is_command
    }

    /// The exports, by name.
    pub fn exports(&self) -> impl Iterator<Item = (&str, &ExternType)> {
        self.exports.iter().map(|(name, ty)| (name.as_str(), ty))
    }

    /// The bytes of linear memory that the module starts with.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The signature of an exported function.
    #[must_use]
    pub fn func(&self, export: &str) -> Option<&FuncType> {
        match self.exports.get(export) {
            Some(ExternType::Func(ty)) => Some(ty),
            _ => None,
        }
    }

    /// Whether the module exports a linear memory by the name `memory`.
    #[must_use]
    pub fn exports_memory(&self) -> bool {
        self.exports.get("memory") == Some(&ExternType::Memory)
    }

    /// The names of the exported functions, sorted.
    pub fn funcs(&self) -> impl Iterator<Item = &str> {
        self.exports()
            .filter_map(|(name, ty)| matches!(ty, ExternType::Func(_)).then_some(name))
    }
}

fn extern_type(types: TypesRef<'_>, ty: Option<EntityType>) -> ExternType {
    match ty {
        Some(EntityType::Func(id)) => {
            let ty = types[id].unwrap_func();
            let convert = |types: &[wasmparser::ValType]| -> Vec<ValType> {
                types.iter().map(val_type).collect()
            };
            ExternType::Func(FuncType::new(convert(ty.params()), convert(ty.results())))
        }
        Some(EntityType::Memory(_)) => ExternType::Memory,
        Some(EntityType::Table(_)) => ExternType::Table,
        // A tag would be of the exceptions proposal, which the validator refuses.
        Some(EntityType::Global(_) | EntityType::Tag(_)) | None => ExternType::Global,
    }
}

fn val_type(ty: &wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 | wasmparser::ValType::Ref(_) => ValType::Other,
    }
}
