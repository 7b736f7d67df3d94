//! Scenarios for listing directories.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::guest::{CREAT, DIRECTORY, Guest, ROOT, TYPE_DIRECTORY, TYPE_FILE};
use crate::Errno;
use crate::fs::Dir;

/// A listing begins with `.` and `..` and is complete.
pub fn a_listing_begins_with_dot_entries_and_has_every_name_once(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    guest.put_file("file", b"");
    guest.put_file("another file, with a longer name", b"");
    let listed = guest.list(ROOT, 4096);
    let root = guest.fstat(ROOT).expect("open");
    assert_eq!(
        (listed[0].name.as_str(), listed[1].name.as_str()),
        (".", "..")
    );
    assert_eq!(
        (listed[0].ino, listed[0].file_type),
        (root.ino, TYPE_DIRECTORY)
    );
    assert_eq!(listed[1].file_type, TYPE_DIRECTORY);
    assert_eq!(listed.len(), 5);
    for entry in &listed[2..] {
        let stat = guest.stat(&entry.name).expect("it is listed");
        assert_eq!((entry.ino, entry.file_type), (stat.ino, stat.file_type));
    }
    let file = listed.iter().find(|entry| entry.name == "file");
    assert_eq!(file.expect("listed").file_type, TYPE_FILE);
    assert_eq!(guest.readdir(ROOT, 0, 0), Ok((Vec::new(), 0)));
    let fd = guest.open("file", 0).expect("a file");
    assert_eq!(guest.readdir(fd, 100, 0), Err(Errno::Notdir));
}

/// Entries that are neither created nor removed during a listing are returned exactly once.
pub fn a_listing_resumes_at_its_cookie_after_changes(dir: Arc<dyn Dir>) {
    for buf_len in [300, 700, 4096] {
        let mut guest = Guest::new(Arc::clone(&dir));
        let stable: BTreeSet<String> = (0..60).map(|i| format!("stable-{buf_len}-{i}")).collect();
        for name in &stable {
            guest.put_file(name, b"");
        }
        for i in 0..20 {
            guest.put_file(&format!("gone-{i}"), b"");
        }
        let (mut seen, mut cookie, mut step) = (Vec::new(), 0, 0);
        loop {
            let (listed, bufused) = guest.readdir(ROOT, buf_len, cookie).expect("a listing");
            cookie = listed.last().map_or(cookie, |last| last.next);
            seen.extend(listed.into_iter().map(|entry| entry.name));
            if bufused < buf_len {
                break;
            }
            let _ = guest.unlink(&format!("gone-{step}"));
            guest.put_file(&format!("new-{buf_len}-{step}"), b"");
            step += 1;
            assert!(step < 1000, "the listing does not end");
        }
        let unique: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(unique.len(), seen.len(), "a name was returned twice");
        assert!(stable.is_subset(&unique), "a name was skipped");
    }
}

/// Cookie 0 starts a new listing; an earlier cookie returns the entries that followed it.
pub fn cookie_0_starts_a_new_listing(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for name in ["a", "b", "c"] {
        guest.put_file(name, b"");
    }
    let first = guest.list(ROOT, 4096);
    for entry in &first[..first.len() - 1] {
        let (rest, _) = guest.readdir(ROOT, 4096, entry.next).expect("a listing");
        let at = first
            .iter()
            .position(|other| other == entry)
            .expect("listed");
        assert_eq!(rest, first[at + 1..]);
    }
    let end = first.last().expect("not empty").next;
    assert_eq!(guest.readdir(ROOT, 4096, end), Ok((Vec::new(), 0)));
    for cookie in [end + 1, u64::MAX] {
        assert_eq!(guest.readdir(ROOT, 4096, cookie), Ok((Vec::new(), 0)));
    }
    guest.unlink("b").expect("it is there");
    guest.put_file("d", b"");
    assert_eq!(guest.names("."), ["a", "c", "d"]);
    let again = guest.list(ROOT, 4096);
    assert_eq!(again.len(), 5);
    assert!(again.iter().all(|entry| entry.name != "b"));
}

/// A large directory is listed completely and without duplicates, also with the smallest buffer
/// that holds each entry.
pub fn a_large_directory_is_listed_in_small_pieces(dir: Arc<dyn Dir>) {
    const FILES: usize = 6000;
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    for i in 0..FILES {
        let fd = guest.open(&format!("dir/a file with the number {i}"), CREAT);
        guest.close(fd.expect("a new file")).expect("it is open");
    }
    let fd = guest.open("dir", DIRECTORY).expect("a directory");
    for buf_len in [64, 128, 4096, 60_000] {
        let listed = guest.list(fd, buf_len);
        let names: BTreeSet<&str> = listed.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!((listed.len(), names.len()), (FILES + 2, FILES + 2));
        // Seeks back to an entry that a host may no longer buffer.
        let (again, _) = guest.readdir(fd, 4096, listed[10].next).expect("a listing");
        assert!(!again.is_empty() && listed[11..].starts_with(&again));
    }
}

/// A guest that goes back to a cookie in a directory too large to be buffered, after entries were
/// removed before and behind the cookie, gets every surviving entry once.
pub fn removals_neither_skip_nor_repeat_entries_of_a_large_directory(dir: Arc<dyn Dir>) {
    const FILES: usize = 6000;
    let mut guest = Guest::new(dir);
    guest.create_dir("dir").expect("a new directory");
    for i in 0..FILES {
        let fd = guest.open(&format!("dir/a file with the number {i}"), CREAT);
        guest.close(fd.expect("a new file")).expect("it is open");
    }
    let fd = guest.open("dir", DIRECTORY).expect("a directory");
    let listed = guest.list(fd, 4096);
    let (before, behind) = listed.split_at(1000);
    for entry in before[2..]
        .iter()
        .step_by(2)
        .chain(behind.iter().step_by(7))
    {
        let removed = guest.unlink(&format!("dir/{}", entry.name));
        removed.expect("it is there");
    }
    let survivors = behind.iter().enumerate().filter(|(at, _)| at % 7 != 0);
    let survivors: BTreeSet<&str> = survivors.map(|(_, entry)| entry.name.as_str()).collect();

    let (mut names, mut cookie) = (Vec::new(), before[999].next);
    loop {
        let (piece, bufused) = guest.readdir(fd, 4096, cookie).expect("a listing");
        cookie = piece.last().map_or(cookie, |last| last.next);
        names.extend(piece.into_iter().map(|entry| entry.name));
        if bufused < 4096 {
            break;
        }
    }
    let removed: BTreeSet<&str> = behind.iter().step_by(7).map(|entry| &*entry.name).collect();
    names.retain(|name| !removed.contains(name.as_str()));
    let unique: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(unique.len(), names.len(), "an entry came twice");
    assert_eq!(unique, survivors);
}
