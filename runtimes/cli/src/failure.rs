//! How a run fails.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use rangewatch::CallError;

/// The exit code for a trap: what shells give a program that was aborted.
const TRAPPED: u8 = 134;

/// Why the guest's own exit code is not the answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The guest or its host failed.
    Run(String),
    /// The guest trapped.
    Trap(String),
    /// As `Run`, and every message is out already.
    Reported,
}

impl Failure {
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    pub(crate) fn run(message: impl fmt::Display) -> Self {
        Self::Run(message.to_string())
    }

    /// Says it on stderr. What it is for the process.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                complain(format_args!(
                    "{message}\n\nFor more information, try 'rangewatch run --help'."
                ));
                ExitCode::from(2)
            }
            Self::Run(message) => {
                complain(message);
                ExitCode::FAILURE
            }
            Self::Trap(message) => {
                complain(message);
                ExitCode::from(TRAPPED)
            }
            Self::Reported => ExitCode::FAILURE,
        }
    }
}

/// Says on stderr what went wrong, in the form of the parser of the command line.
pub(crate) fn complain(message: impl fmt::Display) {
    // A closed stderr leaves nobody to tell; the exit code remains.
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// What a call that failed is for the run.
pub(crate) fn call_failed(error: &CallError) -> Failure {
    let message = describe(error);
    match error {
        CallError::Trap { .. } => Failure::Trap(message),
        _ => Failure::Run(message),
    }
}

/// An error of a call, and what the engine adds to a trap: where it happened, if it knows.
pub(crate) fn describe(error: &CallError) -> String {
    let mut text = error.to_string();
    if let CallError::Trap { source, .. } = error {
        text.push_str(&format!("\nengine: {source}"));
        let mut cause = source.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
    }
    text
}
