//! Simulates a kernel without `openat2`: Linux before 5.6, or a seccomp filter that does not know
//! it.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The number of the system call, the same on all architectures.
const OPENAT2: i64 = 437;

/// Set in processes without `openat2`.
const WITHOUT_OPENAT2: &str = "RANGEWATCH_WITHOUT_OPENAT2";

/// How long the tests of a process without `openat2` may take.
const DEADLINE: Duration = Duration::from_secs(900);

/// Whether this process runs without `openat2`. A test that can run in both asserts that the fast
/// path was taken if and only if this is false.
#[allow(
    dead_code,
    reason = "not every test binary has a test that runs in both"
)]
pub(crate) fn is_without_openat2() -> bool {
    std::env::var_os(WITHOUT_OPENAT2).is_some()
}

/// Runs the tests of this binary that `args` select, as `cargo test -- ARGS` does, in a process
/// without `openat2` and with the variables `env`. Fails unless the test `expected` is one of them
/// and all pass.
pub(crate) fn test_without_openat2(args: &[&str], expected: &str, env: &[(&str, &str)]) {
    let tests = std::env::current_exe().expect("the path of this binary");
    let mut command = Command::new(tests);
    command.args(args).env(WITHOUT_OPENAT2, "1");
    command.envs(env.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    // A process inherits the filters of the thread that starts it. That thread ends here, so that
    // no other test runs on it.
    let child = thread::spawn(move || {
        forbid_openat2();
        command.spawn().expect("the tests can be run")
    });
    let mut child = child.join().expect("the process was started");
    let mut stdout = child.stdout.take().expect("it is piped");
    let (sender, output) = mpsc::channel();
    thread::spawn(move || {
        let text = std::io::read_to_string(&mut stdout).expect("the output is text");
        // Fails only after the deadline.
        let _ = sender.send(text);
    });
    let text = output.recv_timeout(DEADLINE).unwrap_or_else(|error| {
        child.kill().expect("it can be killed");
        panic!("the tests have no end: {error}")
    });
    let status = child.wait().expect("an exit code");
    assert!(status.success(), "{text}");
    let passed = format!("test {expected} ... ok");
    assert!(text.contains(&passed), "`{passed}` is missing: {text}");
}

/// Makes `openat2` fail with ENOSYS on this thread and in the processes that it starts.
pub(crate) fn forbid_openat2() {
    let arch = std::env::consts::ARCH
        .try_into()
        .expect("an architecture that filters know");
    let refuse = SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs());
    let rules = BTreeMap::from([(OPENAT2, Vec::new())]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a short filter");
    seccompiler::apply_filter(&program).expect("filters can be applied");
    let opened = rustix::fs::openat2(
        CWD,
        ".",
        OFlags::RDONLY,
        Mode::empty(),
        ResolveFlags::BENEATH,
    );
    assert_eq!(opened.err(), Some(Errno::NOSYS));
}
