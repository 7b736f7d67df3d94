//! Preopened directories and their rights.

use rangewatch_wasi::fs::{Access, MemoryFs};
use rangewatch_wasi::{DotEntries, Errno, RightsMode, Wasi, WasiBuildError, WasiBuilder, preview1};

use crate::guest::Guest;

const CREAT: i32 = 1;
const TRUNC: i32 = 8;

const FD_READ: u64 = 1 << 1;
const FD_SEEK: u64 = 1 << 2;
const FD_WRITE: u64 = 1 << 6;
const PATH_CREATE_FILE: u64 = 1 << 10;
const PATH_OPEN: u64 = 1 << 13;

fn two_dirs() -> WasiBuilder {
    Wasi::builder()
        .preopen(
            "/data",
            MemoryFs::with_files([("file", "data")]).unwrap(),
            Access::ReadWrite,
        )
        .preopen(
            ".",
            MemoryFs::with_files([("file", "here")]).unwrap(),
            Access::ReadOnly,
        )
}

fn name_of(guest: &mut Guest, fd: i32) -> Result<String, Errno> {
    preview1::fd_prestat_get(&mut guest.ctx, &mut guest.memory, fd, 0)?;
    assert_eq!(guest.u32(0), 0);
    let len = guest.u32(4);
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    preview1::fd_prestat_dir_name(ctx, memory, fd, 100, len as i32)?;
    Ok(String::from_utf8(guest.bytes(100, len).to_vec()).unwrap())
}

#[test]
fn preopens_have_the_descriptors_from_3_on_in_order() {
    let mut guest = Guest::new(two_dirs());
    assert_eq!(name_of(&mut guest, 3).as_deref(), Ok("/data"));
    assert_eq!(name_of(&mut guest, 4).as_deref(), Ok("."));
    assert_eq!(name_of(&mut guest, 5), Err(Errno::Badf));
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    let short = preview1::fd_prestat_dir_name(ctx, memory, 3, 0, 4);
    assert_eq!(short, Err(Errno::Nametoolong));
    let wild = preview1::fd_prestat_dir_name(ctx, memory, 3, -1, 5);
    assert_eq!(wild, Err(Errno::Fault));
    // A directory that the guest has opened itself is not preopened.
    assert_eq!(guest.open(".", 0), Ok(5));
    assert_eq!(name_of(&mut guest, 5), Err(Errno::Badf));
}

#[test]
fn renumbering_moves_a_preopen_and_closing_ends_it() {
    let mut guest = Guest::new(two_dirs());
    preview1::fd_renumber(&mut guest.ctx, &mut [], 4, 3).unwrap();
    assert_eq!(name_of(&mut guest, 3).as_deref(), Ok("."));
    let fd = guest.open("file", 0).unwrap();
    assert_eq!(guest.read(fd, 9).unwrap(), b"here");
    preview1::fd_close(&mut guest.ctx, &mut [], 3).unwrap();
    assert_eq!(name_of(&mut guest, 3), Err(Errno::Badf));
    assert_eq!(guest.open("file", 0), Err(Errno::Badf));
}

#[test]
fn g34_a_guest_without_directories_opens_nothing() {
    let mut guest = Guest::new(Wasi::builder());
    for fd in 0..3 {
        assert_eq!(guest.open_at(fd, "file", 0, (0, 0)), Err(Errno::Notdir));
    }
    assert_eq!(guest.open("file", 0), Err(Errno::Badf));
}

#[test]
fn g34_no_link_or_rename_moves_a_file_out_of_a_read_only_directory() {
    let files = MemoryFs::with_files([("file", "data"), ("rw/x", "")]).unwrap();
    let mut guest = Guest::new(
        Wasi::builder()
            .preopen("/rw", &files, Access::ReadWrite)
            .preopen("/ro", &files, Access::ReadOnly),
    );
    assert_eq!(guest.link((4, "file"), (3, "alias")), Err(Errno::Rofs));
    assert_eq!(guest.rename((4, "file"), (3, "alias")), Err(Errno::Rofs));
    let into = guest.rename((3, "rw/x"), (4, "y"));
    assert_eq!(into, Err(Errno::Xdev));
    assert_eq!(guest.link((3, "file"), (4, "y")), Err(Errno::Xdev));
    assert_eq!(guest.open_at(4, "file", TRUNC, (0, 0)), Err(Errno::Rofs));
    assert_eq!(files.read("file").unwrap(), b"data");
}

#[test]
fn filesystems_have_different_devices_and_refuse_cross_renames() {
    let one = MemoryFs::with_files([("file", "1")]).unwrap();
    let builder = Wasi::builder()
        .preopen("/1", &one, Access::ReadWrite)
        .preopen(
            "/2",
            MemoryFs::with_files([("x", "2")]).unwrap(),
            Access::ReadWrite,
        )
        .preopen("/3", &one, Access::ReadWrite);
    let mut guest = Guest::new(builder);
    assert_eq!(guest.rename((3, "file"), (4, "y")), Err(Errno::Xdev));
    assert_eq!(guest.link((3, "file"), (4, "y")), Err(Errno::Xdev));
    let mut dev = |fd| {
        preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, fd, 0).unwrap();
        guest.u64(0)
    };
    assert_eq!([dev(3), dev(4), dev(5)], [1, 2, 1]);
    guest.rename((3, "file"), (5, "moved")).unwrap();
    assert_eq!(one.list(".").unwrap(), ["moved"]);
}

#[test]
fn a_guest_path_is_checked_when_the_context_is_built() {
    let build = |path: &str| {
        let builder = Wasi::builder().preopen(path, MemoryFs::new(), Access::ReadOnly);
        builder.build().map(drop)
    };
    for path in ["", "a\0b", &"x".repeat(4097)] {
        let path = path.to_owned();
        assert_eq!(build(&path), Err(WasiBuildError::InvalidGuestPath { path }));
    }
    for (first, path) in [(".", "."), ("/x", "/x/"), ("/x//", "/x"), ("/", "//")] {
        let twice = Wasi::builder()
            .preopen(first, MemoryFs::new(), Access::ReadOnly)
            .preopen(path, MemoryFs::new(), Access::ReadOnly);
        let path = path.to_owned();
        assert_eq!(
            twice.build().map(drop),
            Err(WasiBuildError::DuplicateGuestPath { path })
        );
    }
    let root_and_below = Wasi::builder()
        .preopen("/", MemoryFs::new(), Access::ReadOnly)
        .preopen("/x", MemoryFs::new(), Access::ReadOnly);
    assert!(root_and_below.build().is_ok());
}

#[test]
fn a_call_beyond_the_descriptor_limit_has_no_effect() {
    let files = MemoryFs::new();
    let mut guest = Guest::new(Wasi::builder().max_descriptors(6).preopen(
        "/",
        &files,
        Access::ReadWrite,
    ));
    assert_eq!(guest.open("a", CREAT), Ok(4));
    assert_eq!(guest.open("b", CREAT), Ok(5));
    assert_eq!(guest.open("c", CREAT), Err(Errno::Mfile));
    assert_eq!(guest.open("a", TRUNC), Err(Errno::Mfile));
    assert_eq!(files.list(".").unwrap(), ["a", "b"]);
    preview1::fd_close(&mut guest.ctx, &mut [], 1).unwrap();
    assert_eq!(guest.open("c", CREAT), Ok(1));
    let mut guest = Guest::new(two_dirs().max_descriptors(0));
    assert_eq!(guest.open("file", 0), Err(Errno::Mfile));
}

#[test]
fn dot_entries_are_omitted_if_the_host_says_so() {
    let mut guest = Guest::new(two_dirs().dot_entries(DotEntries::Omitted));
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    preview1::fd_readdir(ctx, memory, 3, 1000, 1000, 0, 0).unwrap();
    assert_eq!(guest.u32(0), 24 + 4);
    assert_eq!(guest.bytes(1024, 4), b"file");
}

fn set_rights(guest: &mut Guest, fd: i32, base: u64, inheriting: u64) -> Result<(), Errno> {
    let rights = (base as i64, inheriting as i64);
    preview1::fd_fdstat_set_rights(&mut guest.ctx, &mut [], fd, rights.0, rights.1)
}

#[test]
fn dropping_rights_is_immediate_permanent_and_inherited() {
    for mode in [RightsMode::Strict, RightsMode::Compat] {
        let mut guest = Guest::new(two_dirs().rights(mode));
        let dir = guest.fdstat(3).unwrap();
        assert_eq!(dir.rights_base & (FD_READ | FD_WRITE | FD_SEEK), 0);
        let fewer = dir.rights_base & !PATH_CREATE_FILE;
        set_rights(&mut guest, 3, fewer, dir.rights_inheriting & !FD_WRITE).unwrap();
        let create = guest.open_at(3, "new", CREAT, (FD_READ as i64, 0));
        assert_eq!(create, Err(Errno::Notcapable));
        let again = set_rights(&mut guest, 3, dir.rights_base, 0);
        assert_eq!(again, Err(Errno::Notcapable));
        assert_eq!(guest.fdstat(3).unwrap().rights_base, fewer);
        let wanted = FD_READ | FD_WRITE;
        let opened = guest.open_at(3, "file", 0, (wanted as i64, 0));
        if mode == RightsMode::Strict {
            assert_eq!(opened, Err(Errno::Notcapable));
        } else {
            let fd = opened.unwrap();
            assert_eq!(guest.write(fd, b"x"), Err(Errno::Notcapable));
            assert_eq!(guest.read(fd, 9).unwrap(), b"data");
            set_rights(&mut guest, fd, 0, 0).unwrap();
            assert_eq!(guest.read(fd, 9), Err(Errno::Notcapable));
        }
        set_rights(
            &mut guest,
            3,
            dir.rights_base & !PATH_CREATE_FILE & !PATH_OPEN,
            0,
        )
        .unwrap();
        assert_eq!(guest.open("file", 0), Err(Errno::Notcapable));
    }
    let mut guest = Guest::new(two_dirs().rights(RightsMode::Off));
    assert_eq!(set_rights(&mut guest, 3, 0, 0), Err(Errno::Notsup));
}

#[test]
fn strict_grants_the_requested_rights_and_compat_all() {
    let mut guest = Guest::new(two_dirs().rights(RightsMode::Strict));
    let fd = guest.open("file", 0).unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().rights_base, 0);
    assert_eq!(guest.read(fd, 1), Err(Errno::Notcapable));
    // Unknown bits of rights are ignored.
    let fd = guest.open_at(3, "file", 0, ((FD_READ | 1 << 40) as i64, 0));
    assert_eq!(guest.fdstat(fd.unwrap()).unwrap().rights_base, FD_READ);

    let mut guest = Guest::new(two_dirs());
    let fd = guest.open("file", 0).unwrap();
    assert_eq!(guest.read(fd, 1).unwrap(), b"d");
    assert_eq!(guest.write(fd, b"x"), Ok(1));
    let fd = guest.open_at(4, "file", 0, (0, 0)).unwrap();
    assert_eq!(guest.read(fd, 1).unwrap(), b"h");
    assert_eq!(guest.write(fd, b"x"), Err(Errno::Badf));
}
