//! Scenarios for hard links.

use std::sync::Arc;

use super::guest::Guest;
use crate::Errno;
use crate::fs::Dir;

/// Two hard links name the same file until both are removed.
pub fn a_file_has_two_hard_links(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("one", b"hello");
    guest.link("one", "dir/two").expect("a hard link");
    let stat = guest.stat("one").expect("it is there");
    assert_eq!(guest.stat("dir/two").expect("it is there"), stat);
    assert_eq!(stat.n_links, 2);
    guest.put_file("dir/two", b"changed");
    assert_eq!(guest.get_file("one").expect("a file"), b"changed");
    guest.unlink("one").expect("it is there");
    assert_eq!(guest.get_file("dir/two").expect("a file"), b"changed");
    assert_eq!(guest.stat("dir/two").expect("it is there").n_links, 1);
}

/// Linking fails if the new name exists.
pub fn linking_replaces_nothing(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("one", b"1");
    guest.put_file("two", b"2");
    for taken in ["two", "dir", "one", ".", "dir/.", "dir/"] {
        assert_eq!(guest.link("one", taken), Err(Errno::Exist), "{taken}");
    }
    assert_eq!(guest.link("no", "new"), Err(Errno::Noent));
    assert_eq!(guest.link("one", "no/new"), Err(Errno::Noent));
    assert_eq!(guest.link("one", "new/"), Err(Errno::Noent));
    assert_eq!(guest.link("one/", "new"), Err(Errno::Notdir));
    assert_eq!(guest.get_file("two").expect("a file"), b"2");
    assert_eq!(guest.stat("one").expect("it is there").n_links, 1);
}

/// POSIX: renaming a hard link to another one of the same file has no effect.
pub fn renaming_a_hard_link_to_another_of_the_same_file_has_no_effect(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("one", b"hello");
    guest.link("one", "two").expect("a hard link");
    guest.rename("one", "two").expect("nothing to do");
    assert_eq!(guest.names("."), ["one", "two"]);
    assert_eq!(guest.stat("one").expect("it is there").n_links, 2);
}

/// Hard links to directories are refused.
pub fn directories_have_no_hard_links(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    for dir in ["dir", "dir/", "dir/.", "."] {
        assert_eq!(guest.link(dir, "new"), Err(Errno::Perm), "{dir}");
    }
    assert_eq!(guest.names("."), ["dir"]);
}
