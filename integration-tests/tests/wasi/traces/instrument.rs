//! Instruments guests to report each call of a WASI function.

use std::convert::Infallible;

use rangewatch::wasi;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, EntityType, Function, FunctionSection, ImportSection, Module, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, FunctionSectionReader, ImportSectionReader, Parser, Payload, TypeRef,
    TypeSectionReader,
};

/// The import module of the three functions that an instrumented guest calls.
pub(super) const MODULE: &str = "trace";

/// Reports the next argument of the following call.
pub(super) const ARGUMENT: &str = "argument";

/// Reports which function is called, as an index into [`wasi::FUNCTIONS`].
pub(super) const CALL: &str = "call";

/// Reports the result of the call.
pub(super) const ANSWER: &str = "answer";

/// Wraps each imported function of WASI: direct calls and table entries now refer to a function
/// that reports the arguments, makes the call, and reports the result.
pub(super) fn instrument(wasm: &[u8]) -> Result<Vec<u8>, String> {
    let explain = |error: &dyn std::fmt::Display| format!("not a module to instrument: {error}");
    let mut wrapping = Wrapping::of(wasm).map_err(|error| explain(&error))?;
    let mut module = Module::new();
    wrapping
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| explain(&error))?;
    Ok(module.finish())
}

/// An imported function of WASI.
struct Wrapped {
    /// Its index among all functions.
    index: u32,
    /// The index of its type.
    type_index: u32,
    signature: &'static wasi::FunctionSignature,
    /// Its index in the table of functions.
    id: usize,
}

/// Renumbers functions: the three of the trace follow the imports, and the wrappers follow all
/// others.
struct Wrapping {
    wrapped: Vec<Wrapped>,
    n_imported: u32,
    n_defined: u32,
    /// The index of the first type that is added.
    n_types: u32,
}

impl Wrapping {
    /// The functions of the trace, in import order.
    const REPORTS: [&str; 3] = [ARGUMENT, CALL, ANSWER];

    fn of(wasm: &[u8]) -> wasmparser::Result<Self> {
        let mut wrapping = Self {
            wrapped: Vec::new(),
            n_imported: 0,
            n_defined: 0,
            n_types: 0,
        };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(types) => wrapping.n_types = types.count(),
                Payload::FunctionSection(functions) => wrapping.n_defined = functions.count(),
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(type_index) = import.ty {
                            wrapping.import(import.module, import.name, type_index);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(wrapping)
    }

    fn import(&mut self, module: &str, name: &str, type_index: u32) {
        let index = self.n_imported;
        self.n_imported += 1;
        if module != wasi::MODULE {
            return;
        }
        let mut functions = wasi::FUNCTIONS.iter().enumerate();
        // An unknown function fails to link, traced or not.
        if let Some((id, signature)) = functions.find(|(_, function)| function.name() == name) {
            self.wrapped.push(Wrapped {
                index,
                type_index,
                signature,
                id,
            });
        }
    }

    /// The index of one of [`REPORTS`](Self::REPORTS).
    fn report(&self, name: &str) -> u32 {
        let position = Self::REPORTS.iter().position(|report| *report == name);
        self.n_imported + position.expect("it is one of them") as u32
    }

    fn wrapper(&self, wrapped: &Wrapped) -> Function {
        let [argument, call, answer] = Self::REPORTS.map(|name| self.report(name));
        let mut function = Function::new([]);
        let mut code = function.instructions();
        let params = wrapped.signature.params();
        for (local, param) in (0..).zip(params) {
            code.local_get(local);
            if *param == wasi::ValueType::I32 {
                code.i64_extend_i32_u();
            }
            code.call(argument);
        }
        code.i32_const(wrapped.id as i32).call(call);
        for local in 0..params.len() as u32 {
            code.local_get(local);
        }
        code.call(wrapped.index);
        if wrapped.signature.returns_errno() {
            // The function returns its argument, so that no local is needed for the result.
            code.call(answer);
        }
        code.end();
        function
    }
}

impl Reencode for Wrapping {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error> {
        let n_reports = Self::REPORTS.len() as u32;
        let wrapper = (self.wrapped.iter()).position(|wrapped| wrapped.index == index);
        Ok(match wrapper {
            Some(position) => self.n_imported + n_reports + self.n_defined + position as u32,
            None if index < self.n_imported => index,
            None => index + n_reports,
        })
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I64], []);
        types.ty().function([ValType::I32], []);
        types.ty().function([ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_import_section(self, imports, section)?;
        for (name, type_index) in Self::REPORTS.into_iter().zip(self.n_types..) {
            imports.import(MODULE, name, EntityType::Function(type_index));
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_function_section(self, functions, section)?;
        for wrapped in &self.wrapped {
            functions.function(wrapped.type_index);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error> {
        utils::parse_code_section(self, code, section)?;
        for wrapped in &self.wrapped {
            code.function(&self.wrapper(wrapped));
        }
        Ok(())
    }
}
