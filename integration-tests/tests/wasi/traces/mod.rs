//! G29: a program makes the same calls on every engine, on a virtual clock and a seed.
//!
//! Each program is instrumented to report its calls: the name, the arguments, the result, and a
//! hash of the memory afterwards. The linkers of the backends are tested unchanged. The hash covers
//! what the program computes between two calls.

mod digest;
mod every_function;
mod instrument;
mod on_engine;
mod recorder;
mod steady;
mod trace;

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use integration_tests::within_deadline;
use libtest_mimic::{Failed, Trial};
use rangewatch::wasi::Sleep;
use rangewatch::{Clock, SeededRandom, SharedBuffer, VirtualClock, Wasi};

use self::recorder::Recorder;
use self::steady::Steady;
use self::trace::{Call, End, Trace};
use crate::configuration::{Engine, Files};
use crate::program::{Expectations, Program};
use crate::run;

/// The start time of every program, in seconds since 1970.
const START_SECS: u64 = 1_690_674_910;

/// The functions that a program is written to test, and has to call.
const PURPOSES: &[(&str, &[&str])] = &[
    (
        "arguments",
        &[
            "args_get",
            "args_sizes_get",
            "environ_get",
            "environ_sizes_get",
            "proc_exit",
        ],
    ),
    (
        "clocks",
        &[
            "clock_res_get",
            "clock_time_get",
            "poll_oneoff",
            "random_get",
            "sched_yield",
        ],
    ),
    (
        "confinement",
        &[
            "path_open",
            "path_symlink",
            "fd_fdstat_set_rights",
            "path_filestat_get",
        ],
    ),
    (
        "directories",
        &[
            "fd_readdir",
            "path_create_directory",
            "path_remove_directory",
            "path_rename",
        ],
    ),
    (
        "every_function",
        &["fd_read", "path_open", "proc_raise", "sock_send"],
    ),
    (
        "files",
        &[
            "fd_read",
            "fd_write",
            "fd_seek",
            "fd_filestat_set_size",
            "path_open",
        ],
    ),
    (
        "greet",
        &[
            "fd_read",
            "fd_write",
            "args_get",
            "clock_time_get",
            "random_get",
        ],
    ),
    ("greet_c", &["fd_read", "fd_write"]),
    ("greet_go", &["fd_read", "fd_write", "fd_fdstat_set_flags"]),
    (
        "harsh_go",
        &[
            "fd_pread",
            "fd_pwrite",
            "fd_readdir",
            "path_link",
            "poll_oneoff",
        ],
    ),
    ("links", &["path_link", "path_readlink", "path_symlink"]),
    (
        "metadata",
        &[
            "fd_filestat_get",
            "fd_filestat_set_times",
            "path_filestat_set_times",
            "fd_tell",
        ],
    ),
    ("streams", &["fd_renumber", "poll_oneoff", "sock_shutdown"]),
];

/// The program of a test.
struct Subject {
    program: Arc<Program>,
    wasm: fn(&Program) -> Result<Vec<u8>, String>,
    /// Compiled for each engine by the first test that needs it.
    compiled: OnceLock<OnEngines>,
}

/// The program compiled by each engine, or the error.
type OnEngines = Result<Vec<(Engine, Box<dyn Compiled>)>, String>;

/// An instrumented program, compiled by an engine.
trait Compiled: Send + Sync {
    /// Runs it as a command in a linker of the embedder; returns its calls and how it ended.
    fn run(&self, wasi: Wasi, recorder: Recorder) -> Result<(Vec<Call>, End), String>;
}

/// A test for each program on files of each kind: `suite/program/traces/files`. `guests` has more
/// programs.
pub(crate) fn trials(programs: &[Arc<Program>], guests: &Path) -> Result<Vec<Trial>, String> {
    let read = |program: &Program| fs::read(&program.wasm).map_err(|error| error.to_string());
    let mut subjects: Vec<_> = programs
        .iter()
        .map(|program| Subject {
            program: Arc::clone(program),
            wasm: read,
            compiled: OnceLock::new(),
        })
        .collect();
    let details = ["--args", "--time", "--random", "--cat", "/greeting.txt"];
    for (name, args) in [
        ("every_function", &[][..]),
        ("greet", &details),
        ("greet_c", &[]),
        ("greet_go", &[]),
    ] {
        let mut program = Program::read("guests", guests.join(name).with_extension("wasm"))?;
        program.expected = Expectations {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            root: Some("wasi/root.dir".to_owned()),
            stdin: "alice\nbob\n".to_owned(),
            exit_code: if name == "greet_c" { 2 } else { 0 },
            ..Expectations::default()
        };
        subjects.push(Subject {
            program: Arc::new(program),
            wasm: if name == "every_function" {
                |_| every_function::wasm()
            } else {
                read
            },
            compiled: OnceLock::new(),
        });
    }
    let on_files = |subject: Subject| {
        let subject = Arc::new(subject);
        [Files::Host, Files::Memory].map(move |files| {
            let subject = Arc::clone(&subject);
            let name = format!("{}/traces/{}", subject.program.name, files.name());
            Trial::test(name, move || {
                within_deadline(move || subject.check(files)).map_err(Failed::from)
            })
        })
    };
    Ok(subjects.into_iter().flat_map(on_files).collect())
}

impl Subject {
    /// Runs the program on each engine, and on one of them twice.
    fn check(&self, files: Files) -> Result<(), String> {
        let compiled = self.compiled.get_or_init(|| self.compile());
        let compiled = compiled.as_ref().map_err(String::clone)?;
        let (first, program) = compiled.first().ok_or("there is no engine")?;
        let trace = self.run(&**program, files)?;
        for (engine, program) in compiled.iter().take(1).chain(compiled) {
            let other = self.run(&**program, files)?;
            let differs = |difference| format!("one: {first:?}, other: {engine:?}\n{difference}");
            trace.differs(&other).map_err(differs)?;
        }
        self.look_at(&trace)
    }

    fn look_at(&self, trace: &Trace) -> Result<(), String> {
        if trace.end != Ok(self.program.expected.exit_code) {
            return Err(format!("it does not end as it should: {trace}"));
        }
        let stem = self.program.wasm.file_stem().unwrap_or_default();
        let purposes = PURPOSES.iter().filter(|(name, _)| stem == *name);
        let mut functions = purposes.flat_map(|(_, functions)| *functions);
        match functions.find(|function| !trace.calls(function)) {
            _ if trace.calls.is_empty() => Err("it makes no call".to_owned()),
            Some(missing) => Err(format!("it never calls {missing}: {trace}")),
            None => Ok(()),
        }
    }

    fn compile(&self) -> OnEngines {
        let wasm = instrument::instrument(&(self.wasm)(&self.program)?)?;
        let compile = |engine: &Engine| -> Result<_, String> {
            let compiled: Box<dyn Compiled> = match engine {
                #[cfg(feature = "wasmtime")]
                Engine::Wasmtime => Box::new(on_engine::wasmtime::Compiled::new(&wasm)?),
                #[cfg(feature = "wasmi")]
                Engine::Wasmi => Box::new(on_engine::wasmi::Compiled::new(&wasm)?),
                #[cfg(not(all(feature = "wasmi", feature = "wasmtime")))]
                missing => unreachable!("{missing:?} is not among the engines of this build"),
            };
            Ok((*engine, compiled))
        };
        crate::ENGINES.iter().map(compile).collect()
    }

    fn run(&self, compiled: &dyn Compiled, files: Files) -> Result<Trace, String> {
        let program = &self.program;
        let (stdout, stderr) = (SharedBuffer::new(), SharedBuffer::new());
        let clock = Moving(VirtualClock::at(START_SECS, 0));
        let mut wasi = Wasi::builder()
            .arg(program.name.as_bytes())
            .args(&program.expected.args)
            .envs(program.expected.env.iter().map(|(key, value)| (key, value)))
            .stdin(program.expected.stdin.as_str())
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .clock(clock.clone())
            .random(SeededRandom::new(7));
        let root = run::fresh_root(program)?;
        if let Some(root) = &root {
            wasi = run::with_root(wasi, files, root.path(), clock)?;
        }
        let wasi = wasi.build().map_err(|error| error.to_string())?;
        let recorder = Recorder::new((files == Files::Host).then(Steady::new));
        let (calls, end) = compiled.run(wasi, recorder)?;
        Ok(Trace {
            calls,
            end,
            stdout: stdout.to_string_lossy(),
            stderr: stderr.to_string_lossy(),
        })
    }
}

/// A virtual clock that each reading advances, because programs wait for it in loops. Clones share
/// the time.
#[derive(Clone)]
struct Moving(VirtualClock);

impl Clock for Moving {
    fn realtime_ns(&mut self) -> u64 {
        self.0.advance(Duration::from_micros(1));
        self.0.realtime_ns()
    }

    fn monotonic_ns(&mut self) -> u64 {
        self.0.advance(Duration::from_micros(1));
        self.0.monotonic_ns()
    }

    fn sleep(&mut self, duration: Duration) -> Sleep {
        self.0.sleep(duration)
    }
}
