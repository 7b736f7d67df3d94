//! Nodes that run the same guest, a replicated state machine, and append what it emits to one log.
//! Each node reads the log into a bus of its own, where its subscribers are.
#![forbid(unsafe_code)]

mod bridge;
mod command_line;
mod customers;
mod journal;
mod log_url;
mod machine;
mod node;
mod orders;
mod output;
mod spawn;
mod status;
mod stock;
mod store;
mod together;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use rangewatch::ErrorChain;
use rangewatch_bridge::BoxError;

use command_line::Options;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Ignored if stderr is closed: the exit code remains.
            let _ = writeln!(io::stderr(), "cluster: {}", ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), BoxError> {
    match (&options.log, options.node) {
        (None, _) => together::run(options).await,
        (Some(url), Some(number)) => node::run(options, url, number).await,
        (Some(_), None) => spawn::run(options).await,
    }
}
