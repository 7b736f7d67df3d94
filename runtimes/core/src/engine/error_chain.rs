//! Displays an error together with its sources.

use std::error::Error;
use std::fmt::{self, Write as _};

use crate::engine::shown::write_escaped;

/// Displays an error and all of its sources in one line: `error: source: source of the source`.
///
/// For logs and messages: the errors of this crate do not repeat their sources in their own text,
/// so that `to_string` alone omits the cause. Errors of other crates are displayed also if they
/// repeat a source.
///
/// The text of an engine's error may have names that the guest chose, as in a backtrace. So line
/// breaks are shown as spaces, other control characters are escaped, and the text of each error is
/// cut after 4,096 characters: a guest cannot forge lines of a log.
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
        OneLine::write(f, self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            f.write_str(": ")?;
            OneLine::write(f, error)?;
            source = error.source();
        }
        Ok(())
    }
}

/// Writes a text in one line, and a bounded part of it.
struct OneLine<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    n_chars_left: usize,
    n_bytes_cut: usize,
    /// After a line break, whose spaces are one with it.
    is_at_break: bool,
}

impl<'a, 'f> OneLine<'a, 'f> {
    /// Characters of one error: more than an engine's backtrace has whose names are ordinary.
    const MAX_CHARS: usize = 4096;

    fn write(f: &'a mut fmt::Formatter<'f>, error: &dyn Error) -> fmt::Result {
        let mut line = Self {
            f,
            n_chars_left: Self::MAX_CHARS,
            n_bytes_cut: 0,
            is_at_break: false,
        };
        write!(line, "{error}")?;
        match line.n_bytes_cut {
            0 => Ok(()),
            n_bytes => write!(line.f, ".. ({n_bytes} more bytes)"),
        }
    }

    fn put(&mut self, c: char) -> fmt::Result {
        if self.n_chars_left == 0 {
            self.n_bytes_cut += c.len_utf8();
            return Ok(());
        }
        self.n_chars_left -= 1;
        write_escaped(self.f, c)
    }
}

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\n' {
                self.is_at_break = true;
                continue;
            }
            if self.is_at_break {
                if c == ' ' {
                    continue;
                }
                self.is_at_break = false;
                self.put(' ')?;
            }
            self.put(c)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

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
                    source: io::Error::other(CAUSE),
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
                source: io::Error::other(CAUSE),
            }),
        ]
    }

    #[test]
    fn a_chain_is_one_bounded_line() {
        let names = "backtrace:\n    0: f\n    1: g\u{1b}[31m\nERROR: forged \"it\" \\ \u{202e}\n";
        let error = CallError::Engine {
            export: "run".to_owned(),
            source: names.into(),
        };
        assert_eq!(
            ErrorChain::new(&error).to_string(),
            "`run` failed in the engine: \
             backtrace: 0: f 1: g\\u{1b}[31m ERROR: forged \"it\" \\ \\u{202e}"
        );
        let long = io::Error::other("x".repeat(5000));
        let chain = ErrorChain::new(&long).to_string();
        assert!(chain.ends_with("x.. (904 more bytes)"), "{chain}");
        assert_eq!(chain.matches('x').count(), 4096);
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
