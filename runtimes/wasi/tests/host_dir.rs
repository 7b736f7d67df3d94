//! Host directories: concurrent changes by other processes, and files that a guest cannot create.
#![cfg(unix)]

#[cfg(target_os = "linux")]
mod seccomp;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use rangewatch_wasi::fs::conformance::guest::{FOLLOW, Guest, READ, ROOT, TRUNC, WRITE};
use rangewatch_wasi::fs::{
    Access, Dir, HostDir, IntoDir, MemoryFs, Node, Overlay, Quota, SetTimes,
};
use rangewatch_wasi::{Errno, RightsMode, preview1};
use tempfile::TempDir;

/// A guest of a directory of the host.
fn guest_of(dir: &Path) -> Guest {
    Guest::new(HostDir::open(dir).unwrap().into_dir())
}

/// Guests of the directory itself, and of each filesystem that can be built on it, with the
/// directory of the host that each uses.
fn all_guests_of(dir: &Path) -> [(Guest, Arc<dyn Dir>); 4] {
    type Filesystem = fn(Arc<dyn Dir>) -> Arc<dyn Dir>;
    let filesystems: [Filesystem; 4] = [
        |host| host,
        |host| Quota::new(host, 1 << 30, 1 << 20).into_dir(),
        |host| Overlay::new(host, MemoryFs::new()).into_dir(),
        |host| Overlay::new(MemoryFs::new(), host).into_dir(),
    ];
    filesystems.map(|filesystem| {
        let host = HostDir::open(dir).unwrap().into_dir();
        (Guest::new(filesystem(Arc::clone(&host))), host)
    })
}

/// Asserts that paths were opened by `openat2`, unless this process has none. An overlay opens one
/// component at a time.
#[cfg(target_os = "linux")]
fn assert_descents(guests: &[(Guest, Arc<dyn Dir>)]) {
    for (_, host) in guests.iter().take(2) {
        let host: &HostDir = (**host).as_any().downcast_ref().unwrap();
        let is_fast = host.n_descents() > 0;
        assert_eq!(is_fast, !seccomp::is_without_openat2());
    }
}

#[cfg(not(target_os = "linux"))]
fn assert_descents(_guests: &[(Guest, Arc<dyn Dir>)]) {}

/// Opens a path and follows a link at its end.
fn open(guest: &mut Guest, path: &str, oflags: i32) -> Result<i32, Errno> {
    open_for(guest, 0, path, oflags)
}

fn open_for(guest: &mut Guest, rights: i64, path: &str, oflags: i32) -> Result<i32, Errno> {
    guest.open_at(ROOT, FOLLOW, path, oflags, rights, 0)
}

/// The size and the modification time.
fn stat(guest: &mut Guest, path: &str) -> Result<(u64, u64), Errno> {
    let stat = guest.stat_at(ROOT, FOLLOW, path)?;
    Ok((stat.size_bytes, stat.modified_ns))
}

/// A directory for the guest, beside another directory with a secret.
fn inside_and_outside() -> (TempDir, std::path::PathBuf, std::path::PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let (inside, outside) = (
        temporary.path().join("inside"),
        temporary.path().join("outside"),
    );
    fs::create_dir(&inside).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "secret").unwrap();
    (temporary, inside, outside)
}

#[test]
fn g34_links_made_by_the_host_do_not_lead_out() {
    let (_temporary, inside, outside) = inside_and_outside();
    symlink(&outside, inside.join("absolute")).unwrap();
    symlink(outside.join("file"), inside.join("absolute-file")).unwrap();
    symlink("../outside", inside.join("relative")).unwrap();
    symlink("/proc/self/root", inside.join("magic")).unwrap();
    fs::create_dir(inside.join("dir")).unwrap();
    fs::create_dir_all(inside.join("dir/sub/empty")).unwrap();
    symlink(&outside, inside.join("dir/absolute")).unwrap();
    symlink("../../outside", inside.join("dir/relative")).unwrap();
    symlink("/proc/self/root", inside.join("dir/magic")).unwrap();
    fs::create_dir(outside.join("sub")).unwrap();
    fs::write(outside.join("sub/file"), "secret").unwrap();
    let mut guests = all_guests_of(&inside);
    for (guest, _) in &mut guests {
        for link in ["absolute", "relative", "magic"] {
            for path in [
                link.to_owned(),
                format!("{link}/"),
                format!("{link}/file"),
                format!("dir/../{link}/file"),
                // Two directories before the last component, which `openat2` opens together.
                format!("dir/{link}/file"),
                format!("{link}/sub/file"),
                format!("dir/{link}/sub/file"),
            ] {
                assert_eq!(open(guest, &path, 0), Err(Errno::Perm), "{path}");
                if !path.ends_with('/') {
                    assert_eq!(open(guest, &path, 1), Err(Errno::Perm), "{path}");
                }
                assert_eq!(stat(guest, &path), Err(Errno::Perm), "{path}");
            }
        }
        for oflags in [0, 1, 8] {
            assert_eq!(open(guest, "absolute-file", oflags), Err(Errno::Perm));
        }
        assert_eq!(open(guest, "dir/sub/new", 1).map(drop), Ok(()));
        assert_eq!(open(guest, "dir/sub/empty/file", 0), Err(Errno::Noent));
    }
    assert_descents(&guests);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"secret");
}

/// Stops the other thread, also when the test panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Another thread replaces a directory by a link to the outside, and back, in a loop.
#[test]
fn g34_no_race_leads_out() {
    let (_temporary, inside, outside) = inside_and_outside();
    let (dir, link) = (inside.join("dir"), inside.join("link"));
    fs::create_dir(&dir).unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    fs::write(dir.join("file"), "public").unwrap();
    fs::create_dir(outside.join("sub")).unwrap();
    symlink(&outside, &link).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&done);
        scope.spawn(|| {
            let spare = inside.join("spare");
            while !done.load(Ordering::Relaxed) {
                for (from, to) in [(&dir, &spare), (&link, &dir), (&dir, &link), (&spare, &dir)] {
                    fs::rename(from, to).unwrap();
                }
            }
        });
        let mut guests = all_guests_of(&inside);
        for (guest, _) in &mut guests {
            let mut n_read = 0;
            for _ in 0..2000 {
                for path in ["dir/file", "dir/sub/../file"] {
                    if let Ok(fd) = open(guest, path, 0) {
                        assert_eq!(guest.read(fd, 100).unwrap(), b"public");
                        guest.close(fd).unwrap();
                        n_read += 1;
                    }
                    let _ = stat(guest, path);
                }
                if let Ok(fd) = open(guest, "dir/sub/new", 1) {
                    guest.close(fd).unwrap();
                }
            }
            assert!(n_read > 0, "the directory never existed");
        }
        assert_descents(&guests);
    });
    assert_eq!(fs::read_dir(outside.join("sub")).unwrap().count(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn g34_the_tests_pass_without_openat2() {
    let args = ["g34_", "--skip", "without_openat2"];
    seccomp::test_without_openat2(&args, "g34_no_race_leads_out", &[]);
}

/// A seccomp filter applies to one thread, and a process may have several directories.
#[test]
#[cfg(target_os = "linux")]
fn a_directory_for_which_openat2_failed_does_not_switch_it_off_for_others() {
    let (_temporary, inside, _outside) = inside_and_outside();
    fs::create_dir_all(inside.join("a/b")).unwrap();
    fs::write(inside.join("a/b/file"), "public").unwrap();
    let n_descents = || {
        let [(mut guest, host), ..] = all_guests_of(&inside);
        let fd = open(&mut guest, "a/b/file", 0).unwrap();
        assert_eq!(guest.read(fd, 100).unwrap(), b"public");
        (*host)
            .as_any()
            .downcast_ref::<HostDir>()
            .unwrap()
            .n_descents()
    };
    let on_filtered_thread = std::thread::scope(|scope| {
        let filtered = scope.spawn(|| {
            seccomp::forbid_openat2();
            n_descents()
        });
        filtered.join().unwrap()
    });
    assert_eq!((on_filtered_thread, n_descents()), (0, 1));
}

/// The host can make links in memory that a guest cannot make.
#[test]
fn g34_links_in_memory_made_by_the_host_do_not_lead_out() {
    let files = MemoryFs::new();
    files.symlink("/etc/passwd", "absolute").unwrap();
    files.symlink("../file", "relative").unwrap();
    files.write("file", "public").unwrap();
    for mut guest in [
        Guest::new(files.clone().into_dir()),
        Guest::new(Overlay::new(&files, MemoryFs::new()).into_dir()),
        Guest::new(Overlay::new(MemoryFs::new(), &files).into_dir()),
    ] {
        for path in [
            "absolute",
            "absolute/",
            "absolute/x",
            "relative",
            "./relative",
        ] {
            assert_eq!(open(&mut guest, path, 0), Err(Errno::Perm), "{path}");
            assert_eq!(stat(&mut guest, path), Err(Errno::Perm), "{path}");
        }
    }
}

#[test]
fn a_moved_directory_stays_accessible_to_the_guest() {
    let (temporary, inside, outside) = inside_and_outside();
    fs::write(inside.join("file"), "public").unwrap();
    let mut guest = guest_of(&inside);
    fs::rename(&inside, temporary.path().join("elsewhere")).unwrap();
    fs::rename(&outside, &inside).unwrap();
    let fd = open(&mut guest, "file", 0).unwrap();
    assert_eq!(guest.read(fd, 100).unwrap(), b"public");
}

#[test]
fn times_outside_of_the_range_saturate() {
    let (_temporary, inside, _outside) = inside_and_outside();
    let file = fs::File::create(inside.join("file")).unwrap();
    let mut guest = guest_of(&inside);
    file.set_modified(UNIX_EPOCH - Duration::from_secs(1_000_000_000))
        .unwrap();
    assert_eq!(stat(&mut guest, "file"), Ok((0, 0)));
    file.set_modified(UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789))
        .unwrap();
    assert_eq!(stat(&mut guest, "file"), Ok((0, 1_234_567_890_123_456_789)));
}

#[test]
fn copies_in_an_overlay_keep_the_permission_bits() {
    let (lower, upper) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (below, above) = (lower.path(), upper.path());
    let set = |path: &Path, bits| fs::set_permissions(path, Permissions::from_mode(bits)).unwrap();
    let bits = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fs::create_dir(below.join("private")).unwrap();
    for (name, mode) in [("secret", 0o600), ("tool", 0o755), ("private/file", 0o640)] {
        fs::write(below.join(name), "contents").unwrap();
        set(&below.join(name), mode);
    }
    fs::write(below.join("frozen"), "contents").unwrap();
    set(&below.join("frozen"), 0o440);
    set(&below.join("private"), 0o700);

    let overlay = || {
        let host = |path| HostDir::open(path).unwrap();
        Overlay::new(host(below), host(above))
    };
    for mut guest in [
        Guest::new(overlay().into_dir()),
        Guest::new(Quota::new(overlay(), 1 << 20, 9).into_dir()),
    ] {
        for (path, oflags) in [
            ("secret", 0),
            ("tool", TRUNC),
            ("private/file", 0),
            ("frozen", 0),
        ] {
            let fd = open_for(&mut guest, WRITE, path, oflags).unwrap();
            guest.write(fd, b"x").unwrap();
        }
    }
    let copied = ["secret", "tool", "private/file", "private"].map(|name| bits(&above.join(name)));
    assert_eq!(copied, [0o600, 0o755, 0o640, 0o700]);
    // The owner can write the copy again.
    assert_eq!(bits(&above.join("frozen")), 0o640);
    assert_eq!(fs::read(below.join("secret")).unwrap(), b"contents");
}

/// Most host filesystems reuse the inode number of a removed file for the next one.
#[test]
fn a_new_file_does_not_reuse_the_inode_number_of_a_removed_copy() {
    let upper = TempDir::new().unwrap();
    let lower = MemoryFs::with_files([("file", "")]).unwrap();
    let host = HostDir::open(upper.path()).unwrap();
    let dir = Overlay::new(&lower, host).into_dir();
    let number = dir.metadata_at("file").unwrap().ino;
    dir.set_times_at("file", SetTimes::default()).unwrap();
    assert!(upper.path().join("file").exists());
    assert_eq!(dir.metadata_at("file").unwrap().ino, number);
    dir.remove_file("file").unwrap();
    for name in ["a", "b", "c"] {
        dir.create_dir(name).unwrap();
        let Ok(Node::Dir(made)) = dir.lookup(name) else {
            panic!("it was made");
        };
        let (seen, own) = (dir.metadata_at(name).unwrap(), made.metadata().unwrap());
        assert_eq!((seen.dev, seen.ino), (own.dev, own.ino), "{name}");
    }
}

#[test]
fn a_read_only_file_is_opened_for_reading_unless_writing_is_requested() {
    let (_temporary, inside, _outside) = inside_and_outside();
    fs::write(inside.join("file"), "public").unwrap();
    let dir = HostDir::open(&inside).unwrap();
    let mut guest = Guest::with(dir.into_dir(), Access::ReadOnly, RightsMode::Compat);
    let fd = open(&mut guest, "file", 0).unwrap();
    assert_eq!(guest.read(fd, 100).unwrap(), b"public");
    assert_eq!(open(&mut guest, "file", 8), Err(Errno::Rofs));
    assert_eq!(open(&mut guest, "new", 1), Err(Errno::Rofs));
    assert_eq!(fs::read(inside.join("file")).unwrap(), b"public");
}

#[test]
fn a_directory_entered_by_descend_equals_one_that_was_opened() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
    let mut guest = guest_of(dir.path());
    for path in ["a/b/c/.", "a/b/c", "a/b/c/..", "."] {
        let fd = match path {
            "." => 3,
            _ => open(&mut guest, path, 0).unwrap(),
        };
        let synced = preview1::fd_sync(&mut guest.ctx, &mut guest.memory, fd);
        assert_eq!(synced, Ok(()), "{path}");
        let listed = preview1::fd_readdir(&mut guest.ctx, &mut guest.memory, fd, 4096, 4096, 0, 0);
        assert_eq!(listed, Ok(()), "{path}");
        let set = preview1::fd_filestat_set_times(&mut guest.ctx, &mut guest.memory, fd, 1, 1, 5);
        assert_eq!(set, Ok(()), "{path}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn g34_the_default_limit_leaves_the_host_half_of_its_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    (0..400).for_each(|i| fs::write(dir.path().join(i.to_string()), "").unwrap());
    let mut guest = guest_of(dir.path());
    let mut last = 3;
    let refused = loop {
        match open(&mut guest, ".", 0) {
            Ok(fd) => last = fd,
            Err(errno) => break errno,
        }
        // An open listing.
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        preview1::fd_readdir(ctx, memory, last, 8192, 200, 0, 0).unwrap();
    };
    assert_eq!((refused, last), (Errno::Mfile, 255));
    // Counts only the descriptors of this guest: other tests run in the same process.
    let path = dir.path().canonicalize().unwrap();
    let is_of_the_guest =
        |entry: &fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|to| to == path);
    let n_host = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let n_host = n_host.filter(is_of_the_guest).count();
    assert!(n_host <= 512, "{n_host}");
    assert!(
        n_host >= 252,
        "{n_host} host descriptors: too few, the count is wrong"
    );
}

/// File types that only some Unix systems can create.
#[cfg(target_os = "linux")]
mod files_of_linux {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_that_are_not_utf_8_are_omitted() {
        let (_temporary, inside, _outside) = inside_and_outside();
        fs::write(inside.join(OsStr::from_bytes(b"\xff\xfe")), "").unwrap();
        fs::write(inside.join("file"), "").unwrap();
        let mut guest = guest_of(&inside);
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        preview1::fd_readdir(ctx, memory, 3, 1024, 1000, 0, 0).unwrap();
        let len = u32::from_le_bytes(guest.memory[..4].try_into().unwrap());
        assert_eq!(len, 3 * 24 + 1 + 2 + 4);
    }

    fn make_pipe(path: &Path) {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
    }

    #[test]
    fn a_pipe_below_an_overlay_keeps_its_times() {
        let (_temporary, inside, _outside) = inside_and_outside();
        make_pipe(&inside.join("pipe"));
        let before = fs::metadata(inside.join("pipe")).unwrap().modified();
        let lower = HostDir::open(&inside).unwrap();
        let mut guest = Guest::new(Overlay::new(lower, MemoryFs::new()).into_dir());
        for rights in [0, READ] {
            let fd = open_for(&mut guest, rights, "pipe", 0).unwrap();
            let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
            let set = preview1::fd_filestat_set_times(ctx, memory, fd, 1, 1, 5);
            assert_eq!(set, Err(Errno::Rofs));
        }
        let after = fs::metadata(inside.join("pipe")).unwrap().modified();
        assert_eq!(before.unwrap(), after.unwrap());
    }

    #[test]
    fn opening_a_named_pipe_without_a_writer_does_not_block() {
        let (_temporary, inside, _outside) = inside_and_outside();
        make_pipe(&inside.join("pipe"));
        let mut guest = guest_of(&inside);
        let fd = open_for(&mut guest, READ, "pipe", 0).unwrap();
        assert_eq!(guest.read(fd, 100), Err(Errno::Spipe));
    }
}
