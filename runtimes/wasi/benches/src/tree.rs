//! The files that guests use.

use std::path::Path;

use rangewatch::wasi::fs::MemoryFs;
use tempfile::TempDir;

use crate::guests::{DEEP_FILE, FILE, LISTED};
use crate::world::{FileLocation, Stdin, World};

/// The size of the file that is read.
pub(crate) const FILE_BYTES: usize = 16 << 20;

/// A host directory with a file, the same file at a path of five components, and a directory to
/// list. Removed when dropped.
pub(crate) struct Tree {
    dir: TempDir,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let deep = dir.path().join(DEEP_FILE);
        std::fs::create_dir_all(deep.parent().unwrap()).unwrap();
        std::fs::create_dir(dir.path().join(LISTED)).unwrap();
        for path in [dir.path().join(FILE), deep] {
            std::fs::write(path, vec![b'f'; FILE_BYTES]).unwrap();
        }
        Self { dir }
    }

    /// The same with `n_entries` entries to list.
    pub(crate) fn with_entries(n_entries: usize) -> Self {
        let tree = Self::new();
        for i in 0..n_entries {
            std::fs::write(tree.path().join(LISTED).join(entry(i)), "").unwrap();
        }
        tree
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn world(&self) -> World {
        World {
            stdin: Stdin::default(),
            dir: FileLocation::Host(self.path().to_owned()),
        }
    }
}

/// The same in a memory filesystem.
pub(crate) fn in_memory(n_entries: usize) -> MemoryFs {
    let fs = MemoryFs::new();
    for path in [FILE, DEEP_FILE] {
        fs.write(path, vec![b'f'; FILE_BYTES]).unwrap();
    }
    fs.create_dir_all(LISTED).unwrap();
    for i in 0..n_entries {
        fs.write(format!("{LISTED}/{}", entry(i)), "").unwrap();
    }
    fs
}

/// Names of a realistic length.
fn entry(i: usize) -> String {
    format!("entry-{i:06}.txt")
}
