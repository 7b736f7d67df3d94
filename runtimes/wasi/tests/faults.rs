//! Fault injection into every operation of every function for files and paths: the call fails with
//! the errno of the filesystem, the descriptors and the tree are unchanged, and a retry succeeds.

use std::sync::Arc;

use rangewatch_wasi::fs::conformance::Faults;
use rangewatch_wasi::fs::conformance::guest::{BYTES, FOLLOW, Guest, IOVS, RESULT, ROOT};
use rangewatch_wasi::fs::{Access, Dir, FileType, IntoDir, MemoryFs, Node, Overlay, Quota};
use rangewatch_wasi::{Allocate, Errno, Interrupt, Wasi, preview1};

/// An errno that the filesystems under test never return by themselves.
const FAULT: Errno = Errno::Txtbsy;

/// Descriptors of the guest: an open file, an open directory.
const FILE: i32 = 4;
const DIR: i32 = 5;

type Call = fn(&mut Guest) -> Result<(), Errno>;

fn new_guest(dir: Arc<dyn Dir>) -> Guest {
    let builder = Wasi::builder().allocate(Allocate::Extend);
    let mut guest = Guest::of(builder.preopen("/", dir, Access::ReadWrite));
    open(&mut guest, "dir/file", 0).unwrap();
    open(&mut guest, "dir", 0).unwrap();
    guest
}

fn open(guest: &mut Guest, path: &str, oflags: i32) -> Result<(), Errno> {
    let opened = guest.open_at(ROOT, FOLLOW, path, oflags, 0, 0);
    opened.map(drop)
}

/// The open descriptors.
fn open_descriptors(guest: &mut Guest) -> Vec<bool> {
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    (0..12)
        .map(|fd| preview1::fd_fdstat_get(ctx, memory, fd, RESULT).is_ok())
        .collect()
}

/// Functions with one path.
macro_rules! on {
    ($function:ident($($fd:expr)?; $path:literal $(, $more:expr)*)) => {
        |guest| {
            let (at, len) = guest.put_path(0, $path);
            preview1::$function(&mut guest.ctx, &mut guest.memory, $($fd,)? at, len $(, $more)*)
        }
    };
}

/// Functions without a path.
macro_rules! with {
    ($function:ident($($argument:expr),*)) => {
        |guest| {
            guest.put_iovec_of(10);
            let done = preview1::$function(&mut guest.ctx, &mut guest.memory, $($argument),*);
            done.map_err(Interrupt::from)
                .map_err(|interrupt| interrupt.errno().expect("a file never waits"))
        }
    };
}

const CALLS: &[(&str, Call)] = &[
    ("open", |guest| open(guest, "dir/sub/file", 0)),
    ("open a link", |guest| open(guest, "link", 0)),
    ("open, making", |guest| open(guest, "dir/new", 1)),
    ("open, truncating", |guest| open(guest, "dir/sub/file", 8)),
    ("open a directory", |guest| open(guest, "dir/sub", 2)),
    (
        "create_directory",
        on!(path_create_directory(ROOT; "dir/sub/new")),
    ),
    (
        "remove_directory",
        on!(path_remove_directory(ROOT; "dir/empty")),
    ),
    ("unlink_file", on!(path_unlink_file(ROOT; "dir/file"))),
    ("filestat_get", |guest| {
        let (at, len) = guest.put_path(0, "link");
        preview1::path_filestat_get(&mut guest.ctx, &mut guest.memory, ROOT, 1, at, len, RESULT)
    }),
    ("filestat_set_times", |guest| {
        let (at, len) = guest.put_path(0, "dir/file");
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        preview1::path_filestat_set_times(ctx, memory, ROOT, 0, at, len, 1, 1, 5)
    }),
    (
        "readlink",
        on!(path_readlink(ROOT; "link", BYTES, 100, RESULT)),
    ),
    ("symlink", |guest| {
        let ((old, old_len), (at, len)) = (guest.put_path(0, "file"), guest.put_path(1, "dir/new"));
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        preview1::path_symlink(ctx, memory, old, old_len, ROOT, at, len)
    }),
    ("link", |guest| {
        let ((old, old_len), (at, len)) =
            (guest.put_path(0, "dir/file"), guest.put_path(1, "dir/new"));
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        preview1::path_link(ctx, memory, ROOT, 0, old, old_len, ROOT, at, len)
    }),
    ("rename", |guest| {
        let ((old, old_len), (at, len)) = (
            guest.put_path(0, "dir/file"),
            guest.put_path(1, "dir/sub/file"),
        );
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        preview1::path_rename(ctx, memory, ROOT, old, old_len, ROOT, at, len)
    }),
    ("read", with!(fd_read(FILE, IOVS, 1, RESULT))),
    ("pread", with!(fd_pread(FILE, IOVS, 1, 1, RESULT))),
    ("write", with!(fd_write(FILE, IOVS, 1, RESULT))),
    ("pwrite", with!(fd_pwrite(FILE, IOVS, 1, 1, RESULT))),
    ("seek", with!(fd_seek(FILE, 0, 2, RESULT))),
    ("filestat of a file", with!(fd_filestat_get(FILE, RESULT))),
    (
        "filestat of a directory",
        with!(fd_filestat_get(DIR, RESULT)),
    ),
    ("set_size", with!(fd_filestat_set_size(FILE, 3))),
    (
        "set_times of a file",
        with!(fd_filestat_set_times(FILE, 1, 1, 5)),
    ),
    (
        "set_times of a directory",
        with!(fd_filestat_set_times(DIR, 1, 1, 5)),
    ),
    ("readdir", with!(fd_readdir(DIR, BYTES, 1000, 0, RESULT))),
    ("sync", with!(fd_sync(FILE))),
    ("datasync", with!(fd_datasync(FILE))),
    ("sync of a directory", with!(fd_sync(DIR))),
];

fn files() -> MemoryFs {
    let files =
        MemoryFs::with_files([("dir/file", "contents of a file"), ("dir/sub/file", "more")])
            .unwrap();
    files.create_dir_all("dir/empty").unwrap();
    files.symlink("dir/file", "link").unwrap();
    files
}

/// Every path with its attributes; for a directory only its type, because copy-up changes the
/// others.
fn tree(dir: &Arc<dyn Dir>, path: &str, found: &mut Vec<String>) {
    let mut entries: Vec<_> = dir.read_dir().unwrap().map(Result::unwrap).collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    for entry in entries {
        let path = format!("{path}/{}", entry.name);
        let metadata = dir.metadata_at(&entry.name).unwrap();
        assert_eq!(metadata.file_type, entry.file_type, "{path}");
        match dir.lookup(&entry.name).unwrap() {
            Node::Dir(below) => {
                found.push(path.clone());
                tree(&below, &path, found);
            }
            Node::File(file) => {
                let mut buf = [0; 100];
                let n_bytes = file.read_at(&mut buf, 0).unwrap();
                let times = (metadata.accessed_ns, metadata.modified_ns);
                found.push(format!("{path}: {:?} {times:?}", &buf[..n_bytes]));
            }
            Node::Symlink(target) => found.push(format!("{path} -> {target}")),
            other => panic!("{path} is {other:?}"),
        }
        assert_ne!(entry.file_type, FileType::Unknown);
    }
}

fn whole_tree(dir: &Arc<dyn Dir>) -> Vec<String> {
    let mut found = Vec::new();
    tree(dir, "", &mut found);
    found
}

/// Makes each call on the result of `make`, with a fault at each operation. Returns how many calls
/// can fail.
fn survives_faults(make: impl Fn(&Faults) -> Arc<dyn Dir>) -> usize {
    let mut n_failing = 0;
    for (name, call) in CALLS {
        let mut step = 0;
        loop {
            let faults = Faults::new();
            let dir = make(&faults);
            let mut guest = new_guest(Arc::clone(&dir));
            let (descriptors, before) = (open_descriptors(&mut guest), whole_tree(&dir));
            faults.fail_at(step, FAULT);
            let outcome = call(&mut guest);
            let has_failed = faults.has_failed();
            faults.stop();
            if !has_failed {
                assert_eq!(outcome, Ok(()), "{name}: no call failed up to step {step}");
                n_failing += usize::from(step > 0);
                break;
            }
            if let Err(errno) = outcome {
                assert_eq!(errno, FAULT, "{name}, step {step}");
                assert_eq!(
                    open_descriptors(&mut guest),
                    descriptors,
                    "{name}, step {step}"
                );
                assert_eq!(whole_tree(&dir), before, "{name}, step {step}");
                assert_eq!(call(&mut guest), Ok(()), "{name}, after step {step}");
            }
            step += 1;
            assert!(step < 100, "{name} does not end");
        }
    }
    n_failing
}

#[test]
fn on_a_filesystem_itself() {
    assert_eq!(survives_faults(|faults| faults.wrap(files())), CALLS.len());
}

#[test]
fn on_the_lower_directory_of_an_overlay() {
    survives_faults(|faults| Overlay::new(faults.wrap(files()), MemoryFs::new()).into_dir());
}

#[test]
fn on_the_upper_directory_of_an_overlay() {
    survives_faults(|faults| Overlay::new(files(), faults.wrap(MemoryFs::new())).into_dir());
}

#[test]
fn on_a_directory_with_a_quota() {
    survives_faults(|faults| Quota::new(faults.wrap(files()), 1 << 20, 100).into_dir());
}

#[test]
fn appended_bytes_are_not_appended_twice() {
    const APPEND: i32 = 1;
    let files = MemoryFs::with_files([("dir/file", "")]).unwrap();
    let faults = Faults::new();
    let mut guest = new_guest(faults.wrap(&files));
    guest.put_iovec_of(10);
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    preview1::fd_fdstat_set_flags(ctx, memory, FILE, APPEND).unwrap();
    faults.fail_at(1, FAULT);
    while preview1::fd_write(ctx, memory, FILE, IOVS, 1, RESULT).is_err() {}
    assert!(faults.has_failed());
    assert_eq!(files.read("dir/file").unwrap().len(), 10);
}
