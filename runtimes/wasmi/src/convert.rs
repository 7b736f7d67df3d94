//! Values, types and errors, translated.

use std::fmt;

use rangewatch_runtime::{ErrorChain, Failure, FuncType, HostTrap, TrapKind, Val, ValType};
use rangewatch_wasi::{Exit, call};
use wasmi::errors::{ErrorKind, HostError, InstantiationError};
use wasmi::{Error, F32, F64, TrapCode};

/// A [`HostTrap`] as an error of wasmi.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a wrapper that only exists to carry another crate's trait"
)]
pub struct Trap(pub HostTrap);

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ErrorChain::new(&self.0))
    }
}

impl HostError for Trap {}

/// The misuse of the ABI that ended a guest's call. `None` for an exit, which is an
/// [`Exit`](rangewatch_wasi::Exit) in the error, and for an error of wasmi or of the embedder.
#[must_use]
pub fn host_trap(error: &Error) -> Option<&HostTrap> {
    error.downcast_ref::<Trap>().map(|trap| &trap.0)
}

pub(crate) fn trap(trap: HostTrap) -> Error {
    Error::host(Trap(trap))
}

pub(crate) fn failure(error: Error) -> Failure {
    if let Some(exit) = error.downcast_ref::<Exit>() {
        return Failure::Host((*exit).into());
    }
    if let Some(trap) = error.downcast_ref::<call::Trap>() {
        return Failure::Host(trap.clone().into());
    }
    if error.downcast_ref::<Trap>().is_some() {
        if let Some(Trap(trap)) = error.downcast::<Trap>() {
            return trap.into();
        }
        unreachable!("the error was of this type a line ago");
    }
    let kind = match error.kind() {
        // To wasmi an error of its own; a trap by the specification, and to other engines.
        ErrorKind::Instantiation(InstantiationError::ElementSegmentDoesNotFit { .. }) => {
            Some(TrapKind::TableOutOfBounds)
        }
        _ => error.as_trap_code().map(trap_kind),
    };
    match kind {
        Some(kind) => Failure::Trap {
            kind,
            source: error.into(),
        },
        None => Failure::Engine(error.into()),
    }
}

fn trap_kind(code: TrapCode) -> TrapKind {
    match code {
        TrapCode::UnreachableCodeReached => TrapKind::Unreachable,
        TrapCode::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        TrapCode::TableOutOfBounds => TrapKind::TableOutOfBounds,
        TrapCode::IndirectCallToNull => TrapKind::NullFunction,
        TrapCode::BadSignature => TrapKind::BadSignature,
        TrapCode::IntegerOverflow => TrapKind::IntegerOverflow,
        TrapCode::IntegerDivisionByZero => TrapKind::DivisionByZero,
        TrapCode::BadConversionToInteger => TrapKind::BadConversion,
        TrapCode::StackOverflow => TrapKind::StackOverflow,
        TrapCode::OutOfFuel => TrapKind::OutOfFuel,
        _ => TrapKind::Other,
    }
}

pub(crate) fn to_wasmi(val: &Val) -> wasmi::Val {
    match *val {
        Val::I32(val) => wasmi::Val::I32(val),
        Val::I64(val) => wasmi::Val::I64(val),
        Val::F32(val) => wasmi::Val::F32(F32::from_bits(val.to_bits())),
        Val::F64(val) => wasmi::Val::F64(F64::from_bits(val.to_bits())),
    }
}

/// Values that cannot be passed are left out; core refuses signatures with one.
pub(crate) fn vals(vals: &[wasmi::Val]) -> Vec<Val> {
    vals.iter()
        .filter_map(|val| match val {
            wasmi::Val::I32(val) => Some(Val::I32(*val)),
            wasmi::Val::I64(val) => Some(Val::I64(*val)),
            wasmi::Val::F32(val) => Some(Val::F32(f32::from_bits(val.to_bits()))),
            wasmi::Val::F64(val) => Some(Val::F64(f64::from_bits(val.to_bits()))),
            _ => None,
        })
        .collect()
}

/// `None` for a type that cannot be passed; core refuses signatures with one.
pub(crate) fn func_type(ty: &FuncType) -> Option<wasmi::FuncType> {
    let convert = |types: &[ValType]| types.iter().map(val_type).collect::<Option<Vec<_>>>();
    Some(wasmi::FuncType::new(
        convert(ty.params())?,
        convert(ty.results())?,
    ))
}

fn val_type(ty: &ValType) -> Option<wasmi::ValType> {
    match ty {
        ValType::I32 => Some(wasmi::ValType::I32),
        ValType::I64 => Some(wasmi::ValType::I64),
        ValType::F32 => Some(wasmi::ValType::F32),
        ValType::F64 => Some(wasmi::ValType::F64),
        ValType::Other => None,
    }
}
