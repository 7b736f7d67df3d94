//! The errors with which a backend reports a failed call to core.

use rangewatch_wasi::{Exit, call};

use crate::abi::AbiError;
use crate::engine::host_function::HostError;

/// An error of an engine, of a type that only the engine's crate knows.
pub type EngineError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call into an [`Instance`](crate::Instance) did not return. A backend returns it to core,
/// which makes a [`CallError`](crate::CallError) of it.
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
    /// An error that is neither a trap of the guest nor an error of a host function.
    Engine(EngineError),
}

/// The error of a host function, which a backend passes through its engine.
#[derive(Debug, thiserror::Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a backend constructs and matches it"
)]
pub enum HostTrap {
    /// The guest called `proc_exit`, or a host function returned an [`Exit`].
    #[error(transparent)]
    Exit(Exit),
    /// A function of the guest ABI failed.
    #[error(transparent)]
    Abi(AbiError),
    /// The work of the host used all of the call's fuel. A backend reports it as a trap of the kind
    /// [`TrapKind::OutOfFuel`].
    #[error(transparent)]
    OutOfFuel(OutOfFuel),
    /// A host function of the embedder failed or panicked, or a function of WASI panicked or raised
    /// a signal.
    #[error("host function `{function}` failed")]
    Function {
        /// `module.name`; for a function of WASI its name only.
        function: String,
        /// Its error.
        source: HostError,
    },
}

/// The work of the host used all of the call's fuel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the work of the host used all of the call's fuel")]
#[expect(clippy::exhaustive_structs, reason = "a backend must construct it")]
pub struct OutOfFuel;

impl From<HostTrap> for Failure {
    fn from(trap: HostTrap) -> Self {
        match trap {
            HostTrap::OutOfFuel(source) => Self::Trap {
                kind: TrapKind::OutOfFuel,
                source: source.into(),
            },
            trap => Self::Host(trap),
        }
    }
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
            trap @ call::Trap::Deadlock { function } => Self::Function {
                function: function.to_owned(),
                source: trap.into(),
            },
            call::Trap::Panic { function, message } => Self::Function {
                function: function.to_owned(),
                source: format!("it panicked: {message}").into(),
            },
        }
    }
}

/// The kinds of traps. Every engine reports the same kind for the same trap.
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
    /// An integer division whose result is too large: the least integer divided by -1.
    #[error("integer overflow")]
    IntegerOverflow,
    /// An integer division by zero.
    #[error("integer division by zero")]
    DivisionByZero,
    /// A float that does not fit the integer it is converted to.
    #[error("invalid conversion to integer")]
    BadConversion,
    /// The calls of the guest are nested too deeply.
    #[error(
        "call stack exhausted: raise `max_stack_bytes` of the runtime, or look for calls that nest \
         without end"
    )]
    StackOverflow,
    /// The call used all of its fuel.
    #[error("out of fuel: raise `Limits::fuel_per_call`, or look for a loop that does not end")]
    OutOfFuel,
    /// The guest threw an exception that it does not catch.
    #[error("an exception of the guest that nothing catches")]
    UncaughtException,
    /// A trap that this list does not name; see the source.
    #[error("another trap of the engine")]
    Other,
}
