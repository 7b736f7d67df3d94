//! `etcd-example [--listen ADDRESS] [--data FOLDER] [--runtime wasmtime|wasmi] ..`
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "the program says where it listens, and why it ends"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use etcd_example::{BoxError, Config, Server, Store};
use rangewatch::{ErrorChain, Runtime};
use tracing_subscriber::filter::LevelFilter;

// A put takes a tenth less of the processor than with the allocator of glibc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A server that speaks etcd's API. Its state machine is a WebAssembly guest, and its watches are
/// subscriptions on the bus.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The address and port to listen on. Port 0 is any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2379")]
    listen: SocketAddr,
    /// The folder of the data, created if it is missing. Without it the data is in memory, and gone
    /// when the server ends.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The engine that runs the guest.
    #[arg(long, value_enum, default_value_t = Engine::DEFAULT)]
    runtime: Engine,
    /// The certificate of the server, in PEM. Clients then connect with TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The time between two progress notifications of an idle watch, in milliseconds.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 600_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    progress_interval_ms: u64,
    /// The maximum size of a request that writes, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 3 << 19)]
    max_request_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    Wasmtime,
    Wasmi,
}

impl Engine {
    const DEFAULT: Self = if cfg!(feature = "wasmtime") {
        Self::Wasmtime
    } else {
        Self::Wasmi
    };

    fn runtime(self) -> Result<Box<dyn Runtime>, BoxError> {
        match self {
            #[cfg(feature = "wasmtime")]
            Self::Wasmtime => Ok(Box::new(rangewatch::Wasmtime::new())),
            #[cfg(feature = "wasmi")]
            Self::Wasmi => Ok(Box::new(rangewatch::Wasmi::new())),
            #[cfg(not(all(feature = "wasmtime", feature = "wasmi")))]
            _ => Err(format!("built without {self:?}: choose another --runtime").into()),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("etcd-example: {}", ErrorChain::new(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), BoxError> {
    let mut config = Config::new(args.listen);
    config.progress_interval = Duration::from_millis(args.progress_interval_ms);
    config.max_request_bytes = args.max_request_bytes;
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        config.tls = Some((read(certificate)?, read(key)?));
    }
    let store = Store::open(args.data.as_deref())?;
    let runtime = args.runtime.runtime()?;
    let server = Server::start(&*runtime, store, config).await?;
    println!("listening on {} ({})", server.address(), runtime.name());
    server.serve(stopped()).await
}

fn read(path: &Path) -> Result<Vec<u8>, BoxError> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    // An error means that no signal can be waited for: the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
