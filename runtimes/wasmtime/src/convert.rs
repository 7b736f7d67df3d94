//! Values, types and errors, translated.

use std::fmt;

use rangewatch_runtime::{EngineError, Failure, FuncType, HostTrap, TrapKind, Val, ValType};
use rangewatch_wasi::{Exit, call};
use wasmtime::{Engine, Error, ThrownException, Trap, WasmBacktrace};

/// The misuse of the ABI that ended a guest's call. `None` for an exit, which is an
/// [`Exit`](rangewatch_wasi::Exit) in the error, and for an error of wasmtime or of the embedder.
#[must_use]
pub fn host_trap(error: &Error) -> Option<&HostTrap> {
    error.downcast_ref()
}

pub(crate) fn failure(error: Error) -> Failure {
    let error = match error.downcast::<HostTrap>() {
        Ok(trap) => return trap.into(),
        Err(error) => error,
    };
    let error = match error.downcast::<Exit>() {
        Ok(exit) => return Failure::Host(exit.into()),
        Err(error) => error,
    };
    let error = match error.downcast::<call::Trap>() {
        Ok(trap) => return Failure::Host(trap.into()),
        Err(error) => error,
    };
    let kind = match error.downcast_ref::<Trap>() {
        Some(trap) => trap_kind(*trap),
        None if error.is::<ThrownException>() => TrapKind::UncaughtException,
        None => return Failure::Engine(source(error)),
    };
    Failure::Trap {
        kind,
        source: source(error),
    }
}

/// The text of wasmtime shows the names of the guest's functions as they are, in several lines.
fn source(error: Error) -> EngineError {
    if error.is::<WasmBacktrace>() {
        Box::new(Traced(error))
    } else {
        error.into()
    }
}

/// An error that ended a call, displayed as the functions of the guest that were called, the last
/// first. Its source is the cause.
#[derive(Debug)]
struct Traced(Error);

impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_NAME_CHARS: usize = 64;
        let frames = self.0.downcast_ref::<WasmBacktrace>();
        let frames = frames.map_or(&[][..], WasmBacktrace::frames);
        f.write_str("in the guest")?;
        for (i, frame) in frames.iter().enumerate() {
            f.write_str(if i == 0 { ", in " } else { ", called by " })?;
            match frame.func_name() {
                Some(name) => {
                    let name = name.chars().take(MAX_NAME_CHARS);
                    let name: String = name.flat_map(char::escape_debug).collect();
                    write!(f, "`{name}`")?;
                }
                None => write!(f, "function {}", frame.func_index())?,
            }
            if let Some(offset) = frame.module_offset() {
                write!(f, " at {offset:#x}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Traced {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.root_cause())
    }
}

fn trap_kind(trap: Trap) -> TrapKind {
    match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
        Trap::IndirectCallToNull => TrapKind::NullFunction,
        Trap::BadSignature => TrapKind::BadSignature,
        Trap::IntegerOverflow => TrapKind::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapKind::DivisionByZero,
        Trap::BadConversionToInteger => TrapKind::BadConversion,
        Trap::StackOverflow => TrapKind::StackOverflow,
        Trap::OutOfFuel => TrapKind::OutOfFuel,
        _ => TrapKind::Other,
    }
}

pub(crate) fn to_wasmtime(val: &Val) -> wasmtime::Val {
    match *val {
        Val::I32(val) => wasmtime::Val::I32(val),
        Val::I64(val) => wasmtime::Val::I64(val),
        Val::F32(val) => wasmtime::Val::F32(val.to_bits()),
        Val::F64(val) => wasmtime::Val::F64(val.to_bits()),
    }
}

/// Values that cannot be passed are left out; core refuses signatures with one.
pub(crate) fn vals(vals: &[wasmtime::Val]) -> Vec<Val> {
    vals.iter()
        .filter_map(|val| match val {
            wasmtime::Val::I32(val) => Some(Val::I32(*val)),
            wasmtime::Val::I64(val) => Some(Val::I64(*val)),
            wasmtime::Val::F32(val) => Some(Val::F32(f32::from_bits(*val))),
            wasmtime::Val::F64(val) => Some(Val::F64(f64::from_bits(*val))),
            _ => None,
        })
        .collect()
}

/// `None` for a type that cannot be passed; core refuses signatures with one.
pub(crate) fn func_type(engine: &Engine, ty: &FuncType) -> Option<wasmtime::FuncType> {
    let convert = |types: &[ValType]| -> Option<Vec<wasmtime::ValType>> {
        types
            .iter()
            .map(|ty| match ty {
                ValType::I32 => Some(wasmtime::ValType::I32),
                ValType::I64 => Some(wasmtime::ValType::I64),
                ValType::F32 => Some(wasmtime::ValType::F32),
                ValType::F64 => Some(wasmtime::ValType::F64),
                ValType::Other => None,
            })
            .collect()
    };
    Some(wasmtime::FuncType::new(
        engine,
        convert(ty.params())?,
        convert(ty.results())?,
    ))
}
