//! The filesystem in memory: what it may hold, what its host does with it, and that it is the same in each run.

use rangewatch_wasi::fs::{Access, Devices, Dir, FileType, IntoDir, MemoryFs, Node};
use rangewatch_wasi::{Errno, SeededRandom, Wasi, preview1};

use crate::guest::Guest;

const CREAT: i32 = 1;

fn guest(fs: &MemoryFs) -> Guest {
    Guest::new(Wasi::builder().preopen("/", fs, Access::ReadWrite))
}

#[test]
fn the_host_and_the_guest_see_each_other_s_files() {
    let fs = MemoryFs::from([("greeting.txt", "hello"), ("a/b/c", "deep")]);
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
fn a_mistake_of_the_host_is_an_error_that_names_the_path() {
    let fs = MemoryFs::from([("dir/file", "")]);
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
#[should_panic(expected = "cannot make a file: `/absolute`: operation not permitted (PERM)")]
fn a_literal_with_a_bad_path_panics() {
    let _ = MemoryFs::from([("/absolute", "")]);
}

#[test]
fn a_filesystem_that_is_full_takes_what_fits_and_has_room_again_afterwards() {
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

    // What has no name counts for as long as it is open.
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
fn a_file_that_is_too_large_for_the_memory_of_the_host_is_an_error_to_it() {
    let fs = MemoryFs::builder().limit_bytes(u64::MAX).build();
    let mut guest = guest(&fs);
    let fd = guest.open("hole", CREAT).unwrap();
    for size in [i64::MAX, 1 << 60] {
        preview1::fd_filestat_set_size(&mut guest.ctx, &mut [], fd, size).unwrap();
        assert_eq!(fs.read("hole").unwrap_err().errno, Errno::Nomem);
    }
}

#[test]
fn every_name_counts_those_of_links_and_directories_included() {
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
fn two_runs_are_the_same_run() {
    let run = || {
        let fs = MemoryFs::from([("a", "hello"), ("b/c", "world")]);
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
fn a_guest_numbers_filesystems_by_itself_whatever_the_host_made_before() {
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
    // Root directories have one number; what tells them apart is that of the filesystem.
    assert_eq!(numbers(), [(1, 1), (2, 1), (2, 1)]);
    assert_eq!(numbers(), [(1, 1), (2, 1), (2, 1)]);
}

#[test]
fn files_that_outlive_their_filesystem_are_dated_alike_in_two_runs() {
    let run = || {
        let mut guest =
            Guest::new(Wasi::builder().preopen("/", MemoryFs::new(), Access::ReadWrite));
        let fds: Vec<_> = (0..20)
            .map(|i| guest.open(&i.to_string(), CREAT).unwrap())
            .collect();
        // Nobody else has the root, so that this takes the tree apart.
        preview1::fd_close(&mut guest.ctx, &mut [], 3).unwrap();
        let stat = |fd| {
            preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, fd, 0).unwrap();
            guest.bytes(0, 64).to_vec()
        };
        fds.into_iter().map(stat).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

/// A guest nests as deep as it has names for; each level must not cost the host a frame of its stack.
#[test]
fn g30_a_tree_of_any_depth_is_dropped() {
    const DEPTH: usize = 100_000;
    let fs = MemoryFs::new();
    let mut guest = guest(&fs);
    for _ in 0..DEPTH {
        guest.create_dir(3, "d").unwrap();
        let fd = guest.open_at(3, "d", 0, (0, 0)).unwrap();
        preview1::fd_renumber(&mut guest.ctx, &mut [], fd, 3).unwrap();
    }
    assert_eq!(fs.n_entries(), DEPTH as u64);
    // What is open keeps what is below it, and the rest goes.
    drop(fs);
    guest.create_dir(3, "e").unwrap();
    drop(guest);
}

#[test]
fn paths_go_only_so_deep_at_once() {
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
fn links_lead_through_only_so_many_directories() {
    let fs = MemoryFs::from([("l0", "")]);
    fs.create_dir_all("a").unwrap();
    let detour = "a/../".repeat(800);
    for i in 1..=6 {
        fs.symlink(format!("{detour}l{}", i - 1), format!("l{i}"))
            .unwrap();
    }
    assert_eq!(fs.read("l5").unwrap(), b"");
    assert_eq!(fs.read("l6").unwrap_err().errno, Errno::Loop);
}

#[test]
fn a_device_is_an_entry_like_a_file_but_its_contents_are_elsewhere() {
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

    // The numbers are those of this filesystem, so that no two entries have the same.
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
