//! What a node has printed, in a file: where its subscribers continue when it is started again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::output::{By, Line};

/// The lines that a node has printed. A line that is complete in the file was printed; the output
/// is the checkpoint, so that the two cannot disagree.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

/// The last revision that each subscriber has printed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Printed([u64; By::ALL.len()]);

impl Printed {
    pub(crate) const fn by(&self, by: By) -> u64 {
        self.0[by as usize]
    }

    pub(crate) fn last(&self) -> u64 {
        self.0.into_iter().max().unwrap_or(0)
    }

    fn add(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let revision = words.next().and_then(|word| word.parse().ok());
        let by = words.next();
        let by = By::ALL.into_iter().find(|known| by == Some(known.name()));
        if let (Some(revision), Some(by)) = (revision, by) {
            self.0[by as usize] = revision;
        }
    }
}

impl Journal {
    /// Opens the journal of a node, and reads how far it was. A line that is not complete, because
    /// the node was killed, is cut off.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Printed)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        file.set_len(text.len() as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut printed = Printed::default();
        text.lines().for_each(|line| printed.add(line));
        Ok((Self { file }, printed))
    }

    /// Adds a line, in one write.
    pub(crate) fn note(&mut self, line: &Line) -> io::Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}
