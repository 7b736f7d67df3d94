//! Failures of a run.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use rangewatch::CallError;
use rangewatch::runtime::ErrorChain;

/// The exit code for a trap: the one that shells report for SIGABRT.
const TRAPPED: u8 = 134;

/// Why the process does not end with the exit code of the guest.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The guest or the host failed.
    Run(String),
    /// The guest trapped.
    Trap(String),
    /// As `Run`, and every message has been printed.
    Reported,
}

impl Failure {
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    pub(crate) fn run(message: impl fmt::Display) -> Self {
        Self::Run(message.to_string())
    }

    /// Prints the message on stderr and returns the exit code of the process.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                print_error(format_args!(
                    "{message}\n\nFor more information, try 'rangewatch run --help'."
                ));
                ExitCode::from(2)
            }
            Self::Run(message) => {
                print_error(message);
                ExitCode::FAILURE
            }
            Self::Trap(message) => {
                print_error(message);
                ExitCode::from(TRAPPED)
            }
            Self::Reported => ExitCode::FAILURE,
        }
    }
}

/// Prints an error on stderr, in the format of clap.
pub(crate) fn print_error(message: impl fmt::Display) {
    // If stderr is closed, the exit code is all that can be reported.
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// The failure of a run whose call failed.
pub(crate) fn call_failed(error: &CallError) -> Failure {
    let message = describe(error);
    match error {
        CallError::Trap { .. } => Failure::Trap(message),
        _ => Failure::Run(message),
    }
}

/// The message of a call's error. For a trap it includes the message of the engine, which may name
/// the functions on the stack.
pub(crate) fn describe(error: &CallError) -> String {
    match error {
        CallError::Trap { source, .. } => {
            format!("{error}\nengine: {}", ErrorChain::new(&**source))
        }
        error => ErrorChain::new(error).to_string(),
    }
}
