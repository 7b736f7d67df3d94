//! Programs on a virtual clock and a seed: whatever they do is the same on every engine.
//!
//! Seen from outside and in the managed way; `tests/wasi/traces` looks at each call, in linkers of one's own. What is
//! compared: how a program ends, all bytes that it writes, the number of bytes that it draws and how often it asks for the
//! time, the time when it ends, and the tree that it leaves behind with the numbers and times of all files. The clock moves
//! with each reading of it, and files are dated by it, so that one call more or less of a clock or a file shows in what
//! follows.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use integration_tests::{Trace, run, run_program};
use rangewatch::wasi::Sleep;
use rangewatch::wasi::fs::{Access, FileType, MemoryFs};
use rangewatch::{Clock, Random, Runtime, SeededRandom};

/// Once on each engine: the programs are long.
#[test]
fn g34_programs_leave_one_trace_on_a_virtual_clock_and_a_seed() {
    let compiled = run(async || trace_of_programs(&rangewatch::Wasmtime::new()).await);
    let interpreted = run(async || trace_of_programs(&rangewatch::Wasmi::new()).await);
    assert!(compiled.len() > 50, "{compiled:#?}");
    assert_eq!(compiled, interpreted);
}

/// Time of readings and sleeps alone, shared by a program and its files.
#[derive(Clone)]
struct Counted(Arc<AtomicU64>);

impl Counted {
    fn moved(&self, ns: u64) -> u64 {
        self.0.fetch_add(ns, Ordering::Relaxed) + ns
    }
}

impl Clock for Counted {
    fn realtime_ns(&mut self) -> u64 {
        self.moved(1_001)
    }

    fn monotonic_ns(&mut self) -> u64 {
        self.moved(1_003)
    }

    fn sleep(&mut self, duration: Duration) -> Sleep {
        self.moved(u64::try_from(duration.as_nanos()).expect("the programs sleep for less"));
        Sleep::Elapsed
    }
}

/// Random bytes, and how many of them have been drawn.
struct Drawn(SeededRandom, Arc<AtomicU64>);

impl Random for Drawn {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.0.fill(buf)
    }
}

async fn trace_of_programs(runtime: &dyn Runtime) -> Trace {
    let mut trace = Trace::new();
    for (name, stdin) in [
        ("clocks", ""),
        ("confinement", ""),
        ("directories", ""),
        ("files", ""),
        ("links", ""),
        ("metadata", ""),
        ("streams", "alice\nbob\n"),
        ("harsh_go", "alice\nbob\n\n"),
    ] {
        let wasm = fs::read(folder().join(name).with_extension("wasm")).expect("it is built");
        let clock = Counted(Arc::new(AtomicU64::new(1_690_674_910_000_000_000)));
        let drawn = Arc::new(AtomicU64::new(0));
        let files = MemoryFs::builder().clock(clock.clone()).build();
        (files.write("greeting.txt", "hello from the host\n")).expect("room");
        files
            .write("folder/digits.txt", "0123456789")
            .expect("room");
        let ended = run_program(runtime, &wasm, |wasi| {
            wasi.arg(name)
                .stdin(stdin)
                .clock(clock.clone())
                .random(Drawn(SeededRandom::new(7), Arc::clone(&drawn)))
                .preopen("/", &files, Access::ReadWrite)
        })
        .await;
        let code = if name == "streams" {
            "exit 7"
        } else {
            "exit 0"
        };
        assert_eq!(ended[0], code, "{name}: {ended:?}");
        trace.extend(ended.into_iter().map(|text| digest(text.as_bytes())));
        trace.push(format!(
            "{name}: {} bytes drawn, ended at {}",
            drawn.load(Ordering::Relaxed),
            clock.0.load(Ordering::Relaxed)
        ));
        describe(&files, ".", &mut trace);
    }
    trace
}

/// Adds all that is known about everything below `path`.
fn describe(files: &MemoryFs, path: &str, trace: &mut Trace) {
    for name in files.list(path).expect("a directory") {
        let path = format!("{path}/{name}");
        let mut known = files.metadata(&path).expect("it was listed");
        // Each filesystem of a process has a number of its own.
        known.dev = 0;
        trace.push(format!("{path}: {known:?}"));
        match known.file_type {
            FileType::Directory => describe(files, &path, trace),
            FileType::RegularFile => {
                trace.push(digest(&files.read(&path).expect("it was listed")));
            }
            _ => {}
        }
    }
}

/// Bytes, in short.
fn digest(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(32)]).into_owned();
    format!(
        "{start:?}.. {} bytes, {:016x}",
        bytes.len(),
        hasher.finish()
    )
}

/// Where the programs are.
fn folder() -> PathBuf {
    match std::env::var_os("RANGEWATCH_GUESTS") {
        Some(guests) => PathBuf::from(guests).join("wasi"),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/prebuilt/wasi"),
    }
}
