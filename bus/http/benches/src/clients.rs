//! The process of the clients, as the server sees it.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Result;

/// The process of the clients. Ends with its drop.
pub(crate) struct Clients {
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Clients {
    pub(crate) fn start(server: SocketAddr) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["readers", &server.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child
            .stdin
            .take()
            .ok_or("the input of the clients is a pipe")?;
        let output = child
            .stdout
            .take()
            .ok_or("the output of the clients is a pipe")?;
        Ok(Self {
            commands,
            lines: BufReader::new(output).lines(),
            child,
        })
    }

    pub(crate) fn command(&mut self, command: &str) -> Result<()> {
        writeln!(self.commands, "{command}")?;
        Ok(self.commands.flush()?)
    }

    /// The numbers of the next line, which begins with `name`.
    pub(crate) fn report(&mut self, name: &str) -> Result<Vec<u64>> {
        let line = self.lines.next().ok_or("the clients have ended")??;
        let numbers = line
            .strip_prefix(name)
            .ok_or_else(|| format!("the clients report {line:?}, and not {name}"))?;
        let numbers = numbers.split_whitespace().map(str::parse);
        Ok(numbers.collect::<std::result::Result<_, _>>()?)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
