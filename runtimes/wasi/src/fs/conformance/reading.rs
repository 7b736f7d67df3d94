//! Scenarios for filesystems with any contents, read-only ones included.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::guest::{
    CREAT, DIRECTORY, Guest, Listed, READ, ROOT, Stat, TRUNC, TYPE_DIRECTORY, TYPE_FILE,
    TYPE_SYMLINK, WRITE,
};
use crate::Errno;
use crate::fs::Dir;

/// The maximum number of directories that a scenario visits: a filesystem may be infinite.
const MAX_DIRS: usize = 50;

/// Every path with its entry and its attributes. The access time is left out, because reading may
/// change it.
fn tree(guest: &mut Guest) -> Vec<(String, Listed, Stat)> {
    let mut found = Vec::new();
    let mut dirs = vec![String::from(".")];
    let mut n_dirs = 0;
    while let Some(dir) = dirs.pop() {
        n_dirs += 1;
        if n_dirs > MAX_DIRS {
            break;
        }
        let fd = guest.open(&dir, DIRECTORY).expect("a directory");
        for entry in guest.list(fd, 4096) {
            if entry.name == "." || entry.name == ".." {
                continue;
            }
            let path = format!("{dir}/{}", entry.name);
            let stat = guest.stat(&path);
            let stat = stat.unwrap_or_else(|errno| panic!("{path} is listed, but {errno}"));
            let stat = Stat {
                accessed_ns: 0,
                ..stat
            };
            if stat.file_type == TYPE_DIRECTORY {
                dirs.push(path.clone());
            }
            found.push((path, entry, stat));
        }
        guest.close(fd).expect("it is open");
    }
    found
}

/// Listed names are valid, and the entries agree with the attributes.
pub fn listed_names_can_be_looked_up(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let mut paths = BTreeSet::new();
    for (path, entry, stat) in tree(&mut guest) {
        let name = &entry.name;
        assert!(
            !name.is_empty() && name.len() <= 255 && !name.contains(['/', '\0']),
            "{path} is not a path"
        );
        assert_eq!(entry.file_type, stat.file_type, "{path}");
        assert_eq!(entry.ino, stat.ino, "{path}");
        assert_ne!(stat.ino, 0, "{path} has inode number 0");
        assert!(paths.insert(path.clone()), "{path} is listed twice");
        match stat.file_type {
            TYPE_SYMLINK => drop(guest.read_link(&path, 4096).expect("a link can be read")),
            _ => {
                let fd = guest.open(&path, 0).expect("it can be opened");
                let opened = guest.fstat(fd).expect("it is open");
                let opened = Stat {
                    accessed_ns: 0,
                    ..opened
                };
                assert_eq!(opened, stat, "{path}, after opening");
                guest.close(fd).expect("it is open");
            }
        }
    }
}

/// Reading ends at the size of the attributes, and a positioned read returns the same bytes.
pub fn files_have_the_size_of_their_attributes_and_can_be_read_anywhere(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for (path, _, stat) in tree(&mut guest) {
        if stat.file_type != TYPE_FILE {
            continue;
        }
        let contents = guest.get_file(&path).expect("it can be read");
        assert_eq!(contents.len() as u64, stat.size_bytes, "{path}");
        let fd = guest.open(&path, 0).expect("it can be opened");
        let middle = contents.len() / 2;
        let end = contents.len().min(middle + 100);
        let piece = guest.pread(fd, (end - middle) as u32, middle as i64);
        assert_eq!(piece.expect("a piece"), contents[middle..end], "{path}");
        for behind in [contents.len() as i64, i64::MAX] {
            assert_eq!(guest.pread(fd, 10, behind).expect("the end"), [], "{path}");
        }
        guest.close(fd).expect("it is open");
    }
}

/// A name that is not listed fails with `ENOENT` in every function.
pub fn missing_names_are_noent(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let missing = "a name that nobody would give to a file";
    assert_eq!(guest.stat(missing), Err(Errno::Noent));
    assert_eq!(guest.open(missing, 0), Err(Errno::Noent));
    assert_eq!(guest.open(missing, DIRECTORY), Err(Errno::Noent));
    assert_eq!(guest.read_link(missing, 10), Err(Errno::Noent));
    assert_eq!(guest.stat(&format!("{missing}/below")), Err(Errno::Noent));
}

/// A path through a file fails, and so does a trailing slash after a file.
pub fn a_path_through_a_file_fails(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    for (path, _, stat) in tree(&mut guest) {
        if stat.file_type != TYPE_FILE {
            continue;
        }
        assert_eq!(guest.open(&path, DIRECTORY), Err(Errno::Notdir), "{path}");
        for path in [format!("{path}/"), format!("{path}/."), format!("{path}/x")] {
            assert_eq!(guest.stat(&path), Err(Errno::Notdir), "{path}");
            assert_eq!(guest.open(&path, 0), Err(Errno::Notdir), "{path}");
        }
    }
}

/// The size of the buffer does not change the listing.
pub fn a_listing_is_the_same_with_any_buffer_size(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let whole = guest.list(ROOT, 1 << 19);
    assert_eq!(whole[0].name, ".");
    assert_eq!(whole[1].name, "..");
    for buf_len in [279, 300, 1000, 4096] {
        assert_eq!(guest.list(ROOT, buf_len), whole, "in {buf_len} bytes");
    }
}

/// Every attempt to change something fails and has no effect.
pub fn nothing_can_be_changed(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let before = tree(&mut guest);
    let refused = |result: Result<(), Errno>| result.expect_err("the call must fail");
    let missing = "a name that nobody would give to a file";
    refused(guest.open(missing, CREAT).map(drop));
    refused(guest.create_dir(missing));
    refused(guest.symlink("target", missing));
    for (path, _, stat) in &before {
        refused(guest.rename(path, missing));
        refused(guest.link(path, missing));
        refused(guest.set_times(0, path, 1, 1, 0b101));
        if stat.file_type == TYPE_DIRECTORY {
            refused(guest.remove_dir(path));
        } else {
            refused(guest.unlink(path));
        }
        if stat.file_type == TYPE_FILE {
            refused(guest.open(path, TRUNC).map(drop));
            let rights = READ | WRITE;
            refused(guest.open_at(ROOT, 0, path, 0, rights, 0).map(drop));
            let fd = guest.open(path, 0).expect("it can be read");
            refused(guest.write(fd, b"x").map(drop));
            refused(guest.set_size(fd, 0));
            guest.close(fd).expect("it is open");
        }
    }
    assert_eq!(tree(&mut guest), before);
}
