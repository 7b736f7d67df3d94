//! Displays an error together with its sources.

use std::error::Error;
use std::fmt;

/// Displays an error and all of its sources in one line: `error: source: source of the source`.
///
/// For logs and messages: the errors of this crate do not repeat their sources in their own text,
/// so that `to_string` alone omits the cause. Errors of other crates are displayed as they are,
/// also if they repeat a source.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{CallError, ErrorChain};
/// use rangewatch_runtime::abi::AbiError;
///
/// let error = CallError::Abi {
///     export: "apply".to_owned(),
///     source: AbiError::OpenKeys { n_keys: 2 },
/// };
/// assert_eq!(error.to_string(), "`apply` broke the range-watch ABI");
/// assert_eq!(
///     ErrorChain::new(&error).to_string(),
///     "`apply` broke the range-watch ABI: \
///      open takes exactly 3 keys (id, from, to), but the buffer holds 2"
/// );
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(&'a (dyn Error + 'static));

impl<'a> ErrorChain<'a> {
    /// Makes a display of `error` and its sources.
    #[must_use]
    pub fn new(error: &'a (dyn Error + 'static)) -> Self {
        Self(error)
    }
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rangewatch_bus::EmitError;
    use rangewatch_wasi::Exit;

    use super::*;
    use crate::abi::AbiError;
    use crate::{
        BuildError, CallError, CallbackError, CallbackErrorCause, Emits, FlushError, HostTrap,
        InstantiateError, Limits, LoadError, Owner, RunError, TrapKind,
    };

    /// The text of the innermost error of those chains that take any error as a source.
    const CAUSE: &str = "the innermost cause";

    fn cause<E: From<&'static str>>() -> E {
        CAUSE.into()
    }

    fn call_error() -> Box<CallError> {
        Box::new(CallError::Engine {
            export: "run".to_owned(),
            source: cause(),
        })
    }

    fn abi_error() -> AbiError {
        AbiError::Emit(EmitError::Closed)
    }

    /// One error of each kind that has a source.
    fn errors() -> Vec<Box<dyn Error>> {
        let export = "run".to_owned();
        let bus = rangewatch_bus::RangeWatchBus::new();
        let owner = Owner::new(&bus, Limits::default(), Emits::Immediate).id();
        let function = "env.now".to_owned();
        vec![
            Box::new(BuildError::Baseline(cause())),
            Box::new(BuildError::CompiledDir(cause())),
            Box::new(BuildError::Engine(cause())),
            Box::new(LoadError::Invalid(cause())),
            Box::new(LoadError::Engine(cause())),
            Box::new(InstantiateError::Wasi(cause())),
            Box::new(InstantiateError::Start(call_error())),
            Box::new(InstantiateError::Engine(cause())),
            Box::new(RunError::Load(LoadError::Engine(cause()))),
            Box::new(RunError::Call(*call_error())),
            Box::new(RunError::Flush {
                exit: Exit::new(0),
                source: FlushError {
                    export: export.clone(),
                    source: std::io::Error::other(CAUSE),
                },
            }),
            call_error(),
            Box::new(CallError::Trap {
                export: export.clone(),
                kind: TrapKind::Other,
                message: None,
                source: cause(),
            }),
            Box::new(CallError::Abi {
                export: export.clone(),
                source: abi_error(),
            }),
            Box::new(CallError::HostFunction {
                export: export.clone(),
                function: function.clone(),
                source: cause(),
            }),
            Box::new(CallError::Discarded {
                n_emits: 2,
                source: call_error(),
            }),
            Box::new(CallError::Refused {
                export: export.clone(),
                n_emits: 2,
                source: abi_error(),
            }),
            Box::new(CallError::Instantiate {
                export: export.clone(),
                source: Box::new(InstantiateError::Start(call_error())),
            }),
            Box::new(abi_error()),
            Box::new(AbiError::EmitNotStaged(EmitError::Closed)),
            Box::new(HostTrap::Exit(Exit::new(3))),
            Box::new(HostTrap::Abi(abi_error())),
            Box::new(HostTrap::Function {
                function,
                source: cause(),
            }),
            Box::new(CallbackError {
                owner,
                id: b"w".to_vec(),
                value: 7,
                n_notices: 0,
                cause: CallbackErrorCause::Call(*call_error()),
            }),
            Box::new(CallbackError {
                owner,
                id: b"w".to_vec(),
                value: 7,
                n_notices: 0,
                cause: CallbackErrorCause::Abi(abi_error()),
            }),
            Box::new(FlushError {
                export,
                source: std::io::Error::other(CAUSE),
            }),
        ]
    }

    #[test]
    fn no_error_repeats_its_source() {
        for error in errors() {
            let mut outer: &dyn Error = &*error;
            while let Some(source) = outer.source() {
                let (text, inner) = (outer.to_string(), source.to_string());
                assert!(!text.contains(&inner), "{text:?} repeats {inner:?}");
                outer = source;
            }
            let chain = ErrorChain::new(&*error).to_string();
            let innermost = outer.to_string();
            assert_eq!(chain.matches(&innermost).count(), 1, "{chain}");
        }
    }
}
