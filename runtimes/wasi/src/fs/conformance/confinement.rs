//! Scenarios for paths that must not leave the directory.

use std::sync::Arc;

use super::guest::{CREAT, DIRECTORY, FOLLOW, Guest, KEEP, ROOT};
use crate::Errno;
use crate::fs::Dir;

/// G34: no path leaves the directory through `..`, in any function.
pub fn g34_no_path_leads_out(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("a").expect("a new directory");
    guest.put_file("file", b"hello");
    let out = [
        "..",
        "../",
        "../x",
        "./..",
        "a/../..",
        "a/../../x",
        ".././../etc/passwd",
        "a/./../a/../../a",
        "/",
        "//",
        "/etc/passwd",
        "/file",
    ];
    for path in out {
        for flags in [KEEP, FOLLOW] {
            assert_eq!(guest.stat_at(ROOT, flags, path), Err(Errno::Perm), "{path}");
            let set = guest.set_times(flags, path, 1, 1, 5);
            assert_eq!(set, Err(Errno::Perm), "{path}");
            for oflags in [0, CREAT, DIRECTORY] {
                let opened = guest.open_at(ROOT, flags, path, oflags, 0, 0);
                assert_eq!(opened, Err(Errno::Perm), "{path}");
            }
        }
        assert_eq!(guest.create_dir(path), Err(Errno::Perm), "{path}");
        assert_eq!(guest.remove_dir(path), Err(Errno::Perm), "{path}");
        assert_eq!(guest.unlink(path), Err(Errno::Perm), "{path}");
        assert_eq!(guest.read_link(path, 9), Err(Errno::Perm), "{path}");
        assert_eq!(guest.symlink("x", path), Err(Errno::Perm), "{path}");
        assert_eq!(guest.rename(path, "x"), Err(Errno::Perm), "{path}");
        assert_eq!(guest.rename("file", path), Err(Errno::Perm), "{path}");
        assert_eq!(guest.link(path, "x"), Err(Errno::Perm), "{path}");
        assert_eq!(guest.link("file", path), Err(Errno::Perm), "{path}");
    }
    assert_eq!(guest.names("."), ["a", "file"]);
}

/// Empty paths and paths with NUL fail; any other name works.
pub fn invalid_paths_are_refused(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for (path, errno) in [
        ("", Errno::Noent),
        ("a\0b", Errno::Ilseq),
        ("\0", Errno::Ilseq),
    ] {
        assert_eq!(guest.stat(path), Err(errno), "{path:?}");
        assert_eq!(guest.open(path, CREAT), Err(errno), "{path:?}");
        assert_eq!(guest.create_dir(path), Err(errno), "{path:?}");
        assert_eq!(guest.unlink(path), Err(errno), "{path:?}");
        assert_eq!(guest.rename(path, "x"), Err(errno), "{path:?}");
        assert_eq!(guest.symlink("x", path), Err(errno), "{path:?}");
    }
    for name in ["...", "..a", ".a", " ", "a b", "ä", "\u{1f980}", "-", "~"] {
        guest.put_file(name, name.as_bytes());
        assert_eq!(guest.get_file(name).expect("a file"), name.as_bytes());
    }
    assert_eq!(guest.names(".").len(), 9);
}

/// Names and paths have the maximum lengths of Linux.
pub fn names_and_paths_have_a_length(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let longest = "n".repeat(255);
    guest.put_file(&longest, b"hello");
    assert_eq!(guest.get_file(&longest).expect("a file"), b"hello");
    assert_eq!(guest.names("."), [longest.as_str()]);
    let too_long = "n".repeat(256);
    assert_eq!(guest.open(&too_long, CREAT), Err(Errno::Nametoolong));
    assert_eq!(guest.stat(&too_long), Err(Errno::Nametoolong));
    assert_eq!(guest.create_dir(&too_long), Err(Errno::Nametoolong));
    assert_eq!(guest.rename(&longest, &too_long), Err(Errno::Nametoolong));
    let longest_path = format!("{}{longest}", "./".repeat((4096 - 255) / 2));
    assert_eq!(guest.get_file(&longest_path).expect("a file"), b"hello");
    let too_long = format!("{}{longest}", "./".repeat((4097 - 255) / 2));
    assert_eq!(guest.stat(&too_long), Err(Errno::Nametoolong));
}
