//! The check of a module's imports, the same for every engine.

use std::collections::HashMap;

use rangewatch_wasi as wasi;

use crate::abi::{self, gen1, gen2, io};
use crate::engine::host_function::HostFunction;
use crate::engine::host_module::PageSource;
use crate::engine::module::{ExternType, Import, ModuleInfo};
use crate::engine::runtime::Imports;
use crate::engine::val::{FuncType, ValType};
use crate::guest::instantiate_error::InstantiateError;

/// Checks that every import of a module is provided with the right type, and returns what the
/// backend links.
pub(crate) fn resolve(
    info: &ModuleInfo,
    functions: Vec<HostFunction>,
    has_wasi: bool,
) -> Result<Imports, InstantiateError> {
    let mut provided = HashMap::new();
    for function in abi::FUNCTIONS {
        provided.insert((function.module(), function.name()), function.ty());
    }
    if has_wasi {
        for function in wasi::FUNCTIONS {
            provided.insert((wasi::MODULE, function.name()), wasi_type(function));
        }
    }
    for function in &functions {
        let ty = function.ty();
        if !ty.can_be_passed() {
            return Err(InstantiateError::HostFunctionType {
                function: function.full_name().to_string(),
                ty: ty.clone(),
            });
        }
        if provided
            .insert((function.module(), function.name()), ty.clone())
            .is_some()
        {
            return Err(InstantiateError::DuplicateHostFunction {
                function: function.full_name().to_string(),
            });
        }
    }
    for import in info.imports() {
        let (module, name) = (import.module.as_str(), import.name.as_str());
        match provided.get(&(module, name)) {
            None => {
                let import = Box::new(import.clone());
                let hint = hint(&import, has_wasi);
                return Err(InstantiateError::UnknownImport { import, hint });
            }
            Some(ty) if import.ty != ExternType::Func(ty.clone()) => {
                let import = Box::new(import.clone());
                return Err(InstantiateError::ImportType {
                    import,
                    provided: ty.clone(),
                });
            }
            Some(_) => {}
        }
    }
    let imports_from = |module| info.imports().iter().any(|import| import.module == module);
    if imports_from(gen1::MODULE) && imports_from(gen2::MODULE) {
        return Err(InstantiateError::MixedGenerations);
    }
    if info.uses_abi() {
        check_exports(info)?;
    }
    drop(provided);
    Ok(Imports {
        is_command: info.is_command(),
        wasi: has_wasi,
        functions,
    })
}

/// Keeps the meta pages of the modules that the guest imports from. It must export them.
pub(crate) fn needed_pages(
    info: &ModuleInfo,
    mut pages: Vec<PageSource>,
) -> Result<Vec<PageSource>, InstantiateError> {
    pages.retain(|page| (info.imports().iter()).any(|import| import.module == page.module));
    let is_page = |page: &PageSource| info.func(&page.export) == Some(&page_type());
    match pages.iter().find(|page| !is_page(page)) {
        None => Ok(pages),
        Some(missing) => Err(InstantiateError::MetaPageExport {
            module: missing.module.clone(),
            export: missing.export.clone(),
        }),
    }
}

/// The type of an export that returns the address of a meta page.
fn page_type() -> FuncType {
    FuncType::new([], [ValType::I32])
}

/// Whether the guest can run callbacks.
pub(crate) fn can_receive(info: &ModuleInfo) -> bool {
    info.func(gen1::RECV) == Some(&FuncType::default())
}

fn check_exports(info: &ModuleInfo) -> Result<(), InstantiateError> {
    if !info.exports_memory() {
        return Err(InstantiateError::AbiExport {
            missing: "`memory`, its linear memory",
        });
    }
    if info.func(gen1::PAGE) != Some(&page_type()) {
        return Err(InstantiateError::AbiExport {
            missing: "`__range_watch`, a function () -> (i32) that returns the address of the meta page",
        });
    }
    match info.func(gen1::RECV) {
        Some(ty) if *ty != FuncType::default() => Err(InstantiateError::AbiExport {
            missing: "`__range_watch_recv` as a function () -> ()",
        }),
        _ => Ok(()),
    }
}

fn wasi_type(function: &wasi::FunctionSignature) -> FuncType {
    let params: Vec<_> = function
        .params()
        .iter()
        .map(|param| match param {
            wasi::ValueType::I32 => ValType::I32,
            wasi::ValueType::I64 => ValType::I64,
            _ => ValType::Other,
        })
        .collect();
    let results = if function.returns_errno() {
        vec![ValType::I32]
    } else {
        vec![]
    };
    FuncType::new(params, results)
}

fn hint(import: &Import, has_wasi: bool) -> &'static str {
    let module = import.module.as_str();
    if !matches!(import.ty, ExternType::Func(_)) {
        "only functions are provided: let the module define and export it \
         (a memory: link without `--import-memory`)"
    } else if module == gen1::MODULE || module == gen2::MODULE {
        "the range-watch ABI has no function of this name"
    } else if module == io::MODULE {
        "the imports of bytes have no function of this name"
    } else if module == wasi::MODULE && !has_wasi {
        "it is a function of WASI: give the guest a context with `.wasi(..)`"
    } else if module == wasi::MODULE {
        "WASI preview1 has no function of this name"
    } else if module.starts_with("wasi") {
        "only WASI preview1 (`wasi_snapshot_preview1`) is provided: build the guest for it"
    } else {
        "provide it with `.host_function(..)`, or in a `HostModule`"
    }
}
