//! `rangewatch`: runs a WebAssembly guest on wasmtime or wasmi and prints what it emits.
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
mod printer;
mod run;

use std::process::ExitCode;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let Command::Run(args) = Args::parse_or_exit().command;
    match futures::executor::block_on(run::run(&args)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
