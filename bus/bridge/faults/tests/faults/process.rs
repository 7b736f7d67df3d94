//! A writer or a reader as a process.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long a test waits for what happens soon.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Waits a little before a condition is checked again.
pub(crate) fn poll() {
    std::thread::sleep(Duration::from_millis(5));
}

pub(crate) fn signal(process: u32, signal: &str) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{signal}")).arg(process.to_string());
    assert!(
        kill.status().expect("kill runs").success(),
        "kill -{signal}"
    );
}

/// A process, which is killed when this is dropped.
pub(crate) struct Process {
    name: String,
    arguments: Vec<String>,
    process: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    /// The last command.
    to: Option<u64>,
}

impl Process {
    pub(crate) fn start(name: String, arguments: Vec<String>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bridge-process"))
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let input = process.stdin.take().expect("an input");
        let output = BufReader::new(process.stdout.take().expect("an output"));
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            name,
            arguments,
            process,
            input,
            answers,
            to: None,
        }
    }

    /// Commands it to reach a value.
    pub(crate) fn go(&mut self, to: u64) {
        self.to = Some(to);
        writeln!(self.input, "to {to}").expect("it reads commands");
    }

    /// Waits until it has reached the value of the last command. Returns the rest of its answer.
    pub(crate) fn reached(&self) -> String {
        let to = self.to.expect("a command");
        loop {
            let line = self.answers.recv_timeout(DEADLINE);
            let line =
                line.unwrap_or_else(|error| panic!("{} has not reached {to}: {error}", self.name));
            match line.strip_prefix(&format!("reached {to} ")) {
                Some(rest) => return rest.to_owned(),
                None if line.starts_with("failed") => panic!("{}: {line}", self.name),
                None => {}
            }
        }
    }

    /// The value of the last command.
    pub(crate) fn to(&self) -> u64 {
        self.to.expect("a command")
    }

    /// Kills it with -9, starts it again, and repeats the last command.
    pub(crate) fn restart(&mut self) {
        let to = self.to;
        *self = Self::start(self.name.clone(), self.arguments.clone());
        if let Some(to) = to {
            self.go(to);
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
