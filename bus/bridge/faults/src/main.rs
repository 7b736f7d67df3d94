//! A writer or a reader of a log, which a test starts, commands by lines and kills.

mod reader;
mod writer;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use rangewatch_bridge::BoxError;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

/// A writer or a reader of a log.
#[derive(Debug, Parser)]
struct Options {
    role: Role,
    /// The URL of the server.
    #[arg(long)]
    log: String,
    #[arg(long)]
    bus: String,
    /// The seed of the state machine.
    #[arg(long)]
    machine: u64,
    /// The seed of everything else.
    #[arg(long)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Writer,
    Reader,
}

/// The commands of the test, `to VALUE` each.
struct Commands(Lines<BufReader<Stdin>>);

impl Commands {
    /// The next value; `None` at the end of the input.
    async fn next(&mut self) -> Result<Option<u64>, BoxError> {
        let Some(line) = self.0.next_line().await? else {
            return Ok(None);
        };
        let value = line.strip_prefix("to ").ok_or("a command is `to VALUE`")?;
        Ok(Some(value.parse()?))
    }
}

/// Writes a line to the test. If the test has ended, nobody reads it.
fn answer(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let commands = Commands(BufReader::new(tokio::io::stdin()).lines());
    let ended = match options.role {
        Role::Writer => writer::run(&options, commands).await,
        Role::Reader => reader::run(&options, commands).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            answer(&format!("failed {error}"));
            ExitCode::FAILURE
        }
    }
}
