//! Files with several names.

use std::sync::Arc;

use super::guest::Guest;
use crate::Errno;
use crate::fs::Dir;

/// Which are the same file, until the last is gone.
pub fn a_file_has_two_names(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("one", b"hello");
    guest.link("one", "dir/two").expect("a second name");
    let stat = guest.stat("one").expect("it is there");
    assert_eq!(guest.stat("dir/two").expect("it is there"), stat);
    assert_eq!(stat.n_links, 2);
    guest.put_file("dir/two", b"changed");
    assert_eq!(guest.get_file("one").expect("a file"), b"changed");
    guest.unlink("one").expect("it is there");
    assert_eq!(guest.get_file("dir/two").expect("a file"), b"changed");
    assert_eq!(guest.stat("dir/two").expect("it is there").n_links, 1);
}

/// Whatever has the name keeps it.
pub fn a_link_replaces_nothing(dir: Arc<dyn Dir>) {
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

/// POSIX has it so: both names stay.
pub fn a_link_to_the_same_file_is_renamed_by_doing_nothing(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("one", b"hello");
    guest.link("one", "two").expect("a second name");
    guest.rename("one", "two").expect("nothing to do");
    assert_eq!(guest.names("."), ["one", "two"]);
    assert_eq!(guest.stat("one").expect("it is there").n_links, 2);
}

/// A tree stays a tree.
pub fn directories_have_one_name(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    for dir in ["dir", "dir/", "dir/.", "."] {
        assert_eq!(guest.link(dir, "new"), Err(Errno::Perm), "{dir}");
    }
    assert_eq!(guest.names("."), ["dir"]);
}
