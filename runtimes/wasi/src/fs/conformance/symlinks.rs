//! Scenarios for symbolic links.

use std::sync::Arc;

use super::guest::{
    CREAT, DIRECTORY, EXCL, FOLLOW, Guest, KEEP, ROOT, TRUNC, TYPE_DIRECTORY, TYPE_FILE,
    TYPE_SYMLINK,
};
use crate::Errno;
use crate::fs::Dir;

/// A link in the last component is followed if the flags say so; a link before it always is.
pub fn a_symbolic_link_is_followed_as_the_flags_say(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("dir/file", b"hello");
    guest.symlink("dir/file", "to-file").expect("a new link");
    guest.symlink("dir", "to-dir").expect("a new link");
    guest.symlink("to-dir/file", "chain").expect("a new link");
    for path in ["to-file", "to-dir/file", "chain"] {
        assert_eq!(guest.get_file(path).expect("a file"), b"hello", "{path}");
        let stat = guest.stat_at(ROOT, FOLLOW, path).expect("there");
        assert_eq!(stat.file_type, TYPE_FILE);
    }
    for path in ["to-file", "to-dir", "chain"] {
        assert_eq!(guest.stat(path).expect("there").file_type, TYPE_SYMLINK);
        assert_eq!(guest.open(path, 0), Err(Errno::Loop));
        assert_eq!(guest.open(path, TRUNC), Err(Errno::Loop));
        assert_eq!(guest.open(path, CREAT | EXCL), Err(Errno::Exist));
        let opened = guest.open_at(ROOT, FOLLOW, path, CREAT | EXCL, 0, 0);
        assert_eq!(opened, Err(Errno::Exist));
        let errno = guest.open(path, DIRECTORY).expect_err("a link");
        assert!([Errno::Loop, Errno::Notdir].contains(&errno), "{errno}");
    }
    let fd = guest.open_at(ROOT, FOLLOW, "to-dir", DIRECTORY, 0, 0);
    let fd = fd.expect("a directory");
    assert_eq!(guest.list(fd, 1000).len(), 3);
    let fd = guest.open_at(ROOT, FOLLOW, "to-file", TRUNC, 0, 0);
    guest.close(fd.expect("a file")).expect("it is open");
    assert_eq!(guest.get_file("dir/file").expect("a file"), b"");
}

/// A target may be any relative path that is not empty. `path_readlink` truncates it to the buffer.
pub fn a_symbolic_link_keeps_its_target(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for (i, target) in ["a", "no/such/file", "../../../etc/passwd", "..", "ä/ö"]
        .into_iter()
        .enumerate()
    {
        let link = format!("link-{i}");
        guest.symlink(target, &link).expect("a new link");
        assert_eq!(guest.read_link(&link, 4096).expect("a text"), target);
        let stat = guest.stat(&link).expect("it is there");
        assert_eq!(stat.size_bytes, target.len() as u64);
        assert_eq!(guest.symlink("x", &link), Err(Errno::Exist));
    }
    assert_eq!(guest.read_link("link-1", 5).expect("a text"), "no/su");
    assert_eq!(guest.read_link("link-1", 0).expect("a text"), "");
    assert_eq!(guest.symlink("/etc", "new"), Err(Errno::Perm));
    assert_eq!(guest.symlink("", "new"), Err(Errno::Noent));
    assert_eq!(guest.symlink("x", "new/"), Err(Errno::Noent));
    assert_eq!(guest.symlink("x", "."), Err(Errno::Exist));
    guest.put_file("file", b"");
    assert_eq!(guest.read_link("file", 9), Err(Errno::Inval));
    assert_eq!(guest.read_link(".", 9), Err(Errno::Inval));
    assert_eq!(guest.symlink("x", "file/"), Err(Errno::Exist));
}

/// G34: no link leads out of the directory, in any combination with other links and with `..`.
pub fn g34_no_link_leads_out(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("a").expect("a new directory");
    guest.create_dir("a/b").expect("a new directory");
    let links = [
        ("..", "up"),
        ("../", "up-slash"),
        ("../..", "a/up-2"),
        ("a/../..", "around"),
        ("../../..", "a/b/up-3"),
        ("a/b/up-3", "chain"),
        ("up/etc", "through"),
        ("./a/./b/../../../etc/passwd", "long"),
    ];
    for (target, link) in links {
        guest.symlink(target, link).expect("a new link");
    }
    for (_, link) in links {
        for rest in ["", "/", "/.", "/etc/passwd", "/a"] {
            let path = format!("{link}{rest}");
            for oflags in [0, CREAT, DIRECTORY, TRUNC] {
                let opened = guest.open_at(ROOT, FOLLOW, &path, oflags, 0, 0);
                let errno = opened.expect_err("the path leads out");
                let refused = [Errno::Perm, Errno::Isdir].contains(&errno);
                assert!(refused, "{path}: {errno}");
            }
            assert_eq!(
                guest.stat_at(ROOT, FOLLOW, &path),
                Err(Errno::Perm),
                "{path}"
            );
            if !rest.is_empty() {
                let below = guest.create_dir(&format!("{path}/x"));
                assert_eq!(below, Err(Errno::Perm), "{path}");
                let _ = guest.unlink(&path).expect_err("the path leads out");
                let _ = guest.rename(&path, "x").expect_err("the path leads out");
                let _ = guest.link(&path, "x").expect_err("the path leads out");
            }
        }
    }
    // A link that walks up within the directory is followed.
    guest.symlink("../a/b/..", "a/inside").expect("a new link");
    let inside = guest.stat_at(ROOT, FOLLOW, "a/inside").expect("there");
    assert_eq!(inside.ino, guest.stat("a").expect("there").ino);
    let fd = guest.open("a", DIRECTORY).expect("a directory");
    assert_eq!(guest.stat_at(fd, FOLLOW, "inside"), Err(Errno::Perm));
}

/// A link to itself, a cycle of links, and a chain that is too long.
pub fn symbolic_link_loops_end(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.symlink("self", "self").expect("a new link");
    guest.symlink("two", "one").expect("a new link");
    guest.symlink("one", "two").expect("a new link");
    for path in ["self", "one", "self/x", "self/"] {
        assert_eq!(
            guest.stat_at(ROOT, FOLLOW, path),
            Err(Errno::Loop),
            "{path}"
        );
        let opened = guest.open_at(ROOT, FOLLOW, path, 0, 0, 0);
        assert_eq!(opened, Err(Errno::Loop), "{path}");
    }
    guest.put_file("link-0", b"hello");
    for i in 1..=41 {
        let (target, link) = (format!("link-{}", i - 1), format!("link-{i}"));
        guest.symlink(&target, &link).expect("a new link");
    }
    assert_eq!(guest.get_file("link-40").expect("40 links"), b"hello");
    assert_eq!(guest.get_file("link-41"), Err(Errno::Loop));
}

/// Opening a dangling link with `CREAT` creates its target, as in POSIX.
pub fn opening_a_dangling_link_creates_its_target(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.symlink("dir/new", "link").expect("a new link");
    assert_eq!(
        guest.open_at(ROOT, FOLLOW, "link", 0, 0, 0),
        Err(Errno::Noent)
    );
    assert_eq!(guest.stat_at(ROOT, FOLLOW, "link"), Err(Errno::Noent));
    let fd = guest.open_at(ROOT, FOLLOW, "link", CREAT, 0, 0);
    guest.close(fd.expect("a new file")).expect("it is open");
    assert_eq!(guest.names("dir"), ["new"]);
    assert_eq!(guest.create_dir("link"), Err(Errno::Exist));
}

/// A trailing slash follows a link despite the flags, except where a name is created or removed.
pub fn a_trailing_slash_follows_a_link(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("file", b"");
    guest.symlink("dir", "to-dir").expect("a new link");
    guest.symlink("file", "to-file").expect("a new link");
    guest.symlink("no", "to-no").expect("a new link");
    let stat = guest.stat("to-dir/").expect("a directory");
    assert_eq!(stat.file_type, TYPE_DIRECTORY);
    let fd = guest.open("to-dir/", 0).expect("a directory");
    guest.close(fd).expect("it is open");
    assert_eq!(guest.stat("to-file/"), Err(Errno::Notdir));
    assert_eq!(guest.open("to-file/", 0), Err(Errno::Notdir));
    assert_eq!(guest.stat("to-no/"), Err(Errno::Noent));
    assert_eq!(guest.read_link("to-dir/", 9), Err(Errno::Inval));
    for link in ["to-dir/", "to-file/", "to-no/"] {
        assert_eq!(guest.unlink(link), Err(Errno::Notdir), "{link}");
        assert_eq!(guest.remove_dir(link), Err(Errno::Notdir), "{link}");
        assert_eq!(guest.rename(link, "new"), Err(Errno::Notdir), "{link}");
        assert_eq!(guest.rename("dir", link), Err(Errno::Notdir), "{link}");
        assert_eq!(guest.create_dir(link), Err(Errno::Exist), "{link}");
        assert_eq!(guest.symlink("x", link), Err(Errno::Exist), "{link}");
    }
    assert_eq!(guest.names(".").len(), 5);
}

/// `..` after a link walks up one directory, also if the resolver entered several at once.
pub fn dots_after_a_link_walk_up_each_directory(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for path in ["a", "a/b", "a/b/c"] {
        guest.create_dir(path).expect("a new directory");
    }
    for path in ["0", "a/1", "a/b/2"] {
        guest.put_file(path, path.as_bytes());
    }
    for (target, path) in [
        ("../2", "a/b/c/two"),
        ("../../1", "a/b/c/one"),
        ("../.././../0", "a/b/c/zero"),
        ("../c/two", "a/b/c/again"),
        ("../../../../x", "a/b/c/out"),
        ("..", "a/b/c/up"),
    ] {
        guest.symlink(target, path).expect("a new link");
    }
    for (path, contents) in [
        ("a/b/c/two", "a/b/2"),
        ("a/b/c/one", "a/1"),
        ("a/b/c/zero", "0"),
        ("a/b/c/again", "a/b/2"),
        ("a/b/c/up/2", "a/b/2"),
        ("a/b/c/up/../1", "a/1"),
        ("a/b/c/../2", "a/b/2"),
        ("a/b/c/../../../0", "0"),
    ] {
        let read = guest.get_file(path).expect("a file");
        assert_eq!(read, contents.as_bytes(), "{path}");
    }
    assert_eq!(guest.names("a/b/c/.."), ["2", "c"]);
    assert_eq!(guest.names("a/b/c/up/"), ["2", "c"]);
    assert_eq!(guest.names("a/b/."), ["2", "c"]);
    assert_eq!(guest.get_file("a/b/c/out"), Err(Errno::Perm));
}

/// `..` after a link is the parent of the link's target.
pub fn dots_after_a_link_are_resolved_in_its_target(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for path in ["a", "a/b", "c"] {
        guest.create_dir(path).expect("a new directory");
    }
    guest.put_file("a/file", b"a");
    guest.put_file("c/file", b"c");
    guest.symlink("../a/b", "c/link").expect("a new link");
    assert_eq!(guest.get_file("c/link/../file").expect("a file"), b"a");
    assert_eq!(guest.get_file("c/link/../../c/file").expect("a file"), b"c");
}

/// Removing and renaming apply to the link and not to its target.
pub fn removing_and_renaming_do_not_follow_links(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("file", b"hello");
    guest.create_dir("dir").expect("a new directory");
    guest.symlink("file", "link").expect("a new link");
    guest.symlink("dir", "to-dir").expect("a new link");
    assert_eq!(guest.remove_dir("to-dir"), Err(Errno::Notdir));
    assert_eq!(guest.rename("dir", "link"), Err(Errno::Notdir));
    guest.rename("link", "moved").expect("a new name");
    assert_eq!(guest.read_link("moved", 99).expect("a text"), "file");
    guest.unlink("moved").expect("it is there");
    guest.unlink("to-dir").expect("it is there");
    assert_eq!(guest.names("."), ["dir", "file"]);
    guest.symlink("file", "link").expect("a new link");
    guest.put_file("other", b"other");
    guest.rename("other", "link").expect("over the link");
    assert_eq!(guest.get_file("file").expect("a file"), b"hello");
    assert_eq!(guest.get_file("link").expect("a file"), b"other");
}

/// The times of a link are set if it is not followed.
pub fn a_symbolic_link_has_its_own_times(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("file", b"");
    guest.symlink("file", "link").expect("a new link");
    let set = guest.set_times(FOLLOW, "link", 1000, 2000, 5);
    set.expect("times can be set");
    let set = guest.set_times(KEEP, "link", 3000, 4000, 5);
    set.expect("times can be set");
    let (file, link) = (guest.stat("file"), guest.stat("link"));
    assert_eq!(file.expect("there").modified_ns, 2000);
    assert_eq!(link.expect("there").modified_ns, 4000);
}
