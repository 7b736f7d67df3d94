//! Ten thousand readers of server-sent events, in a process of their own, of which a tenth never
//! read: what they cost a healthy reader, and the memory of the server.

#![expect(clippy::print_stderr, reason = "an error ends the program")]

mod clients;
mod load;
mod readers;

use std::process::ExitCode;

use rangewatch_bench_harness::{CountingAllocator, Report};
use rustix::process::{Resource, getrlimit, setrlimit};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// An error of this program: a text for its user.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const COMMAND: &str = "cargo run --profile bench --package rangewatch-http-benches";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["readers", server] => read(server),
        [] => load::run(&Report::new(COMMAND), &load::Size::FULL),
        ["--smoke"] => load::run(&Report::new(COMMAND), &load::Size::SMOKE),
        _ => Err("usage: rangewatch-http-benches [--smoke]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read(server: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(readers::run(server.parse()?))?)
}

/// Raises the limit of open files to what the system allows, which must be at least `n`.
fn allow_open_files(n: usize) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    match limit.current {
        Some(max) if max < n as u64 => {
            let error = format!("{n} open files are needed, {max} are allowed: raise `ulimit -Hn`");
            Err(error.into())
        }
        _ => Ok(()),
    }
}
