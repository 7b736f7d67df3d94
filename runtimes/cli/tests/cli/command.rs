//! How the tests run the binary.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// What a run left behind.
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

/// The binary with its streams captured.
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
    // A program that does not read its input may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    wait(child)
}

fn wait(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The end to write to of a pipe that nobody reads any more: the input of a process that has ended.
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
    // Tests of one name run at the same time on every runtime; each sees a whole file.
    let unfinished = temporary(&format!("{name}.{:?}", std::thread::current().id()));
    std::fs::write(&unfinished, wat::parse_str(text).unwrap()).unwrap();
    std::fs::rename(&unfinished, &path).unwrap();
    path.into_os_string().into_string().unwrap()
}
