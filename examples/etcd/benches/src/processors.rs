//! Which processors the clients and the servers have.

use std::fs;
use std::io::Error;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// Clients and servers on processors of their own, until it is dropped: a server that starts has
/// one, and the clients have the others.
#[derive(Debug)]
pub(crate) struct Apart {
    all: CpuSet,
    server: CpuSet,
    clients: CpuSet,
}

impl Apart {
    /// # Errors
    ///
    /// There is only one processor.
    pub(crate) fn begin() -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let mut numbers = (0..CpuSet::MAX_CPU).filter(|number| all.is_set(*number));
        let first = numbers.next().ok_or("there is no processor")?;
        if numbers.next().is_none() {
            return Err("a server on a processor of its own needs a second one".into());
        }
        let (mut server, mut clients) = (CpuSet::new(), all);
        server.set(first);
        clients.unset(first);
        move_threads(&clients)?;
        Ok(Self {
            all,
            server,
            clients,
        })
    }

    /// Runs what starts a server: a process has the processors of the thread that starts it.
    pub(crate) fn start<T>(&self, start: impl FnOnce() -> T) -> Result<T> {
        sched_setaffinity(None, &self.server)?;
        let started = start();
        sched_setaffinity(None, &self.clients)?;
        Ok(started)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // It was allowed before.
        let _ = move_threads(&self.all);
    }
}

/// Moves all threads of this process.
fn move_threads(processors: &CpuSet) -> Result<()> {
    for thread in fs::read_dir("/proc/self/task")? {
        let number = thread?.file_name().to_string_lossy().parse()?;
        match sched_setaffinity(Pid::from_raw(number), processors) {
            // It has ended.
            Err(rustix::io::Errno::SRCH) => {}
            moved => moved.map_err(Error::from)?,
        }
    }
    Ok(())
}
