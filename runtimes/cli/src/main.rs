//! `rangewatch`: runs a WebAssembly guest on wasmtime or wasmi and prints what it emits, and starts
//! the projects of guests.
#![forbid(unsafe_code)]

mod args;
mod call;
mod callbacks;
mod context;
mod copy;
mod engine;
mod event_line;
mod event_output;
mod failure;
mod new;
mod printer;
mod run;

use std::process::ExitCode;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let ended = match Args::parse_or_exit().command {
        Command::Run(args) => futures::executor::block_on(run::run(&args)),
        Command::New(args) => new::new(&args).map(|()| 0),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
