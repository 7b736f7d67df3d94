//! `fd_allocate` with `Allocate::Extend`.

use rangewatch_wasi::fs::conformance::guest::{Guest, KEEP, READ, ROOT};
use rangewatch_wasi::fs::{Access, IntoDir, MemoryFs, Overlay, ReadOnly};
use rangewatch_wasi::{Allocate, Errno, Wasi};

fn new_guest(dir: impl IntoDir, allocate: Allocate) -> Guest {
    let builder = Wasi::builder().allocate(allocate);
    Guest::of(builder.preopen("/", dir, Access::ReadWrite))
}

fn open(guest: &mut Guest, oflags: i32, rights: i64) -> i32 {
    let opened = guest.open_at(ROOT, KEEP, "file", oflags, rights, 0);
    opened.unwrap()
}

/// Returns the size of the file after the call.
fn allocate(guest: &mut Guest, fd: i32, offset: i64, len: i64) -> Result<u64, Errno> {
    guest.allocate(fd, offset, len)?;
    Ok(guest.fstat(fd).unwrap().size_bytes)
}

fn extends(dir: impl IntoDir) {
    let mut guest = new_guest(dir, Allocate::Extend);
    let fd = open(&mut guest, 1, 0);
    assert_eq!(allocate(&mut guest, fd, 10, 90), Ok(100));
    assert_eq!(allocate(&mut guest, fd, 0, 50), Ok(100));
    assert_eq!(allocate(&mut guest, fd, 99, 2), Ok(101));
    for (offset, len) in [(0, 0), (-1, 1), (0, -1)] {
        assert_eq!(allocate(&mut guest, fd, offset, len), Err(Errno::Inval));
    }
    assert_eq!(allocate(&mut guest, fd, i64::MAX, 1), Err(Errno::Fbig));
    let reading = open(&mut guest, 0, READ);
    assert_eq!(allocate(&mut guest, reading, 0, 200), Err(Errno::Badf));
    assert_eq!(allocate(&mut guest, 3, 0, 1), Err(Errno::Badf));
    assert_eq!(allocate(&mut guest, 1, 0, 1), Err(Errno::Notsup));
    assert_eq!(allocate(&mut guest, fd, 0, 1), Ok(101));
}

#[test]
fn allocate_extends_a_memory_file_and_never_truncates_it() {
    extends(MemoryFs::new());
}

#[test]
#[cfg(target_os = "linux")]
fn allocate_extends_a_host_file_and_never_truncates_it() {
    let temporary = tempfile::tempdir().unwrap();
    extends(rangewatch_wasi::fs::HostDir::open(temporary.path()).unwrap());
}

#[test]
fn allocate_extends_an_overlay_file_and_never_truncates_it() {
    extends(Overlay::new(
        MemoryFs::with_files([("file", "")]).unwrap(),
        MemoryFs::new(),
    ));
}

#[test]
fn allocate_is_not_supported_unless_the_host_allows_it() {
    let files = MemoryFs::with_files([("file", "hello")]).unwrap();
    let mut guest = new_guest(&files, Allocate::Refuse);
    let fd = open(&mut guest, 0, 0);
    assert_eq!(allocate(&mut guest, fd, 0, 100), Err(Errno::Notsup));
    let mut guest = new_guest(ReadOnly::new(&files), Allocate::Extend);
    let fd = open(&mut guest, 0, 0);
    assert_eq!(allocate(&mut guest, fd, 0, 100), Err(Errno::Badf));
    assert_eq!(files.read("file").unwrap(), b"hello");
}
