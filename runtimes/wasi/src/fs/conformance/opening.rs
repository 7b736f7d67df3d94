//! Scenarios for opening and closing.

use std::sync::Arc;

use super::guest::{CREAT, DIRECTORY, EXCL, Guest, KEEP, READ, ROOT, TRUNC, WRITE};
use crate::fs::{Access, Dir};
use crate::{Errno, RightsMode};

/// A file is created only with `CREAT`, and with `EXCL` only if the name does not exist.
pub fn files_are_created_once(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    assert_eq!(guest.open("file", 0), Err(Errno::Noent));
    assert_eq!(guest.open("file", EXCL), Err(Errno::Noent));
    guest.open("file", CREAT | EXCL).expect("a new file");
    assert_eq!(guest.open("file", CREAT | EXCL), Err(Errno::Exist));
    guest.open("file", CREAT).expect("the same file");
    assert_eq!(guest.open("no/file", CREAT), Err(Errno::Noent));
    assert_eq!(guest.open("file/file", CREAT), Err(Errno::Notdir));
    assert_eq!(guest.open("new/", CREAT), Err(Errno::Isdir));
    assert_eq!(guest.open("file/", CREAT), Err(Errno::Notdir));
    assert_eq!(guest.open("new", CREAT | DIRECTORY), Err(Errno::Inval));
    assert_eq!(guest.names("."), ["file"]);
}

/// Truncation works without write access and does not grant it.
pub fn truncation_empties_a_file(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("file", b"hello");
    assert_eq!(guest.open("file", TRUNC | DIRECTORY), Err(Errno::Notdir));
    assert_eq!(guest.get_file("file").expect("a file"), b"hello");
    let fd = guest.open_at(ROOT, KEEP, "file", TRUNC, READ, 0);
    let fd = fd.expect("a file");
    assert_eq!(guest.fstat(fd).expect("open").size_bytes, 0);
    assert_eq!(guest.write(fd, b"x"), Err(Errno::Badf));
    assert_eq!(guest.set_size(fd, 5), Err(Errno::Badf));
    guest.create_dir("dir").expect("a new directory");
    assert_eq!(guest.open("dir", TRUNC), Err(Errno::Isdir));
}

/// Opening a directory for writing fails.
pub fn a_directory_is_not_opened_for_writing(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    for oflags in [0, DIRECTORY] {
        for path in ["dir", ".", "dir/."] {
            let opened = guest.open_at(ROOT, KEEP, path, oflags, READ | WRITE, 0);
            assert_eq!(opened, Err(Errno::Isdir), "{path}");
        }
    }
    assert_eq!(guest.open("dir", CREAT), Err(Errno::Isdir));
    assert_eq!(guest.open("dir", CREAT | EXCL), Err(Errno::Exist));
    let fd = guest.open("dir", 0).expect("a directory");
    assert_eq!(guest.read(fd, 1), Err(Errno::Isdir));
    assert_eq!(guest.write(fd, b"x"), Err(Errno::Badf));
    assert_eq!(guest.set_size(fd, 0), Err(Errno::Isdir));
}

/// A new descriptor has the lowest free number, as POSIX requires.
pub fn descriptors_have_the_lowest_free_number(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for expected in 4..8 {
        assert_eq!(guest.open("file", CREAT), Ok(expected));
    }
    guest.close(5).expect("it is open");
    guest.close(4).expect("it is open");
    assert_eq!(guest.close(4), Err(Errno::Badf));
    assert_eq!(guest.open("file", 0), Ok(4));
    assert_eq!(guest.open("file", 0), Ok(5));
    assert_eq!(guest.open("file", 0), Ok(8));
}

/// A removed file stays usable through its descriptors.
pub fn a_removed_file_is_usable_until_it_is_closed(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let fd = guest.open("file", CREAT).expect("a new file");
    guest.write(fd, b"hello").expect("room");
    guest.unlink("file").expect("it is there");
    assert_eq!(guest.unlink("file"), Err(Errno::Noent));
    assert_eq!(guest.fstat(fd).expect("open").n_links, 0);
    guest.write(fd, b" world").expect("room");
    guest.put_file("file", b"another");
    assert_eq!(guest.pread(fd, 99, 0).expect("text"), b"hello world");
    assert_eq!(guest.get_file("file").expect("a file"), b"another");
}

/// A descriptor reads and writes only as it was opened.
pub fn a_file_is_used_only_in_the_mode_it_was_opened_with(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(Arc::clone(&dir));
    guest.put_file("file", b"hello");
    let reading = guest
        .open_at(ROOT, KEEP, "file", 0, READ, 0)
        .expect("a file");
    let writing = guest
        .open_at(ROOT, KEEP, "file", 0, WRITE, 0)
        .expect("a file");
    assert_eq!(guest.read(reading, 5).expect("text"), b"hello");
    assert_eq!(guest.write(reading, b"x"), Err(Errno::Badf));
    assert_eq!(guest.set_size(reading, 0), Err(Errno::Badf));
    assert_eq!(guest.write(writing, b"J"), Ok(1));
    assert_eq!(guest.read(writing, 1), Err(Errno::Badf));

    let mut guest = Guest::with(dir, Access::ReadWrite, RightsMode::Strict);
    let reading = guest
        .open_at(ROOT, KEEP, "file", 0, READ, 0)
        .expect("a file");
    assert_eq!(guest.read(reading, 9).expect("text"), b"Jello");
    assert_eq!(guest.write(reading, b"x"), Err(Errno::Notcapable));
    assert_eq!(guest.pread(reading, 1, 0), Err(Errno::Notcapable));
    assert_eq!(guest.fstat(reading), Err(Errno::Notcapable));
}

/// A read-only directory cannot be changed through any function.
pub fn a_read_only_directory_cannot_be_changed(dir: Arc<dyn Dir>) {
    let mut owner = Guest::new(Arc::clone(&dir));
    owner.put_file("file", b"hello");
    owner.create_dir("dir").expect("a new directory");
    let mut guest = Guest::with(Arc::clone(&dir), Access::ReadOnly, RightsMode::Compat);
    for oflags in [TRUNC, CREAT | TRUNC] {
        assert_eq!(guest.open("file", oflags), Err(Errno::Rofs));
    }
    assert_eq!(guest.open("new", CREAT), Err(Errno::Rofs));
    assert_eq!(guest.open("dir/new", CREAT), Err(Errno::Rofs));
    for (oflags, rights) in [(0, WRITE), (TRUNC, READ)] {
        let opened = guest.open_at(ROOT, KEEP, "file", oflags, rights, 0);
        assert_eq!(opened, Err(Errno::Rofs));
    }
    assert_eq!(guest.open("file", CREAT | EXCL), Err(Errno::Exist));
    assert_eq!(guest.create_dir("new"), Err(Errno::Rofs));
    assert_eq!(guest.create_dir("dir"), Err(Errno::Exist));
    assert_eq!(guest.remove_dir("dir"), Err(Errno::Rofs));
    assert_eq!(guest.unlink("file"), Err(Errno::Rofs));
    assert_eq!(guest.rename("file", "dir/file"), Err(Errno::Rofs));
    assert_eq!(guest.link("file", "new"), Err(Errno::Rofs));
    assert_eq!(guest.symlink("file", "new"), Err(Errno::Rofs));
    assert_eq!(guest.set_times(0, "file", 1, 1, 5), Err(Errno::Rofs));
    let fd = guest.open("file", 0).expect("it can be read");
    assert_eq!(guest.write(fd, b"x"), Err(Errno::Badf));
    assert_eq!(guest.read(fd, 9).expect("text"), b"hello");
    super::nothing_can_be_changed(Arc::new(crate::fs::ReadOnly::new(dir)));
}
