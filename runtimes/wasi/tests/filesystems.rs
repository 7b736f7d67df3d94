//! The filesystems of the crate pass the suite that those of its users do.

use std::cell::RefCell;
use std::sync::Arc;

use rangewatch_wasi::Errno;
use rangewatch_wasi::fs::{
    BytesFile, Dir, DirEntry, FileType, HostDir, MemoryFs, Metadata, Node, ReadDir, ReadOnly,
};
use tempfile::TempDir;

thread_local! {
    /// Removed when the test ends, which has a thread of its own.
    static TEMPORARY: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

/// An empty directory of the host.
fn host_dir() -> HostDir {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = HostDir::open(temporary.path()).expect("it can be opened");
    TEMPORARY.with_borrow_mut(|all| all.push(temporary));
    dir
}

mod memory {
    use super::MemoryFs;
    rangewatch_wasi::filesystem_tests!(MemoryFs::new());
    rangewatch_wasi::hard_link_tests!(MemoryFs::new());
    rangewatch_wasi::symlink_tests!(MemoryFs::new());
}

mod host {
    use super::host_dir;
    rangewatch_wasi::filesystem_tests!(host_dir());
    rangewatch_wasi::hard_link_tests!(host_dir());
    rangewatch_wasi::symlink_tests!(host_dir());
}

mod read_only_memory {
    use super::{MemoryFs, ReadOnly};

    fn some_files() -> ReadOnly {
        let files = MemoryFs::from([("a", "hello"), ("b/c/d", ""), ("b/e", "x")]);
        files.write("large", vec![7; 100_000]).expect("room");
        files.symlink("b/e", "link").expect("a new link");
        ReadOnly::new(files)
    }

    rangewatch_wasi::read_only_filesystem_tests!(some_files());
}

mod three_methods {
    use super::{Arc, BytesFile, Dir, DirEntry, Errno, FileType, Metadata, Node, ReadDir};

    /// A filesystem of a user's own, with what it must have and nothing more.
    struct Words(&'static [&'static str]);

    impl Dir for Words {
        fn metadata(&self) -> Result<Metadata, Errno> {
            Ok(Metadata::new(FileType::Directory, 1))
        }

        fn lookup(&self, name: &str) -> Result<Node, Errno> {
            let at = self.0.iter().position(|word| *word == name);
            let ino = at.ok_or(Errno::Noent)? as u64 + 2;
            Ok(Node::File(Arc::new(BytesFile::new(ino, name.to_owned()))))
        }

        fn read_dir(&self) -> Result<ReadDir, Errno> {
            let entry = |(at, word): (usize, &&str)| {
                Ok(DirEntry::new(*word, FileType::RegularFile, at as u64 + 2))
            };
            Ok(Box::new(self.0.iter().enumerate().map(entry)))
        }
    }

    rangewatch_wasi::read_only_filesystem_tests!(Words(&["emit", "watch", "range"]));
}
