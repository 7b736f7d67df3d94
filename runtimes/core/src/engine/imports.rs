//! Who provides a module's imports. Decided here, once, so that every engine says the same.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use rangewatch_wasi as wasi;

use crate::abi::{self, AbiError, GuestAbi, Stopping};
use crate::engine::host_function::{
    AsyncHostFunction, HostCx, HostError, HostFunction, HostFunctionBody,
};
use crate::engine::module::{ExternType, Import, ModuleInfo};
use crate::engine::runtime::Imports;
use crate::engine::val::{FuncType, Val, ValType};
use crate::guest::instantiate_error::InstantiateError;

/// The imports of generation 1, all of them `() -> ()`.
const ABI_IMPORTS: [&str; 5] = [abi::FLUSH, abi::RESERVE, abi::OPEN, abi::START, abi::STOP];

/// Checks that everything a module imports is provided, with the right type, and gives what the
/// backend is to link.
pub(crate) fn resolve(
    info: &ModuleInfo,
    mut functions: Vec<HostFunction>,
    has_wasi: bool,
) -> Result<Imports, InstantiateError> {
    let mut provided = HashMap::new();
    for name in ABI_IMPORTS {
        provided.insert((abi::MODULE, name), FuncType::default());
    }
    if has_wasi {
        for function in wasi::FUNCTIONS {
            provided.insert((wasi::MODULE, function.name()), wasi_type(function));
        }
    }
    for function in &functions {
        let ty = function.ty();
        if !ty.crosses() {
            return Err(InstantiateError::HostFunctionType {
                function: function.full_name(),
                ty: ty.clone(),
            });
        }
        if provided
            .insert((function.module(), function.name()), ty.clone())
            .is_some()
        {
            return Err(InstantiateError::DuplicateHostFunction {
                function: function.full_name(),
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
    if info.uses_abi() {
        check_exports(info)?;
    }
    drop(provided);
    let can_receive = can_receive(info);
    let mut push = |name, verb| {
        let body = HostFunctionBody::Async(Arc::new(Verb { verb, can_receive }));
        functions.push(HostFunction::new(
            abi::MODULE,
            name,
            FuncType::default(),
            body,
        ));
    };
    push(abi::STOP, GuestAbi::stop);
    // A command emits while its `_start` runs, before the host has read the meta page.
    let links_abi = !info.is_command();
    if !links_abi {
        push(abi::FLUSH, |abi, memory| abi.flush(memory).map(|()| None));
        push(abi::RESERVE, |abi, memory| {
            abi.reserve(memory).map(|()| None)
        });
        push(abi::OPEN, |abi, memory| abi.open(memory).map(|()| None));
        push(abi::START, |abi, memory| abi.start(memory).map(|()| None));
    }
    Ok(Imports {
        abi: links_abi,
        wasi: has_wasi,
        wasi_at_once: Vec::new(),
        functions,
    })
}

/// Whether the guest can run callbacks.
pub(crate) fn can_receive(info: &ModuleInfo) -> bool {
    info.func(abi::RECV) == Some(&FuncType::default())
}

fn check_exports(info: &ModuleInfo) -> Result<(), InstantiateError> {
    let page = FuncType::new([], [ValType::I32]);
    if !info.exports_memory() {
        return Err(InstantiateError::AbiExport {
            missing: "`memory`, its linear memory",
        });
    }
    if info.func(abi::PAGE) != Some(&page) {
        return Err(InstantiateError::AbiExport {
            missing: "`__range_watch`, a function () -> (i32) that returns the address of the meta page",
        });
    }
    match info.func(abi::RECV) {
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
    let (module, name) = (import.module.as_str(), import.name.as_str());
    if !matches!(import.ty, ExternType::Func(_)) {
        "only functions are provided: let the module define and export it \
         (a memory: link without `--import-memory`)"
    } else if module == abi::LATER_MODULE || (module == abi::MODULE && name == abi::LATER_IMPORT) {
        "the guest was built for a later generation of the range-watch ABI; \
         build it with the SDK of generation 1"
    } else if module == abi::MODULE {
        "the range-watch ABI has no function of this name"
    } else if module == wasi::MODULE && !has_wasi {
        "it is a function of WASI: give the guest a context with `.wasi(..)`"
    } else if module == wasi::MODULE {
        "WASI preview1 has no function of this name"
    } else if module.starts_with("wasi") {
        "only WASI preview1 (`wasi_snapshot_preview1`) is provided: build the guest for it"
    } else {
        "provide it with `.host_function(..)`"
    }
}

/// A function of the ABI that may have to wait: for the end of a callback, or for the meta page.
struct Verb {
    verb: fn(&mut GuestAbi, &mut [u8]) -> Result<Option<Stopping>, AbiError>,
    can_receive: bool,
}

impl AsyncHostFunction for Verb {
    fn call<'a>(
        &'a self,
        cx: &'a mut dyn HostCx,
        _args: &'a [Val],
    ) -> BoxFuture<'a, Result<Vec<Val>, HostError>> {
        Box::pin(async move {
            if !cx.memory_and_abi().1.is_attached() {
                let page = cx.page().await?;
                let (memory, abi) = cx.memory_and_abi();
                abi.attach(memory, page, self.can_receive)?;
            }
            let (memory, abi) = cx.memory_and_abi();
            if let Some(stopping) = (self.verb)(abi, memory)? {
                stopping.await;
            }
            Ok(Vec::new())
        })
    }
}
