//! The filesystems of this crate pass the conformance suite.

#[cfg(target_os = "linux")]
mod seccomp;

use std::cell::RefCell;
use std::sync::Arc;

use rangewatch_wasi::Errno;
use rangewatch_wasi::fs::{
    BytesFile, Devices, Dir, DirEntry, FileType, HostDir, IntoDir, MemoryFs, Metadata, Mounts,
    Node, Overlay, Quota, ReadDir, ReadOnly,
};
use tempfile::TempDir;

thread_local! {
    /// Removed when the thread of the test ends.
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

/// A filesystem in which every name that the suite uses exists, as a file or as a directory with
/// contents.
fn busy_memory() -> MemoryFs {
    let files = MemoryFs::new();
    for dir in [
        "a", "b", "c", "dir", "empty", "full", "link", "moved", "new", "sub", "x",
    ] {
        files.write(format!("{dir}/file"), "below").expect("room");
        files
            .write(format!("{dir}/b/c/file"), "far below")
            .expect("room");
    }
    for file in [
        "file", "one", "two", "other", "to-file", "to-dir", "chain", "self",
    ] {
        files.write(file, "below").expect("room");
    }
    files
}

fn remove_all(dir: &dyn Dir) {
    let names: Vec<DirEntry> = dir
        .read_dir()
        .expect("a listing")
        .map(|entry| entry.expect("an entry"))
        .collect();
    for entry in names {
        if entry.file_type == FileType::Directory {
            let Ok(Node::Dir(below)) = dir.lookup(&entry.name) else {
                panic!("{} is no directory", entry.name);
            };
            remove_all(&*below);
            dir.remove_dir(&entry.name).expect("it is empty");
        } else {
            dir.remove_file(&entry.name).expect("it is there");
        }
    }
}

mod overlay {
    use super::{MemoryFs, Overlay};
    rangewatch_wasi::filesystem_tests!(Overlay::new(MemoryFs::new(), MemoryFs::new()));
    rangewatch_wasi::hard_link_tests!(Overlay::new(MemoryFs::new(), MemoryFs::new()));
    rangewatch_wasi::symlink_tests!(Overlay::new(MemoryFs::new(), MemoryFs::new()));
}

mod overlay_of_hosts {
    use super::{Overlay, host_dir};
    rangewatch_wasi::filesystem_tests!(Overlay::new(host_dir(), host_dir()));
    rangewatch_wasi::hard_link_tests!(Overlay::new(host_dir(), host_dir()));
    rangewatch_wasi::symlink_tests!(Overlay::new(host_dir(), host_dir()));
}

/// An overlay that is empty because everything in its lower layer has been removed.
mod emptied_overlay {
    use super::{Arc, Dir, IntoDir, MemoryFs, Overlay, busy_memory, remove_all};

    fn emptied() -> Arc<dyn Dir> {
        let dir = Overlay::new(busy_memory(), MemoryFs::new()).into_dir();
        remove_all(&*dir);
        dir
    }

    rangewatch_wasi::filesystem_tests!(emptied());
    rangewatch_wasi::hard_link_tests!(emptied());
    rangewatch_wasi::symlink_tests!(emptied());
}

mod read_only_overlay {
    use super::{MemoryFs, Overlay, ReadOnly, busy_memory};

    fn some_files() -> ReadOnly {
        let upper = MemoryFs::with_files([
            ("a", "instead of a directory"),
            ("b/file", "instead"),
            ("d/e", ""),
        ])
        .unwrap();
        upper.symlink("b/file", "file").expect("a new link");
        ReadOnly::new(Overlay::new(busy_memory(), upper))
    }

    rangewatch_wasi::read_only_filesystem_tests!(some_files());
}

mod quota {
    use super::{MemoryFs, Quota};
    rangewatch_wasi::filesystem_tests!(Quota::new(MemoryFs::new(), 1 << 30, 1 << 20));
    rangewatch_wasi::hard_link_tests!(Quota::new(MemoryFs::new(), 1 << 30, 1 << 20));
    rangewatch_wasi::symlink_tests!(Quota::new(MemoryFs::new(), 1 << 30, 1 << 20));
}

mod quota_of_a_host {
    use super::{Quota, host_dir};
    rangewatch_wasi::filesystem_tests!(Quota::new(host_dir(), 1 << 30, 1 << 20));
    rangewatch_wasi::hard_link_tests!(Quota::new(host_dir(), 1 << 30, 1 << 20));
    rangewatch_wasi::symlink_tests!(Quota::new(host_dir(), 1 << 30, 1 << 20));
}

mod mounts {
    use super::{Devices, Mounts, ReadOnly, busy_memory};
    use rangewatch_wasi::SeededRandom;

    fn some_directories() -> Mounts {
        let files = || ReadOnly::new(busy_memory());
        let inner = Mounts::new().mount("nested", files()).expect("a free name");
        let mounts = Mounts::new().mount("files", files()).expect("a free name");
        let mounts = mounts.mount("inner", inner).expect("a free name");
        mounts
            .mount("dev", Devices::new(SeededRandom::new(1)))
            .expect("a free name")
    }

    rangewatch_wasi::read_only_filesystem_tests!(some_directories());
}

/// The tests of the module `host`, without `openat2`.
#[test]
#[cfg(target_os = "linux")]
fn a_directory_of_the_host_passes_without_openat2() {
    seccomp::test_without_openat2(&["host::"], "host::g34_no_path_leads_out", &[]);
}

mod read_only_memory {
    use super::{MemoryFs, ReadOnly};

    fn some_files() -> ReadOnly {
        let files = MemoryFs::with_files([("a", "hello"), ("b/c/d", ""), ("b/e", "x")]).unwrap();
        files.write("large", vec![7; 100_000]).expect("room");
        files.symlink("b/e", "link").expect("a new link");
        ReadOnly::new(files)
    }

    rangewatch_wasi::read_only_filesystem_tests!(some_files());
}

mod three_methods {
    use super::{Arc, BytesFile, Dir, DirEntry, Errno, FileType, Metadata, Node, ReadDir};

    /// A filesystem with only the required methods.
    struct Minimal(&'static [&'static str]);

    impl Dir for Minimal {
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

    rangewatch_wasi::read_only_filesystem_tests!(Minimal(&["emit", "watch", "range"]));
}
