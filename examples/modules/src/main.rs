//! Shows the tour on the runtimes that the command line selects.
#![forbid(unsafe_code)]

mod command_line;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use modules::{GUEST, tour};
use rangewatch::{ErrorChain, Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match command_line::runtimes() {
        Ok(runtimes) => match show(&runtimes).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let error = ErrorChain::new(&*error);
                command_line::print_error(&error.to_string(), ExitCode::FAILURE)
            }
        },
        Err(mistake) => command_line::print_error(&mistake, ExitCode::from(2)),
    }
}

/// Prints the transcript. Fails if it differs between the runtimes.
async fn show(runtimes: &[Box<dyn Runtime>]) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    let mut first: Option<(&str, String)> = None;
    for runtime in runtimes {
        let (name, transcript) = (runtime.name(), tour(&**runtime, GUEST).await?);
        match &first {
            None => {
                write!(out, "on {name}\n\n{transcript}")?;
                first = Some((name, transcript));
            }
            Some((other, same)) if *same == transcript => {
                writeln!(out, "\n{name} agrees with {other}")?;
            }
            Some((other, _)) => {
                return Err(format!("{name} disagrees with {other}:\n\n{transcript}").into());
            }
        }
    }
    Ok(())
}
