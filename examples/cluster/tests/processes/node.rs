//! A process of the example.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a test waits for what happens soon.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Waits a little before a condition is checked again.
pub(crate) fn poll() {
    std::thread::sleep(Duration::from_millis(5));
}

/// A process in a group of its own, whose lines are collected. It is killed when this is dropped.
pub(crate) struct Node {
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
    collecting: Option<JoinHandle<()>>,
}

impl Node {
    pub(crate) fn start(args: &[String]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .args(args)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&lines);
        let collecting = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                collected.lock().unwrap().push(line);
            }
        });
        Self {
            process,
            lines,
            collecting: Some(collecting),
        }
    }

    /// Waits for something in the lines.
    pub(crate) fn wait_for<R>(
        &self,
        what: &str,
        mut find: impl FnMut(&[String]) -> Option<R>,
    ) -> R {
        let begun = Instant::now();
        loop {
            let lines = self.lines.lock().unwrap();
            if let Some(found) = find(&lines) {
                return found;
            }
            assert!(begun.elapsed() < DEADLINE, "no {what} in {lines:#?}");
            drop(lines);
            poll();
        }
    }

    /// Waits for a line with all of these words.
    pub(crate) fn wait_for_line(&self, words: &[&str]) -> String {
        self.wait_for(&words.join(" .. "), |lines| {
            let mut lines = lines.iter();
            let line = lines.find(|line| words.iter().all(|word| line.contains(word)));
            line.cloned()
        })
    }

    /// Waits until a subscriber has printed this revision or a later one.
    pub(crate) fn wait_for_revision(&self, revision: u64) {
        self.wait_for(&format!("revision {revision}"), |lines| {
            let mut revisions = lines.iter().filter_map(|line| revision_of(line));
            revisions.find(|printed| *printed >= revision)
        });
    }

    /// The last revision that was printed.
    pub(crate) fn last_revision(&self) -> u64 {
        let lines = self.lines.lock().unwrap();
        let revisions = lines.iter().filter_map(|line| revision_of(line));
        revisions.max().unwrap_or(0)
    }

    /// Kills it with -9. Returns the lines of its subscribers.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.changes()
    }

    /// Waits until it ends by itself, without an error. Returns the lines of its subscribers.
    pub(crate) fn end(mut self) -> Vec<String> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                let lines = self.changes();
                assert!(status.success(), "{status} after {lines:#?}");
                return lines;
            }
            let lines = self.lines.lock().unwrap();
            assert!(begun.elapsed() < DEADLINE, "no end after {lines:#?}");
            drop(lines);
            poll();
        }
    }

    /// Sends a signal to it and the processes that it has started, as Ctrl-C does.
    pub(crate) fn interrupt(mut self) -> ExitStatus {
        signal("INT", &format!("-{}", self.process.id()));
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "it ignores SIGINT, as all programs do that a script starts in the background"
            );
            poll();
        }
    }

    fn changes(&mut self) -> Vec<String> {
        self.collecting.take().unwrap().join().unwrap();
        let mut lines = self.lines.lock().unwrap().clone();
        lines.retain(|line| revision_of(line).is_some());
        lines
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The revision that a line begins with, if it is one of a subscriber.
pub(crate) fn revision_of(line: &str) -> Option<u64> {
    line.split_whitespace().next()?.parse().ok()
}

pub(crate) fn signal(name: &str, process: &str) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(["--", process]);
    assert!(kill.status().unwrap().success(), "kill -{name} {process}");
}
