//! `fd_allocate` with `Allocate::Extend`.

use rangewatch_wasi::fs::{Access, IntoDir, MemoryFs, Overlay, ReadOnly};
use rangewatch_wasi::{Allocate, Errno, Wasi, preview1};

struct Guest {
    ctx: Wasi,
    memory: Vec<u8>,
}

const READ: i64 = 1 << 1;

impl Guest {
    fn new(dir: impl IntoDir, allocate: Allocate) -> Self {
        let builder = Wasi::builder().allocate(allocate);
        Self {
            ctx: builder
                .preopen("/", dir, Access::ReadWrite)
                .build()
                .unwrap(),
            memory: vec![0; 1024],
        }
    }

    fn open(&mut self, oflags: i32, rights: i64) -> i32 {
        self.memory[100..104].copy_from_slice(b"file");
        let (ctx, memory) = (&mut self.ctx, &mut self.memory);
        preview1::path_open(ctx, memory, 3, 0, 100, 4, oflags, rights, 0, 0, 0).unwrap();
        i32::from_le_bytes(self.memory[..4].try_into().unwrap())
    }

    fn allocate(&mut self, fd: i32, offset: i64, len: i64) -> Result<u64, Errno> {
        preview1::fd_allocate(&mut self.ctx, &mut self.memory, fd, offset, len)?;
        preview1::fd_filestat_get(&mut self.ctx, &mut self.memory, fd, 0).unwrap();
        Ok(u64::from_le_bytes(self.memory[32..40].try_into().unwrap()))
    }
}

fn extends(dir: impl IntoDir) {
    let mut guest = Guest::new(dir, Allocate::Extend);
    let fd = guest.open(1, 0);
    assert_eq!(guest.allocate(fd, 10, 90), Ok(100));
    assert_eq!(guest.allocate(fd, 0, 50), Ok(100));
    assert_eq!(guest.allocate(fd, 99, 2), Ok(101));
    for (offset, len) in [(0, 0), (-1, 1), (0, -1)] {
        assert_eq!(guest.allocate(fd, offset, len), Err(Errno::Inval));
    }
    assert_eq!(guest.allocate(fd, i64::MAX, 1), Err(Errno::Fbig));
    let reading = guest.open(0, READ);
    assert_eq!(guest.allocate(reading, 0, 200), Err(Errno::Badf));
    assert_eq!(guest.allocate(3, 0, 1), Err(Errno::Badf));
    assert_eq!(guest.allocate(1, 0, 1), Err(Errno::Notsup));
    assert_eq!(guest.allocate(fd, 0, 1), Ok(101));
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
    let mut guest = Guest::new(&files, Allocate::Refuse);
    let fd = guest.open(0, 0);
    assert_eq!(guest.allocate(fd, 0, 100), Err(Errno::Notsup));
    let mut guest = Guest::new(ReadOnly::new(&files), Allocate::Extend);
    let fd = guest.open(0, 0);
    assert_eq!(guest.allocate(fd, 0, 100), Err(Errno::Badf));
    assert_eq!(files.read("file").unwrap(), b"hello");
}
