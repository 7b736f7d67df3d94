//! The server of the example beside etcd, each a process of its own, under the same load.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "an error ends the program")]

mod clients;
mod processors;
mod rows;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rangewatch_bench_harness::Report;

use self::server::{Kind, Program};

/// An error of this program: a text for its user.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, BoxError>;

// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COMMAND: &str = "target/release/etcd-benches";

/// Measures the server of the example beside etcd. It needs the program etcd of Debian's package
/// etcd-server, and etcd-example of the same build beside itself.
#[derive(Debug, Parser)]
struct Args {
    /// The rows whose names contain one of these texts. All by default.
    rows: Vec<String>,
    /// Where the servers have their data, in a folder that is removed at the end. By default the
    /// folder of the program, so that it is a disk and not memory.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Etcd, Kind::Wasmtime, Kind::Wasmi])]
    servers: Vec<Kind>,
    /// How often each server has its turn. The table has the medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Each row once with a hundredth of the load, to see that it works. Without etcd, the others
    /// are measured alone.
    #[arg(long)]
    smoke: bool,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("etcd-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    let program = std::env::current_exe()?;
    let beside = program.parent().ok_or("the program is in a folder")?;
    let data = args.data.as_deref().unwrap_or(beside);
    let data = tempfile::Builder::new()
        .prefix("etcd-benches-")
        .tempdir_in(data)?;
    let mut programs = Vec::new();
    for kind in args.servers {
        match Program::find(kind, beside) {
            Ok(program) => programs.push(program),
            Err(error) if args.smoke && kind == Kind::Etcd => eprintln!("without etcd: {error}"),
            Err(error) => return Err(error),
        }
    }
    let bench = rows::Bench {
        programs,
        data: data.path(),
        n_rounds: if args.smoke { 1 } else { args.rounds.max(1) },
        share: if args.smoke { 100 } else { 1 },
        report: Report::new(COMMAND),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(bench.run(&args.rows))
}
