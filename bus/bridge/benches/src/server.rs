//! A server as a process: its start, its end, and what the system says of it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Result;

/// A server takes less to start.
const START: Duration = Duration::from_secs(30);

/// A server that runs, or none for an engine in the memory of each process. Its drop ends it and
/// removes its data.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    process: Option<(Child, TempDir)>,
}

impl Server {
    /// No process: this URL tells the process all.
    pub(crate) fn none(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            process: None,
        }
    }

    /// Starts the program of `command` on a free port, with a folder that is empty.
    ///
    /// # Errors
    ///
    /// It is not installed, or does not start.
    pub(crate) fn start(scheme: &str, command: impl Fn(u16, &Path) -> Command) -> Result<Self> {
        // On the disk of the program: the folder for temporary files may be in memory.
        let program = std::env::current_exe()?;
        let beside = program.parent().ok_or("the program is in a folder")?;
        let folder = tempfile::Builder::new()
            .prefix("bridge-benches-")
            .tempdir_in(beside)?;
        // Another process may take the port before the server does.
        loop {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            let mut command = command(port, folder.path());
            let mut process = command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| {
                    let program = command.get_program().display();
                    format!("{program} does not start ({error}): install it")
                })?;
            let started = Instant::now();
            let is_up = loop {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    break true;
                }
                if process.try_wait()?.is_some() {
                    break false;
                }
                if started.elapsed() > START {
                    return Err(format!("{scheme} does not serve").into());
                }
                std::thread::sleep(Duration::from_millis(20));
            };
            if is_up {
                return Ok(Self {
                    url: format!("{scheme}://127.0.0.1:{port}/"),
                    process: Some((process, folder)),
                });
            }
        }
    }

    /// Whether there is a process.
    pub(crate) const fn is_process(&self) -> bool {
        self.process.is_some()
    }

    /// The processor time that all its threads have used.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let Some((process, _)) = &self.process else {
            return Ok(Duration::ZERO);
        };
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", process.id()))? {
            // The first number is the time on a processor: in nanoseconds, where `stat` has ticks
            // of 10 ms.
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let time = text.split(' ').next().ok_or("schedstat has other fields")?;
            nanos += time.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// The bytes of its memory that are in use.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        match &self.process {
            Some((process, _)) => resident_bytes(&process.id().to_string()),
            None => Ok(0),
        }
    }
}

/// The bytes of memory that a process, or `self`, has in use.
pub(crate) fn resident_bytes(process: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages = status.split(' ').nth(1).ok_or("statm has other fields")?;
    Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((process, _)) = &mut self.process {
            // Fails only if it has ended.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
