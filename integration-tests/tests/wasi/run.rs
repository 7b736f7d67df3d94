//! One run of one program in one configuration.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio as Streams};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rangewatch::wasi::fs::{Access, HostDir, MemoryFs};
use rangewatch::{
    CallError, Clock, Guest, Module, RangeWatchBus, Runtime, SharedBuffer, SystemClock,
    SystemRandom, Wasi, WasiBuilder,
};

use crate::configuration::{Configuration, Engine, Files, Stdio};
use crate::program::{Expectations, Program};
use crate::tree;

/// How long a program may run, which is less than the deadline of its test, so that a process is
/// killed. The slowest of the official programs waits for 200 ms; the rest is for unoptimized
/// interpreters on busy machines.
const DEADLINE: Duration = Duration::from_secs(240);

/// The first argument of a child process, which runs one program with the streams of the process.
const CHILD: &str = "--run-as-child";

/// How a program ended.
struct Ended {
    end: End,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

enum End {
    Exit(u32),
    /// It did not exit; the reason.
    Failed(String),
}

/// Runs a program. The error says how it differs from what it is expected to do.
pub(crate) fn run(program: &Program, configuration: Configuration) -> Result<(), String> {
    let root = fresh_root(program)?;
    let root = root.as_ref().map(tempfile::TempDir::path);
    let ended = match configuration.stdio {
        Stdio::Captured => captured(program, configuration, root)?,
        Stdio::Inherited => inherited(program, configuration, root)?,
    };
    check(&ended, &program.expected)
}

/// Runs the program if this is a child process, and returns the exit code for it.
pub(crate) fn child() -> Option<ExitCode> {
    let mut args = env::args_os();
    if args.nth(1)? != CHILD {
        return None;
    }
    let configuration = args.next()?.to_str()?.parse().ok()?;
    let program = Program::read("", PathBuf::from(args.next()?));
    let root = args.next().map(PathBuf::from);
    let ended = program.and_then(|program| {
        let wasi = wasi(&program, configuration, root.as_deref())?;
        run_guest(&program.wasm, configuration.engine, wasi.inherit_stdio())
    });
    Some(match ended {
        Ok(End::Exit(code)) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        Ok(End::Failed(error)) | Err(error) => crate::fail(error),
    })
}

fn captured(
    program: &Program,
    configuration: Configuration,
    root: Option<&Path>,
) -> Result<Ended, String> {
    let (stdout, stderr) = (SharedBuffer::new(), SharedBuffer::new());
    let wasi = wasi(program, configuration, root)?
        .stdin(program.expected.stdin.as_str())
        .stdout(stdout.clone())
        .stderr(stderr.clone());
    let end = run_guest(&program.wasm, configuration.engine, wasi)?;
    Ok(Ended {
        end,
        stdout: stdout.take(),
        stderr: stderr.take(),
    })
}

/// Runs the program in a child process, this binary, whose streams it inherits.
fn inherited(
    program: &Program,
    configuration: Configuration,
    root: Option<&Path>,
) -> Result<Ended, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(this)
        .args([CHILD, &configuration.to_string()])
        .arg(&program.wasm)
        .args(root)
        .stdin(Streams::piped())
        .stdout(Streams::piped())
        .stderr(Streams::piped())
        .spawn()
        .map_err(|error| format!("cannot run a process: {error}"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    // Fails if the program has ended without reading; its exit code is checked.
    let _ = stdin.write_all(program.expected.stdin.as_bytes());
    drop(stdin);
    let output = wait(child)?;
    let end = match output.status.code().map(u32::try_from) {
        Some(Ok(code)) => End::Exit(code),
        _ => End::Failed(format!("its process ended with {}", output.status)),
    };
    Ok(Ended {
        end,
        stdout: output.stdout,
        stderr: output.stderr,
    })
}

/// Waits for a process, and kills it at the deadline.
fn wait(mut child: Child) -> Result<Output, String> {
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut stderr = child.stderr.take().expect("it is piped");
    thread::scope(|scope| {
        let read = |stream: &mut dyn Read| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).map(|_| bytes)
        };
        let stdout = scope.spawn(move || read(&mut stdout));
        let stderr = scope.spawn(move || read(&mut stderr));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                break status;
            }
            if start.elapsed() > DEADLINE {
                let _ = child.kill();
                let _ = child.wait();
                return Err(overdue());
            }
            thread::sleep(Duration::from_millis(5));
        };
        let bytes = |joined: thread::Result<std::io::Result<Vec<u8>>>| {
            (joined.expect("reading does not panic")).map_err(|error| error.to_string())
        };
        Ok(Output {
            status,
            stdout: bytes(stdout.join())?,
            stderr: bytes(stderr.join())?,
        })
    })
}

fn overdue() -> String {
    format!("it ran for more than {} s", DEADLINE.as_secs())
}

/// A copy of the program's root directory.
pub(crate) fn fresh_root(program: &Program) -> Result<Option<tempfile::TempDir>, String> {
    let Some(root) = program.root() else {
        return Ok(None);
    };
    let copied = tempfile::tempdir().and_then(|copy| {
        tree::copy(&root, copy.path())?;
        Ok(copy)
    });
    let explain = |error| format!("cannot copy `{}`: {error}", root.display());
    copied.map(Some).map_err(explain)
}

fn wasi(
    program: &Program,
    configuration: Configuration,
    root: Option<&Path>,
) -> Result<WasiBuilder, String> {
    let name = program.wasm.file_name().unwrap_or_default();
    let wasi = Wasi::builder()
        .arg(name.as_encoded_bytes())
        .args(&program.expected.args)
        .envs(program.expected.env.iter().map(|(key, value)| (key, value)))
        .clock(SystemClock::new())
        .random(SystemRandom::new())
        .rights(configuration.rights.mode());
    match root {
        // The times of the files are of the same clock as on the host.
        Some(root) => with_root(wasi, configuration.files, root, SystemClock::new()),
        None => Ok(wasi),
    }
}

/// Gives a program its root directory, or a copy of it in memory, of which `clock` dates the
/// changes.
pub(crate) fn with_root(
    wasi: WasiBuilder,
    files: Files,
    root: &Path,
    clock: impl Clock + 'static,
) -> Result<WasiBuilder, String> {
    let explain = |error| format!("cannot open `{}`: {error}", root.display());
    Ok(match files {
        Files::Host => {
            let dir = HostDir::open(root).map_err(explain)?;
            wasi.preopen("/", dir, Access::ReadWrite)
        }
        Files::Memory => {
            let empty = MemoryFs::builder().clock(clock).build();
            let copy = tree::in_memory(root, empty).map_err(explain)?;
            wasi.preopen("/", copy, Access::ReadWrite)
        }
    })
}

fn run_guest(wasm: &Path, engine: Engine, wasi: WasiBuilder) -> Result<End, String> {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    executor.block_on(async {
        let module = module(wasm, engine).await?;
        let guest = Guest::builder(&module, &RangeWatchBus::new())
            .wasi(wasi.build().map_err(|error| error.to_string())?)
            .instantiate()
            .await
            .map_err(|error| error.to_string())?;
        match tokio::time::timeout(DEADLINE, guest.run()).await {
            Ok(Ok(exit)) => Ok(End::Exit(exit.code())),
            Ok(Err(error)) => Ok(End::Failed(describe(&error))),
            Err(_) => Err(overdue()),
        }
    })
}

fn describe(error: &CallError) -> String {
    match error {
        CallError::Trap { source, .. } => format!("{error}: {source:?}"),
        error => error.to_string(),
    }
}

/// The module of a file, compiled once for all its runs in this process.
async fn module(wasm: &Path, engine: Engine) -> Result<Module, String> {
    type Modules = HashMap<(Engine, PathBuf), Arc<tokio::sync::OnceCell<Module>>>;
    static MODULES: LazyLock<Mutex<Modules>> = LazyLock::new(Mutex::default);
    let cell = {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(modules.entry((engine, wasm.to_owned())).or_default())
    };
    let load = async || {
        let bytes = fs::read(wasm).map_err(|error| error.to_string())?;
        let module = runtime(engine).load(&bytes).await;
        module.map_err(|error| error.to_string())
    };
    cell.get_or_try_init(load).await.cloned()
}

fn runtime(engine: Engine) -> &'static dyn Runtime {
    match engine {
        #[cfg(feature = "wasmtime")]
        Engine::Wasmtime => {
            static RUNTIME: OnceLock<rangewatch::Wasmtime> = OnceLock::new();
            RUNTIME.get_or_init(rangewatch::Wasmtime::new)
        }
        #[cfg(feature = "wasmi")]
        Engine::Wasmi => {
            static RUNTIME: OnceLock<rangewatch::Wasmi> = OnceLock::new();
            RUNTIME.get_or_init(rangewatch::Wasmi::new)
        }
        #[cfg(not(all(feature = "wasmi", feature = "wasmtime")))]
        missing => unreachable!("{missing:?} is not among the engines of this build"),
    }
}

fn check(ended: &Ended, expected: &Expectations) -> Result<(), String> {
    let mut wrong = Vec::new();
    match &ended.end {
        End::Exit(code) if *code == expected.exit_code => {}
        End::Exit(code) => wrong.push(format!("exit code {code}, not {}", expected.exit_code)),
        End::Failed(error) => wrong.push(error.clone()),
    }
    let streams = [
        ("stdout", &ended.stdout, &expected.stdout),
        ("stderr", &ended.stderr, &expected.stderr),
    ];
    for (name, bytes, expected) in streams {
        let text = String::from_utf8_lossy(bytes);
        match expected {
            Some(expected) if *expected != text => {
                wrong.push(format!("{name} is {text:?}, not {expected:?}"));
            }
            None if !wrong.is_empty() => wrong.push(format!("{name}: {text}")),
            _ => {}
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}
