//! Scenarios for directories and paths through them.

use std::sync::Arc;

use super::guest::{CREAT, DIRECTORY, Guest, KEEP, ROOT, TYPE_DIRECTORY};
use crate::Errno;
use crate::fs::Dir;

/// Creating and removing directories.
pub fn directories_are_made_and_removed(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("a").expect("a new directory");
    guest.create_dir("a/b").expect("a new directory");
    assert_eq!(
        guest.stat("a/b").expect("it is there").file_type,
        TYPE_DIRECTORY
    );
    guest.put_file("file", b"");
    for taken in ["a", "a/b", "file", ".", "a/.", "a/.."] {
        assert_eq!(guest.create_dir(taken), Err(Errno::Exist), "{taken}");
    }
    assert_eq!(guest.create_dir("no/b"), Err(Errno::Noent));
    assert_eq!(guest.create_dir("file/b"), Err(Errno::Notdir));
    assert_eq!(guest.remove_dir("file"), Err(Errno::Notdir));
    assert_eq!(guest.remove_dir("no"), Err(Errno::Noent));
    assert_eq!(guest.unlink("a"), Err(Errno::Isdir));
    assert_eq!(guest.remove_dir("a/."), Err(Errno::Inval));
    guest.remove_dir("a/b").expect("it is empty");
    guest.remove_dir("a").expect("it is empty");
    assert_eq!(guest.names("."), ["file"]);
}

/// Removing a directory that is not empty fails.
pub fn a_directory_that_is_not_empty_stays(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("dir/file", b"hello");
    assert_eq!(guest.remove_dir("dir"), Err(Errno::Notempty));
    assert_eq!(guest.remove_dir("dir/"), Err(Errno::Notempty));
    assert_eq!(guest.get_file("dir/file").expect("a file"), b"hello");
    guest.unlink("dir/file").expect("it is there");
    guest.remove_dir("dir").expect("it is empty");
}

/// A removed directory that is still open is empty and refuses new entries.
pub fn a_removed_directory_stays_empty(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    let fd = guest.open("dir", DIRECTORY).expect("a directory");
    guest.remove_dir("dir").expect("it is empty");
    guest.fstat(fd).expect("it is open");
    let new = guest.open_at(fd, KEEP, "new", CREAT, 0, 0);
    assert_eq!(new, Err(Errno::Noent));
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("dir/file", b"");
    assert_eq!(guest.stat_at(fd, KEEP, "file"), Err(Errno::Noent));
    guest.close(fd).expect("it is open");
    assert_eq!(guest.names("dir"), ["file"]);
}

/// A trailing slash requires a directory, in every function that takes a path.
pub fn trailing_slashes_require_directories(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir/").expect("a new directory");
    guest.put_file("file", b"hello");
    for slashes in ["/", "///", "/.", "//./"] {
        let (dir, file) = (format!("dir{slashes}"), format!("file{slashes}"));
        let fd = guest.open(&dir, 0).expect("a directory");
        guest.close(fd).expect("it is open");
        assert_eq!(guest.stat(&dir).expect("there").file_type, TYPE_DIRECTORY);
        assert_eq!(guest.create_dir(&dir), Err(Errno::Exist));
        assert_eq!(guest.unlink(&dir), Err(Errno::Isdir));
        assert_eq!(guest.open(&file, 0), Err(Errno::Notdir), "{file}");
        assert_eq!(guest.stat(&file), Err(Errno::Notdir), "{file}");
        assert_eq!(guest.unlink(&file), Err(Errno::Notdir), "{file}");
        assert_eq!(guest.remove_dir(&file), Err(Errno::Notdir), "{file}");
        assert_eq!(guest.read_link(&file, 9), Err(Errno::Notdir), "{file}");
        let times = guest.set_times(0, &file, 1, 1, 5);
        assert_eq!(times, Err(Errno::Notdir), "{file}");
    }
    assert_eq!(guest.rename("file/", "new"), Err(Errno::Notdir));
    assert_eq!(guest.rename("file", "new/"), Err(Errno::Notdir));
    guest.rename("dir/", "moved///").expect("a directory");
    guest.remove_dir("moved//").expect("it is empty");
    assert_eq!(guest.names("."), ["file"]);
}

/// `..` walks up existing directories, and not above the directory of the descriptor.
pub fn dots_lead_through_directories_that_exist(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("a").expect("a new directory");
    guest.create_dir("a/b").expect("a new directory");
    guest.put_file("file", b"hello");
    for path in ["a/../file", "./a/b/../../file", "a//b/./..//../file"] {
        assert_eq!(guest.get_file(path).expect("a file"), b"hello", "{path}");
    }
    assert_eq!(guest.stat("no/../file"), Err(Errno::Noent));
    assert_eq!(guest.stat("file/../file"), Err(Errno::Notdir));
    let (root, a) = (
        guest.stat(".").expect("there"),
        guest.stat("a").expect("there"),
    );
    assert_eq!(guest.stat("a/..").expect("there"), root);
    assert_eq!(guest.stat("a/b/..").expect("there").ino, a.ino);
    let fd = guest.open("a/b", DIRECTORY).expect("a directory");
    assert_eq!(guest.stat_at(fd, KEEP, ".."), Err(Errno::Perm));
    assert_eq!(guest.fstat(ROOT).expect("open").ino, root.ino);
}
