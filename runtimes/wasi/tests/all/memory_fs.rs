//! The memory filesystem: limits, the host's access, reproducible runs.

use rangewatch_wasi::fs::{Access, Devices, Dir, FileType, IntoDir, MemoryFs, Node};
use rangewatch_wasi::{Errno, SeededRandom, Wasi, preview1};

use crate::guest::Guest;

const CREAT: i32 = 1;

fn guest(fs: &MemoryFs) -> Guest {
    Guest::new(Wasi::builder().preopen("/", fs, Access::ReadWrite))
}

#[test]
fn the_host_and_the_guest_share_the_files() {
    let fs = MemoryFs::with_files([("greeting.txt", "hello"), ("a/b/c", "deep")]).unwrap();
    let mut guest = guest(&fs);
    let fd = guest.open("a/b/c", 0).unwrap();
    assert_eq!(guest.read(fd, 9).unwrap(), b"deep");
    assert_eq!(guest.write(fd, b"er"), Ok(2));
    assert_eq!(fs.read("a/b/c").unwrap(), b"deeper");
    fs.write("a/b/c", "new").unwrap();
    preview1::fd_seek(&mut guest.ctx, &mut guest.memory, fd, 0, 0, 0).unwrap();
    assert_eq!(guest.read(fd, 9).unwrap(), b"new");

    assert_eq!(fs.list(".").unwrap(), ["greeting.txt", "a"]);
    assert_eq!(fs.list("a/b/").unwrap(), ["c"]);
    assert_eq!(fs.metadata("a/b/c").unwrap().size_bytes, 3);
    fs.symlink("a/b", "link").unwrap();
    assert_eq!(fs.read("link/c").unwrap(), b"new");
    fs.remove("link").unwrap();
    fs.remove("greeting.txt").unwrap();
    assert_eq!(fs.list(".").unwrap(), ["a"]);
    assert_eq!((fs.n_entries(), fs.used_bytes()), (3, 3));
}

#[test]
fn an_error_of_the_host_names_the_path() {
    let fs = MemoryFs::with_files([("dir/file", "")]).unwrap();
    let errno = |result: Result<(), rangewatch_wasi::fs::MemoryFsError>| {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(&error.path), "{error}");
        error.errno
    };
    assert_eq!(errno(fs.read("no").map(drop)), Errno::Noent);
    assert_eq!(errno(fs.read("dir").map(drop)), Errno::Isdir);
    assert_eq!(errno(fs.read("/dir/file").map(drop)), Errno::Perm);
    assert_eq!(errno(fs.read("../x").map(drop)), Errno::Perm);
    assert_eq!(errno(fs.write("dir", "x")), Errno::Isdir);
    assert_eq!(errno(fs.write("dir/file/x", "x")), Errno::Notdir);
    assert_eq!(errno(fs.write("", "x")), Errno::Noent);
    assert_eq!(errno(fs.remove("dir")), Errno::Notempty);
    assert_eq!(errno(fs.list("dir/file").map(drop)), Errno::Notdir);
    assert_eq!(errno(fs.symlink("", "link")), Errno::Noent);
    assert_eq!(errno(fs.create_dir_all("dir/file")), Errno::Notdir);
    assert_eq!(fs.list("dir").unwrap(), ["file"]);
}

#[test]
fn a_bad_path_in_a_list_of_files_is_an_error() {
    let error = MemoryFs::with_files([("good", ""), ("/absolute", "")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/absolute`: operation not permitted (PERM)"
    );
}

#[test]
fn a_full_filesystem_writes_in_part_and_releases_space_afterwards() {
    let fs = MemoryFs::builder().limit_bytes(10).build();
    let mut guest = guest(&fs);
    let (a, b) = (
        guest.open("a", CREAT).unwrap(),
        guest.open("b", CREAT).unwrap(),
    );
    assert_eq!(guest.write(a, b"1234567"), Ok(7));
    assert_eq!(guest.write(b, b"1234567"), Err(Errno::Nospc));
    assert_eq!(guest.write(b, b"123"), Ok(3));
    assert_eq!(guest.write(b, b"4"), Err(Errno::Nospc));
    assert_eq!(fs.used_bytes(), 10);

    // A removed file is charged while it is open.
    guest.unlink("a").unwrap();
    assert_eq!(guest.write(b, b"4"), Err(Errno::Nospc));
    preview1::fd_close(&mut guest.ctx, &mut [], a).unwrap();
    assert_eq!(fs.used_bytes(), 3);
    assert_eq!(guest.write(b, b"4567890"), Ok(7));
    assert_eq!(guest.write(b, b"x"), Err(Errno::Fbig));
    let set_size =
        |guest: &mut Guest, size| preview1::fd_filestat_set_size(&mut guest.ctx, &mut [], b, size);
    set_size(&mut guest, 2).unwrap();
    assert_eq!(fs.used_bytes(), 2);
    assert_eq!(set_size(&mut guest, 11), Err(Errno::Fbig));
    set_size(&mut guest, 10).unwrap();
    assert_eq!(fs.used_bytes(), 2);
    assert_eq!(fs.read("b").unwrap(), b"12\0\0\0\0\0\0\0\0");
    assert_eq!(
        fs.symlink("123456789", "c").unwrap_err().errno,
        Errno::Nospc
    );
    drop(guest);
    fs.remove("b").unwrap();
    assert_eq!((fs.n_entries(), fs.used_bytes()), (0, 0));
}

#[test]
fn reading_a_file_larger_than_the_host_memory_fails() {
    let fs = MemoryFs::builder().limit_bytes(u64::MAX).build();
    let mut guest = guest(&fs);
    let fd = guest.open("hole", CREAT).unwrap();
    for size in [i64::MAX, 1 << 60] {
        preview1::fd_filestat_set_size(&mut guest.ctx, &mut [], fd, size).unwrap();
        assert_eq!(fs.read("hole").unwrap_err().errno, Errno::Nomem);
    }
}

#[test]
fn every_directory_entry_is_charged() {
    let fs = MemoryFs::builder().limit_entries(3).build();
    let mut guest = guest(&fs);
    guest.open("a", CREAT).unwrap();
    guest.link((3, "a"), (3, "b")).unwrap();
    guest.create_dir(3, "c").unwrap();
    assert_eq!(guest.open("d", CREAT), Err(Errno::Nospc));
    assert_eq!(guest.link((3, "a"), (3, "d")), Err(Errno::Nospc));
    assert_eq!(guest.create_dir(3, "d"), Err(Errno::Nospc));
    assert_eq!(fs.symlink("a", "d").unwrap_err().errno, Errno::Nospc);
    assert_eq!(fs.metadata("a").unwrap().n_links, 2);
    guest.rename((3, "a"), (3, "c/a")).unwrap();
    assert_eq!(guest.open("d", CREAT), Err(Errno::Nospc));
    guest.rename((3, "c/a"), (3, "e")).unwrap();
    guest.unlink("e").unwrap();
    guest.open("d", CREAT).unwrap();
    assert_eq!(fs.n_entries(), 3);
}

#[test]
fn two_runs_are_identical() {
    let run = || {
        let fs = MemoryFs::with_files([("a", "hello"), ("b/c", "world")]).unwrap();
        let mut guest = guest(&fs);
        let fd = guest.open("b/d", CREAT).unwrap();
        guest.write(fd, b"x").unwrap();
        guest.rename((3, "a"), (3, "b/a")).unwrap();
        let mut seen = Vec::new();
        for path in [".", "b", "b/a", "b/c", "b/d"] {
            let fd = guest.open(path, 0).unwrap();
            preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, fd, 0).unwrap();
            seen.push(guest.bytes(0, 64).to_vec());
        }
        (seen, fs.list("b").unwrap())
    };
    assert_eq!(run(), run());
}

#[test]
fn device_numbers_are_assigned_per_guest() {
    let numbers = || {
        let (one, other) = (MemoryFs::new(), MemoryFs::new());
        let builder = Wasi::builder()
            .preopen("/other", &other, Access::ReadWrite)
            .preopen("/one", &one, Access::ReadOnly)
            .preopen("/one again", &one, Access::ReadWrite);
        let mut guest = Guest::new(builder);
        [3, 4, 5].map(|fd| {
            preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, fd, 0).unwrap();
            (guest.u64(0), guest.u64(8))
        })
    };
    // Root directories have the same inode number; the device number distinguishes them.
    assert_eq!(numbers(), [(1, 1), (2, 1), (2, 1)]);
    assert_eq!(numbers(), [(1, 1), (2, 1), (2, 1)]);
}

#[test]
fn files_that_outlive_their_filesystem_have_reproducible_times() {
    let run = || {
        let mut guest =
            Guest::new(Wasi::builder().preopen("/", MemoryFs::new(), Access::ReadWrite));
        let fds: Vec<_> = (0..20)
            .map(|i| guest.open(&i.to_string(), CREAT).unwrap())
            .collect();
        // This is the last reference to the root, so the drop removes the whole tree.
        preview1::fd_close(&mut guest.ctx, &mut [], 3).unwrap();
        let stat = |fd| {
            preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, fd, 0).unwrap();
            guest.bytes(0, 64).to_vec()
        };
        fds.into_iter().map(stat).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

/// A guest can nest directories deeply; dropping a level must not take a frame of the host's stack.
#[test]
fn g30_dropping_a_deep_tree_does_not_overflow_the_stack() {
    const DEPTH: usize = 100_000;
    let fs = MemoryFs::new();
    let mut guest = guest(&fs);
    for _ in 0..DEPTH {
        guest.create_dir(3, "d").unwrap();
        let fd = guest.open_at(3, "d", 0, (0, 0)).unwrap();
        preview1::fd_renumber(&mut guest.ctx, &mut [], fd, 3).unwrap();
    }
    assert_eq!(fs.n_entries(), DEPTH as u64);
    // An open directory keeps its contents; the rest is dropped.
    drop(fs);
    guest.create_dir(3, "e").unwrap();
    drop(guest);
}

#[test]
fn the_depth_of_a_path_is_limited() {
    let fs = MemoryFs::new();
    fs.create_dir_all(["d"; 256].join("/")).unwrap();
    let deeper = ["d"; 258].join("/");
    assert_eq!(
        fs.create_dir_all(&deeper).unwrap_err().errno,
        Errno::Nametoolong
    );
    let mut guest = guest(&fs);
    let fd = guest.open(&["d"; 256].join("/"), 0).unwrap();
    guest.create_dir(fd, "e").unwrap();
}

#[test]
fn links_enter_a_bounded_number_of_directories() {
    let fs = MemoryFs::with_files([("l0", "")]).unwrap();
    fs.create_dir_all("a").unwrap();
    let detour = "a/../".repeat(200);
    for i in 1..=6 {
        fs.symlink(format!("{detour}l{}", i - 1), format!("l{i}"))
            .unwrap();
    }
    assert_eq!(fs.read("l5").unwrap(), b"");
    assert_eq!(fs.read("l6").unwrap_err().errno, Errno::Loop);
}

#[test]
fn a_device_is_a_directory_entry_whose_contents_are_outside() {
    let devices = Devices::new(SeededRandom::new(1));
    let device = |name| match devices.lookup(name) {
        Ok(Node::File(device)) => device,
        other => panic!("{name}: {other:?}"),
    };
    let fs = MemoryFs::new();
    fs.write("file", "contents").unwrap();
    fs.add_device("dev/null", device("null")).unwrap();
    fs.add_device("dev/zero", device("zero")).unwrap();
    for (path, errno) in [("dev/null", Errno::Exist), ("file/null", Errno::Notdir)] {
        let error = fs.add_device(path, device("null")).unwrap_err();
        assert_eq!((error.path.as_str(), error.errno), (path, errno));
    }

    // The device and inode numbers are those of this filesystem, and unique in it.
    let of = |path| fs.metadata(path).unwrap();
    let (file, null, zero) = (of("file"), of("dev/null"), of("dev/zero"));
    assert_eq!(null.file_type, FileType::CharacterDevice);
    assert_eq!((null.dev, zero.dev), (file.dev, file.dev));
    assert!(null.ino != zero.ino && null.ino != file.ino && zero.ino != file.ino);

    let root = (&fs).into_dir();
    let Ok(Node::Dir(dev)) = root.lookup("dev") else {
        panic!("`dev` is a directory");
    };
    dev.link("null", &*root, "linked").unwrap();
    dev.rename("zero", &*root, "file").unwrap();
    assert_eq!(fs.list("dev").unwrap(), ["null"]);
    assert_eq!(fs.list(".").unwrap(), ["dev", "linked", "file"]);
    assert_eq!(of("file").ino, zero.ino);
    fs.remove("dev/null").unwrap();
    fs.remove("linked").unwrap();
    assert_eq!((fs.n_entries(), fs.used_bytes()), (2, 0));
}
