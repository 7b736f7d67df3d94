//! How a call into an instance fails.

use rangewatch_wasi::{Exit, call};

use crate::abi::AbiError;
use crate::engine::host_function::HostError;

/// The error type of an engine.
pub type EngineError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call into an [`Instance`](crate::Instance) did not return. A backend returns it to core.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a backend must construct each variant"
)]
pub enum Failure {
    /// The engine trapped.
    Trap {
        /// The kind, translated from the engine's.
        kind: TrapKind,
        /// The engine's error.
        source: EngineError,
    },
    /// A host function ended the call with this error.
    Host(HostTrap),
    /// Anything else.
    Engine(EngineError),
}

/// The error of a host function, which a backend passes through its engine.
#[derive(Debug, thiserror::Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a backend constructs and matches it"
)]
pub enum HostTrap {
    /// `proc_exit`.
    #[error(transparent)]
    Exit(Exit),
    /// The range-watch ABI.
    #[error(transparent)]
    Abi(AbiError),
    /// A function of the embedder.
    #[error("host function `{function}` failed")]
    Function {
        /// `module.name`.
        function: String,
        /// Its error.
        source: HostError,
    },
}

impl From<Exit> for HostTrap {
    fn from(exit: Exit) -> Self {
        Self::Exit(exit)
    }
}

impl From<call::Trap> for HostTrap {
    fn from(trap: call::Trap) -> Self {
        match trap {
            call::Trap::Exit(exit) => Self::Exit(exit),
            call::Trap::Signal(signal) => Self::Function {
                function: "proc_raise".to_owned(),
                source: signal.into(),
            },
            call::Trap::Panic { function, message } => Self::Function {
                function: function.to_owned(),
                source: format!("it panicked: {message}").into(),
            },
        }
    }
}

/// The kinds of traps that engines agree on.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{CallError, Guest, TrapKind};
///
/// # async fn example(guest: &Guest) {
/// let outcome = guest.call("work", &[]).await;
/// if let Err(CallError::Trap { kind: TrapKind::Unreachable, .. }) = outcome {
///     eprintln!("the guest has panicked");
/// }
/// # }
/// ```
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
    /// The call used all of its fuel.
    #[error("out of fuel: raise `Limits::fuel_per_call`, or look for a loop that does not end")]
    OutOfFuel,
    /// A trap that this list does not name; see the source.
    #[error("another trap of the engine")]
    Other,
}
