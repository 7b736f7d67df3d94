//! How the tests run the binary.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time that one run may take: far more than any needs on a slow machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// Runs `rangewatch run --runtime RUNTIME ARGS` without input.
pub(crate) fn run<A: AsRef<OsStr>>(runtime: &str, args: impl IntoIterator<Item = A>) -> Ended {
    run_with_input(runtime, args, "")
}

/// Runs `rangewatch run --runtime RUNTIME ARGS` with `input` as standard input.
pub(crate) fn run_with_input<A: AsRef<OsStr>>(
    runtime: &str,
    args: impl IntoIterator<Item = A>,
    input: &str,
) -> Ended {
    let mut command = rangewatch();
    command.args(["run", "--runtime", runtime]).args(args);
    end(command, input)
}

/// A command for the binary, with its streams piped.
pub(crate) fn rangewatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rangewatch"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn end(mut command: Command, input: &str) -> Ended {
    let mut child = command.spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        // Fails if the program has ended without reading its input.
        let _ = stdin.write_all(input.as_bytes());
    }
    wait(child)
}

/// Waits for the end of a run, and kills it at the deadline.
pub(crate) fn wait(mut child: Child) -> Ended {
    let stdout = child.stdout.take().map(read_to_end);
    let stderr = child.stderr.take().map(read_to_end);
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the run did not end within {} s", DEADLINE.as_secs());
        }
        thread::sleep(Duration::from_millis(2));
    };
    let text = |stream: Option<JoinHandle<Vec<u8>>>| {
        let bytes = stream.map_or_else(Vec::new, |reading| reading.join().unwrap());
        String::from_utf8(bytes).unwrap()
    };
    Ended {
        code: status.code(),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

fn read_to_end(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// The write end of a pipe whose read end is closed: the input of a process that has ended.
pub(crate) fn closed_pipe() -> Stdio {
    let mut child = rangewatch().arg("--version").spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    wait(child);
    stdin.into()
}

/// The path of a prebuilt guest.
pub(crate) fn guest(name: &str) -> String {
    let guests = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../integration-tests/guests/prebuilt"
    );
    format!("{guests}/{name}.wasm")
}

/// A file of this name for one test.
pub(crate) fn temporary(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The path of a module assembled from text.
pub(crate) fn assembled(name: &str, text: &str) -> String {
    let path = temporary(&format!("{name}.wasm"));
    // The same test runs at the same time on each runtime: a rename never shows a partial file.
    let unfinished = temporary(&format!("{name}.{:?}", thread::current().id()));
    std::fs::write(&unfinished, wat::parse_str(text).unwrap()).unwrap();
    std::fs::rename(&unfinished, &path).unwrap();
    path.into_os_string().into_string().unwrap()
}
