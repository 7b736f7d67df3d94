//! Scenarios for renaming.

use std::sync::Arc;

use super::guest::{CREAT, DIRECTORY, Guest, KEEP};
use crate::Errno;
use crate::fs::Dir;

/// Renaming replaces a file atomically; descriptors of the replaced file stay usable.
pub fn a_file_replaces_a_file(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("new", b"new");
    guest.put_file("dir/old", b"old");
    let old = guest.open("dir/old", 0).expect("a file");
    guest.rename("new", "dir/old").expect("a file over a file");
    assert_eq!(guest.stat("new"), Err(Errno::Noent));
    assert_eq!(guest.get_file("dir/old").expect("a file"), b"new");
    assert_eq!(guest.pread(old, 9, 0).expect("text"), b"old");
    assert_eq!(guest.fstat(old).expect("open").n_links, 0);
    assert_eq!(guest.rename("no", "dir/old"), Err(Errno::Noent));
    assert_eq!(guest.rename("dir/old", "no/old"), Err(Errno::Noent));
    assert_eq!(guest.get_file("dir/old").expect("a file"), b"new");
    guest.rename("dir/old", "dir/old").expect("nothing to do");
    assert_eq!(guest.get_file("dir/old").expect("a file"), b"new");
}

/// Renaming moves a directory with its contents, and replaces only an empty directory.
pub fn a_directory_replaces_only_an_empty_directory(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for path in ["a", "a/sub", "empty", "full"] {
        guest.create_dir(path).expect("a new directory");
    }
    guest.put_file("a/sub/file", b"hello");
    guest.put_file("full/file", b"full");
    assert_eq!(guest.rename("a", "full"), Err(Errno::Notempty));
    assert_eq!(guest.get_file("full/file").expect("a file"), b"full");
    guest.rename("a", "empty").expect("over an empty one");
    assert_eq!(guest.stat("a"), Err(Errno::Noent));
    assert_eq!(guest.get_file("empty/sub/file").expect("a file"), b"hello");
    assert_eq!(guest.rename("empty/sub", "empty"), Err(Errno::Notempty));
    guest.rename("empty/sub", "sub").expect("a new name");
    assert_eq!(guest.get_file("sub/file").expect("a file"), b"hello");
}

/// A file does not replace a directory, nor a directory a file.
pub fn files_and_directories_do_not_replace_each_other(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("file", b"hello");
    assert_eq!(guest.rename("file", "dir"), Err(Errno::Isdir));
    assert_eq!(guest.rename("dir", "file"), Err(Errno::Notdir));
    assert_eq!(guest.rename("dir", "file/x"), Err(Errno::Notdir));
    for dots in [".", "dir/.", "dir/.."] {
        assert_eq!(guest.rename(dots, "new"), Err(Errno::Busy), "{dots}");
        assert_eq!(guest.rename("file", dots), Err(Errno::Busy), "{dots}");
    }
    assert_eq!(guest.names("."), ["dir", "file"]);
}

/// Moving a directory into itself fails.
pub fn a_directory_does_not_move_into_itself(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for path in ["a", "a/b", "a/b/c"] {
        guest.create_dir(path).expect("a new directory");
    }
    for below in ["a/x", "a/b/x", "a/b/c/x", "a/b/c"] {
        assert_eq!(guest.rename("a", below), Err(Errno::Inval), "{below}");
    }
    guest.rename("a/b", "b").expect("out of its parent");
    guest
        .rename("a", "b/c/a")
        .expect("into its former subdirectory");
    assert_eq!(guest.rename("b", "b/c/a/b"), Err(Errno::Inval));
    assert_eq!(guest.names("b/c"), ["a"]);
}

/// A descriptor refers to a directory and not to its path.
pub fn an_open_directory_stays_usable_after_a_rename(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("a").expect("a new directory");
    guest.create_dir("b").expect("a new directory");
    guest.put_file("a/file", b"hello");
    let fd = guest.open("a", DIRECTORY).expect("a directory");
    guest.rename("a", "b/a").expect("a new place");
    guest
        .stat_at(fd, KEEP, "file")
        .expect("it is still reachable");
    let new = guest
        .open_at(fd, KEEP, "new", CREAT, 0, 0)
        .expect("a new file");
    guest.close(new).expect("it is open");
    assert_eq!(guest.names("b/a"), ["file", "new"]);
    // The parent has changed, and is still outside of the descriptor's directory.
    assert_eq!(guest.stat_at(fd, KEEP, "../a"), Err(Errno::Perm));
}

/// Renaming keeps the inode number, the contents and the times.
pub fn a_renamed_file_stays_the_same_file(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("file", b"hello");
    let before = guest.stat("file").expect("it is there");
    guest.rename("file", "dir/moved").expect("a new name");
    assert_eq!(guest.stat("dir/moved").expect("it is there"), before);
}
