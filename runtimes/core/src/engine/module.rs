//! The imports and exports of a wasm module, read once, before an engine compiles it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use wasmparser::types::{EntityType, TypesRef};
use wasmparser::{
    BinaryReaderError, FuncValidatorAllocations, Parser, Payload, ValidPayload, Validator,
    WasmFeatures,
};

use crate::abi::{Generation, gen1, gen2, io};
use crate::engine::load_error::LoadError;
use crate::engine::profile::{Profile, Proposal, needed};
use crate::engine::runtime::Compiled;
use crate::engine::shown::Shown;
use crate::engine::val::{FuncType, ValType};

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
    n_tables: usize,
    table_elements: u64,
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
    /// A tag of exceptions.
    Tag,
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Func(ty) => write!(f, "function {ty}"),
            Self::Memory => f.write_str("memory"),
            Self::Table => f.write_str("table"),
            Self::Global => f.write_str("global"),
            Self::Tag => f.write_str("tag"),
        }
    }
}

impl ModuleInfo {
    /// Validates `wasm` against [`Profile::Baseline`] and reads what it imports and exports.
    ///
    /// # Errors
    ///
    /// As [`parse_in`](Self::parse_in).
    pub fn parse(wasm: &[u8]) -> Result<Self, LoadError> {
        Self::parse_in(wasm, Profile::Baseline)
    }

    /// Validates `wasm` against a profile and reads what it imports and exports.
    ///
    /// # Errors
    ///
    /// [`LoadError::NotWasm`] and [`LoadError::NotCore`] for bytes of another kind,
    /// [`LoadError::OutsideOfProfile`] for a module that needs other proposals,
    /// [`LoadError::Invalid`] for one that is damaged.
    pub fn parse_in(wasm: &[u8], profile: Profile) -> Result<Self, LoadError> {
        Self::parse_for(wasm, profile, &[], "")
    }

    /// As [`parse_in`](Self::parse_in), for an engine that lacks proposals of the profile.
    pub(crate) fn parse_for(
        wasm: &[u8],
        profile: Profile,
        lacking: &[Proposal],
        engine: &'static str,
    ) -> Result<Self, LoadError> {
        is_core_module(wasm)?;
        let features = features(profile, lacking);
        let error = match Self::read(wasm, features, Bodies::Validated) {
            Ok(info) => return Ok(info),
            Err(error) => error,
        };
        let is_valid = |features| Self::read(wasm, features, Bodies::Validated).is_ok();
        // Empty if the parser refuses a combination that the engine's features allow.
        let Some(needed) = needed(is_valid).filter(|needed| !needed.is_empty()) else {
            return Err(invalid(&error));
        };
        let (inside, outside): (Vec<_>, Vec<_>) = needed
            .into_iter()
            .partition(|proposal| profile.proposals().contains(proposal));
        if outside.is_empty() {
            return Err(LoadError::NotInEngine {
                proposals: inside
                    .into_iter()
                    .filter(|proposal| lacking.contains(proposal))
                    .collect(),
                engine,
            });
        }
        Err(LoadError::OutsideOfProfile {
            proposals: outside,
            profile,
        })
    }

    /// Reads a module that [`parse_for`](Self::parse_for) has validated before, without validating
    /// the bodies of its functions once more.
    pub(crate) fn read_validated(
        wasm: &[u8],
        profile: Profile,
        lacking: &[Proposal],
    ) -> Result<Self, LoadError> {
        is_core_module(wasm)?;
        Self::read(wasm, features(profile, lacking), Bodies::Skipped)
            .map_err(|error| invalid(&error))
    }

    fn read(
        wasm: &[u8],
        features: WasmFeatures,
        bodies: Bodies,
    ) -> Result<Self, BinaryReaderError> {
        let mut validator = Validator::new_with_features(features);
        let mut allocations = FuncValidatorAllocations::default();
        let mut info = Self::default();
        let mut parser = Parser::new(0);
        parser.set_features(features);
        for payload in parser.parse_all(wasm) {
            let payload = payload?;
            if let ValidPayload::Func(func, body) = validator.payload(&payload)? {
                if bodies == Bodies::Validated {
                    let mut func = func.into_validator(allocations);
                    func.validate(&body)?;
                    allocations = func.into_allocations();
                }
            }
            // `None` behind the end of the module.
            if let Some(types) = validator.types(0) {
                info.read_section(&payload, types)?;
            }
        }
        info.is_command =
            info.func(START) == Some(&FuncType::default()) && info.func(INITIALIZE).is_none();
        let imports_from =
            |module| (info.imports.iter()).any(|import: &Import| import.module == module);
        // A guest of the SDK that only answers has a meta page, too: for the text of its panics.
        let has_page = info.exports_memory()
            && info.func(gen1::PAGE) == Some(&FuncType::new([], [ValType::I32]));
        info.uses_abi = imports_from(gen1::MODULE)
            || imports_from(gen2::MODULE)
            || (imports_from(io::MODULE) && has_page);
        Ok(info)
    }

    fn read_section(
        &mut self,
        payload: &Payload<'_>,
        types: TypesRef<'_>,
    ) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.clone() {
                    let import = import?;
                    let ty = types.entity_type_from_import(&import);
                    self.imports.push(Import {
                        module: import.module.to_owned(),
                        name: import.name.to_owned(),
                        ty: extern_type(types, ty),
                    });
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    // The profiles have one memory, of pages of 64 KiB; modules outside of them are
                    // read too.
                    let bytes = memory?.initial.saturating_mul(1 << 16);
                    self.memory_bytes = self.memory_bytes.saturating_add(bytes);
                }
            }
            Payload::TableSection(section) => {
                for table in section.clone() {
                    self.n_tables += 1;
                    self.table_elements = self.table_elements.max(table?.ty.initial);
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    let ty = types.entity_type_from_export(&export);
                    self.exports
                        .insert(export.name.to_owned(), extern_type(types, ty));
                }
            }
            _ => {}
        }
        Ok(())
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

    /// The generation of the range-watch ABI that it imports; the first if it imports none.
    ///
    /// For a linker of your own: see
    /// [`GuestAbi::set_generation`](crate::abi::GuestAbi::set_generation).
    #[must_use]
    pub fn generation(&self) -> Generation {
        let imports = self.imports.iter();
        Generation::of_imports(imports.map(|import| (&*import.module, &*import.name)))
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

    /// The number of its tables.
    pub(crate) const fn n_tables(&self) -> usize {
        self.n_tables
    }

    /// The elements that the largest of its tables starts with.
    pub(crate) const fn table_elements(&self) -> u64 {
        self.table_elements
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

/// What to do with the bodies of functions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bodies {
    Validated,
    Skipped,
}

fn features(profile: Profile, lacking: &[Proposal]) -> WasmFeatures {
    let lacking = lacking.iter();
    lacking.fold(profile.features(), |features, proposal| {
        features - proposal.feature()
    })
}

/// The parser's messages show names of the module as they are.
fn invalid(error: &BinaryReaderError) -> LoadError {
    LoadError::Invalid(Shown(&error.to_string()).to_string().into())
}

fn is_core_module(wasm: &[u8]) -> Result<(), LoadError> {
    if !wasm.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm {
            starts_with: wasm.iter().copied().take(8).collect(),
        });
    }
    match wasm.get(4..8) {
        Some(version) if version != [1, 0, 0, 0] => Err(LoadError::NotCore),
        _ => Ok(()),
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
        Some(EntityType::Tag(_)) => ExternType::Tag,
        Some(EntityType::Global(_)) | None => ExternType::Global,
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
