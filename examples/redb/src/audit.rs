//! A consumer that must see each change once.

use std::fs::File;
use std::future::ready;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::Path;

use futures::StreamExt as _;
use rangewatch_bus::{Event, Follow, RangeWatchBus, Selector};

use crate::{Error, Store, Value};

/// A file with a line for each transaction: its revision, and its changes.
///
/// The last line is also the checkpoint, so what was applied and how far that is change at once.
/// If they were in two places, a crash in between would lose a change or repeat one.
#[derive(Debug)]
pub struct Audit {
    file: File,
    checkpoint: u64,
}

impl Audit {
    /// Opens the file, and removes a last line that a crash has cut off.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let end = text.iter().rposition(|&byte| byte == b'\n');
        text.truncate(end.map_or(0, |end| end + 1));
        file.set_len(text.len() as u64)?;
        let checkpoint = match text.lines().last().transpose()? {
            Some(line) => revision_of(&line).ok_or_else(|| io::Error::other("no revision"))?,
            None => 0,
        };
        Ok(Self { file, checkpoint })
    }

    /// The revision up to which the file has everything. 0 if it is empty.
    #[must_use]
    pub const fn checkpoint(&self) -> u64 {
        self.checkpoint
    }

    /// Appends every change after the checkpoint, those of the past first, until the bus is closed.
    /// Where the log of the store does not reach back to the checkpoint, a line says so.
    ///
    /// # Errors
    ///
    /// [`Error::Subscribe`], [`Error::Follow`], [`Error::Io`].
    pub async fn run(&mut self, bus: &RangeWatchBus<Value>, store: &Store) -> Result<(), Error> {
        let resumed = bus.subscribe(Selector::all()).since_after(self.checkpoint);
        let mut changes = resumed.follow(256, |selectors| ready(store.scan(&selectors)))?;
        let mut n_entries = 0;
        while let Some(item) = changes.next().await {
            match item? {
                Follow::SnapshotBegin { .. } => n_entries = 0,
                Follow::Snapshot(_) => n_entries += 1,
                Follow::SnapshotEnd { value } => {
                    self.append(value, &format!("snapshot of {n_entries} keys"))?;
                }
                Follow::Event(event) => self.append(event.value(), &describe(&event))?,
                Follow::Progress(_) => {}
            }
        }
        Ok(())
    }

    fn append(&mut self, revision: u64, what: &str) -> io::Result<()> {
        self.file
            .write_all(format!("{revision} {what}\n").as_bytes())?;
        self.checkpoint = revision;
        Ok(())
    }
}

fn revision_of(line: &str) -> Option<u64> {
    line.split(' ').next()?.parse().ok()
}

fn describe(event: &Event<Value>) -> String {
    let changes = event.entries().map(|(key, value)| match value {
        Some(value) => format!("put {} {value:?}", key.escape_ascii()),
        None => format!("delete {}", key.escape_ascii()),
    });
    changes.collect::<Vec<_>>().join(", ")
}
