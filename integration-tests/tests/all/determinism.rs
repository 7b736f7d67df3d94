//! Programs on a virtual clock and a seed behave the same on every engine.
//!
//! Compares the results of managed guests; `tests/wasi/traces` compares each call, in linkers of
//! the embedder. Compared are the exit code, the output, the number of random bytes, the time at
//! the end, and the files with their inode numbers and times. Each reading advances the clock, and
//! the filesystem uses the same clock, so a missing or an additional call changes every later time.

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

/// Runs the programs once on each engine, because they take long.
#[test]
fn g34_programs_leave_one_trace_on_a_virtual_clock_and_a_seed() {
    let mut n_lines = 0;
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
        let compiled = run(async move || trace_of(&rangewatch::Wasmtime::new(), name, stdin).await);
        let interpreted = run(async move || trace_of(&rangewatch::Wasmi::new(), name, stdin).await);
        assert_eq!(compiled, interpreted, "{name}");
        n_lines += compiled.len();
    }
    assert!(n_lines > 50, "{n_lines} lines");
}

/// A clock that only readings and sleeps advance, shared by a program and its filesystem.
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

/// Seeded random bytes, and the number of bytes drawn.
struct Drawn(SeededRandom, Arc<AtomicU64>);

impl Random for Drawn {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.0.fill(buf)
    }
}

/// The trace of one program of the conformance runner.
async fn trace_of(runtime: &dyn Runtime, name: &str, stdin: &'static str) -> Trace {
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
    let mut trace: Trace = ended
        .into_iter()
        .map(|text| digest(text.as_bytes()))
        .collect();
    trace.push(format!(
        "{name}: {} bytes drawn, ended at {}",
        drawn.load(Ordering::Relaxed),
        clock.0.load(Ordering::Relaxed)
    ));
    describe(&files, ".", &mut trace);
    trace
}

/// Adds the metadata and the contents of everything below `path`.
fn describe(files: &MemoryFs, path: &str, trace: &mut Trace) {
    for name in files.list(path).expect("a directory") {
        let path = format!("{path}/{name}");
        let mut known = files.metadata(&path).expect("it was listed");
        // The device number differs for each filesystem of a process.
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

/// The first bytes, the length and a hash.
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

/// The folder of the programs.
fn folder() -> PathBuf {
    match std::env::var_os("RANGEWATCH_GUESTS") {
        Some(guests) => PathBuf::from(guests).join("wasi"),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/prebuilt/wasi"),
    }
}
