//! How much memory of the host one call of a guest allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll};

use rangewatch_wasi::fs::{Access, Dir, IntoDir, MemoryFs, Node, Overlay};
use rangewatch_wasi::net::{Readiness, Socket, socket_pair};
use rangewatch_wasi::{Errno, MAX_IOVECS, SharedBuffer, Stdin, Wasi, call, preview1};

thread_local! {
    static ALLOCATED_BYTES: Cell<usize> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that each thread allocates, with and without subtracting the bytes it frees.
struct Counting;

#[expect(unsafe_code, reason = "implementing GlobalAlloc requires unsafe")]
// SAFETY: every call is forwarded unchanged to the system's allocator, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED_BYTES.set(ALLOCATED_BYTES.get() + layout.size());
        LIVE_BYTES.set(LIVE_BYTES.get().wrapping_add(layout.size()));
        // SAFETY: the caller upholds the contract of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE_BYTES.set(LIVE_BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: the caller upholds the contract of the system's allocator.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MOST_BYTES: usize = 1 << 20;

fn allocated_bytes(call: impl FnOnce()) -> usize {
    let before = ALLOCATED_BYTES.get();
    call();
    ALLOCATED_BYTES.get() - before
}

/// A memory of 4 MiB that starts with the longest table of buffers, each of which is the whole
/// memory.
fn greedy_memory() -> Vec<u8> {
    let mut memory = vec![0; 4 << 20];
    let len = memory.len() as u32;
    for entry in memory[..MAX_IOVECS as usize * 8].chunks_exact_mut(8) {
        entry[4..].copy_from_slice(&len.to_le_bytes());
    }
    memory
}

#[test]
fn one_write_to_a_captured_stream_allocates_at_most_a_mebibyte() {
    let out = SharedBuffer::new();
    let mut ctx = Wasi::builder().stdout(out.clone()).build().unwrap();
    let mut memory = greedy_memory();
    let result = memory.len() as i32 - 4;
    while out.len() < SharedBuffer::DEFAULT_LIMIT_BYTES {
        let bytes = allocated_bytes(|| {
            preview1::fd_write(&mut ctx, &mut memory, 1, 0, MAX_IOVECS as i32, result).unwrap();
        });
        assert!(
            bytes <= MOST_BYTES,
            "{bytes} bytes at a length of {}",
            out.len()
        );
    }
}

#[test]
fn one_read_allocates_at_most_a_mebibyte() {
    struct Endless;
    impl Read for Endless {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            Ok(buf.len())
        }
    }
    for stdin in [Stdin::reader(Endless), Stdin::bytes(vec![0; 8 << 20])] {
        let mut ctx = Wasi::builder().stdin(stdin).build().unwrap();
        let mut memory = greedy_memory();
        let bytes = allocated_bytes(|| {
            let result = memory.len() as i32 - 4;
            let n_iovecs = MAX_IOVECS as i32;
            if preview1::fd_read(&mut ctx, &mut memory, 0, 0, n_iovecs, result).is_err() {
                ctx.block();
                preview1::fd_read(&mut ctx, &mut memory, 0, 0, n_iovecs, result).unwrap();
            }
        });
        assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    }
}

#[test]
fn frequent_calls_do_not_allocate() {
    let mut ctx = Wasi::builder()
        .args(["a", "b"])
        .stdin("text")
        .stdout(SharedBuffer::new())
        .build()
        .unwrap();
    let mut memory = vec![0; 65_536];
    memory[0..8].copy_from_slice(&[64, 0, 0, 0, 4, 0, 0, 0]);
    preview1::fd_write(&mut ctx, &mut memory, 1, 0, 1, 16).unwrap();
    let bytes = allocated_bytes(|| {
        preview1::args_get(&mut ctx, &mut memory, 100, 200).unwrap();
        preview1::clock_time_get(&mut ctx, &mut memory, 0, 0, 24).unwrap();
        preview1::random_get(&mut ctx, &mut memory, 1000, 60_000).unwrap();
        preview1::fd_fdstat_get(&mut ctx, &mut memory, 1, 500).unwrap();
        preview1::fd_read(&mut ctx, &mut memory, 0, 0, 1, 16).unwrap();
        preview1::fd_write(&mut ctx, &mut memory, 1, 0, 1, 16).unwrap();
    });
    assert_eq!(bytes, 0);
}

/// A guest with one memory file open as descriptor 4. Results go to the last bytes of its memory.
fn with_file(fs: &MemoryFs) -> (Wasi, Vec<u8>, i32) {
    let mut ctx = Wasi::builder()
        .preopen("/", fs, Access::ReadWrite)
        .build()
        .unwrap();
    let mut memory = greedy_memory();
    let result = memory.len() as i32 - 8;
    memory[100_000] = b'f';
    preview1::path_open(&mut ctx, &mut memory, 3, 0, 100_000, 1, 1, 0, 0, 0, result).unwrap();
    (ctx, memory, result)
}

#[test]
fn one_transfer_to_or_from_a_file_in_memory_allocates_at_most_a_mebibyte() {
    let fs = MemoryFs::new();
    let (mut ctx, mut memory, result) = with_file(&fs);
    let n_iovecs = MAX_IOVECS as i32;
    for _ in 0..40 {
        let bytes = allocated_bytes(|| {
            preview1::fd_write(&mut ctx, &mut memory, 4, 0, n_iovecs, result).unwrap();
        });
        assert!(bytes <= MOST_BYTES, "{bytes} bytes to write");
    }
    let bytes = allocated_bytes(|| {
        preview1::fd_pread(&mut ctx, &mut memory, 4, 0, n_iovecs, 0, result).unwrap();
    });
    assert!(bytes <= MOST_BYTES, "{bytes} bytes to read");
}

#[test]
fn a_sparse_file_is_charged_for_its_data() {
    let fs = MemoryFs::new();
    let (mut ctx, mut memory, result) = with_file(&fs);
    let end = MemoryFs::DEFAULT_LIMIT_BYTES as i64;
    memory[0..8].copy_from_slice(&[64, 0, 0, 0, 1, 0, 0, 0]);
    let bytes = allocated_bytes(|| {
        preview1::fd_filestat_set_size(&mut ctx, &mut memory, 4, end).unwrap();
        preview1::fd_pwrite(&mut ctx, &mut memory, 4, 0, 1, end - 1, result).unwrap();
        preview1::fd_seek(&mut ctx, &mut memory, 4, i64::MAX, 0, result).unwrap();
        assert!(preview1::fd_write(&mut ctx, &mut memory, 4, 0, 1, result).is_err());
        assert!(preview1::fd_filestat_set_size(&mut ctx, &mut memory, 4, i64::MAX).is_err());
        preview1::fd_pread(&mut ctx, &mut memory, 4, 0, 1, end / 2, result).unwrap();
    });
    assert!(bytes <= 200 << 10, "{bytes} bytes");
}

#[test]
fn one_piece_of_a_large_listing_allocates_at_most_a_mebibyte() {
    let fs = MemoryFs::new();
    for i in 0..30_000 {
        fs.write(format!("a file with the number {i}"), "").unwrap();
    }
    let (mut ctx, mut memory, result) = with_file(&fs);
    let mut cookie = 0;
    while cookie < 30_000 {
        let bytes = allocated_bytes(|| {
            let listed = call::block("fd_readdir", &mut ctx, &mut memory, |ctx, memory| {
                preview1::fd_readdir(ctx, memory, 3, 0, 65_536, cookie, result)
            });
            assert_eq!(listed, Ok(0));
        });
        assert!(bytes <= MOST_BYTES, "{bytes} bytes from {cookie} on");
        cookie = i64::from_le_bytes(memory[..8].try_into().unwrap()) + 1000;
    }
}

#[test]
fn scattered_pages_cost_little_more_than_their_charge() {
    let fs = MemoryFs::new();
    let before = LIVE_BYTES.get();
    let (mut ctx, mut memory, result) = with_file(&fs);
    let with_guest = LIVE_BYTES.get();
    memory[0..8].copy_from_slice(&[64, 0, 0, 0, 1, 0, 0, 0]);
    for page in 0..4096_i64 {
        let at = page << 16;
        preview1::fd_pwrite(&mut ctx, &mut memory, 4, 0, 1, at, result).unwrap();
        // Truncating after the fact must not lower the charge.
        preview1::fd_filestat_set_size(&mut ctx, &mut memory, 4, at + 1).unwrap();
    }
    let taken = LIVE_BYTES.get().wrapping_sub(with_guest) as u64;
    let counted = fs.used_bytes();
    assert!(taken <= 2 * counted, "{taken} bytes for {counted}");
    let size = 10 << 16;
    preview1::fd_filestat_set_size(&mut ctx, &mut memory, 4, size).unwrap();
    assert!(fs.used_bytes() <= 10 * 128);
    drop((ctx, memory));
    fs.remove("f").unwrap();
    assert_eq!(fs.used_bytes(), 0);
    assert!(LIVE_BYTES.get().wrapping_sub(before) <= 4096);
}

#[test]
fn a_file_without_holes_is_charged_its_size() {
    for size in [65_536, 65_537, 200_000] {
        let fs = MemoryFs::builder().limit_bytes(size).build();
        fs.write("file", vec![1; size as usize]).unwrap();
        assert_eq!(fs.used_bytes(), size);
    }
}

#[test]
fn a_large_directory_allocates_at_most_a_mebibyte_per_call_and_frees_all_when_emptied() {
    const NAMES: std::ops::Range<i32> = 0..40_000;
    let fs = MemoryFs::new();
    let dir = fs.into_dir();
    let before = LIVE_BYTES.get();
    for i in NAMES {
        let bytes = allocated_bytes(|| dir.create_dir(&i.to_string()).unwrap());
        assert!(bytes <= MOST_BYTES, "{bytes} bytes for entry {i}");
    }
    for i in NAMES {
        dir.remove_dir(&i.to_string()).unwrap();
    }
    let kept = LIVE_BYTES.get().wrapping_sub(before);
    assert!(kept <= 4096, "{kept} bytes");
}

#[test]
fn whiteouts_of_an_overlay_take_bounded_memory() {
    const DEPTH: usize = 60;
    let name = "d".repeat(255);
    let lower = MemoryFs::new();
    let sub = |dir: Arc<dyn Dir>| match dir.lookup(&name) {
        Ok(Node::Dir(dir)) => dir,
        other => panic!("{other:?}"),
    };
    let mut dir = lower.clone().into_dir();
    for _ in 0..DEPTH {
        dir.create_dir(&name).unwrap();
        dir = sub(dir);
    }
    for i in 0..5000 {
        dir.create_dir(&i.to_string()).unwrap();
    }
    let overlay = Overlay::new(&lower, MemoryFs::new()).into_dir();
    let dir = (0..DEPTH).fold(overlay, |dir, _| sub(dir));
    let before = LIVE_BYTES.get();
    let removed = (0..5000).map(|i| dir.remove_dir(&i.to_string()));
    let n_removed = removed.take_while(|removed| *removed == Ok(())).count();
    assert!((4000..5000).contains(&n_removed), "{n_removed}");
    assert_eq!(dir.remove_dir("4999"), Err(Errno::Nospc));
    assert!(dir.metadata_at("4999").is_ok());
    let taken = LIVE_BYTES.get().wrapping_sub(before);
    assert!(taken <= 2 * Overlay::MAX_REMOVED_BYTES, "{taken} bytes");
}

#[test]
fn an_overlay_bounds_its_chain_of_open_directories() {
    const MOST_PATH_BYTES: usize = 64 << 20;
    let lower = MemoryFs::new();
    let sub = |dir: &Arc<dyn Dir>, name: &str| match dir.lookup(name) {
        Ok(Node::Dir(dir)) => Ok(dir),
        Ok(other) => panic!("{other:?}"),
        Err(errno) => Err(errno),
    };
    for chain in ["a", "b"] {
        let mut dir = lower.clone().into_dir();
        for _ in 0..8000 {
            dir.create_dir(chain).unwrap();
            dir = sub(&dir, chain).unwrap();
        }
    }
    let overlay = Overlay::new(&lower, MemoryFs::new()).into_dir();
    let descend = |chain: &str| {
        let root = Ok(Arc::clone(&overlay));
        (0..8000).fold(root, |dir, _| dir.and_then(|dir| sub(&dir, chain)))
    };
    let before = LIVE_BYTES.get();
    let deep = descend("a").map(drop).and_then(|()| descend("b"));
    assert_eq!(descend("a").err(), Some(Errno::Nfile));
    let taken = LIVE_BYTES.get().wrapping_sub(before);
    assert!(taken <= 3 * MOST_PATH_BYTES, "{taken} bytes");
    drop(deep.unwrap());
    descend("a").unwrap();
}

#[test]
fn links_cannot_extend_a_path_beyond_its_limit() {
    let fs = MemoryFs::new();
    fs.symlink(format!("{}f", "./".repeat(1000)), "f").unwrap();
    let mut ctx = Wasi::builder()
        .preopen("/", &fs, Access::ReadWrite)
        .build()
        .unwrap();
    let mut memory = vec![0; 65_536];
    let path = "f/".repeat(1500);
    memory[1000..1000 + path.len()].copy_from_slice(path.as_bytes());
    let len = path.len() as i32;
    let bytes = allocated_bytes(|| {
        let stat = preview1::path_filestat_get(&mut ctx, &mut memory, 3, 1, 1000, len, 0);
        assert!(stat.is_err());
    });
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}

#[test]
fn frequent_file_calls_do_not_allocate() {
    let fs = MemoryFs::new();
    let (mut ctx, mut memory, result) = with_file(&fs);
    memory[0..8].copy_from_slice(&[64, 0, 0, 0, 4, 0, 0, 0]);
    preview1::fd_write(&mut ctx, &mut memory, 4, 0, 1, result).unwrap();
    let stat = result - 64;
    // The device number is assigned at its first use.
    preview1::fd_filestat_get(&mut ctx, &mut memory, 4, stat).unwrap();
    let bytes = allocated_bytes(|| {
        preview1::fd_pwrite(&mut ctx, &mut memory, 4, 0, 1, 0, result).unwrap();
        preview1::fd_pread(&mut ctx, &mut memory, 4, 0, 1, 0, result).unwrap();
        preview1::fd_seek(&mut ctx, &mut memory, 4, 0, 0, result).unwrap();
        preview1::fd_read(&mut ctx, &mut memory, 4, 0, 1, result).unwrap();
        preview1::fd_filestat_get(&mut ctx, &mut memory, 4, stat).unwrap();
        preview1::path_filestat_get(&mut ctx, &mut memory, 3, 0, 100_000, 1, stat).unwrap();
    });
    assert_eq!(bytes, 0);
}

/// A socket that always has bytes to receive and room to send, in pieces of at most so many bytes.
struct Endless(usize);

impl Socket for Endless {
    fn receive(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len().min(self.0)))
    }

    fn send(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len().min(self.0)))
    }

    fn shutdown(&mut self, _how: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn poll_readable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        Poll::Ready(Readiness::bytes(1))
    }

    fn poll_writable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        Poll::Ready(Readiness::bytes(1))
    }
}

#[test]
fn one_transfer_over_a_socket_allocates_at_most_a_mebibyte() {
    let n_iovecs = MAX_IOVECS as i32;
    for piece in [usize::MAX, 1000] {
        // Receive, peek, receive all; and again with bytes that an earlier call has buffered.
        for flags in [[0, 0], [1, 2], [2, 1]].concat() {
            let mut ctx = Wasi::builder().socket(Endless(piece)).build().unwrap();
            let mut memory = greedy_memory();
            let result = memory.len() as i32 - 8;
            for _ in 0..3 {
                let bytes = allocated_bytes(|| {
                    preview1::sock_recv(
                        &mut ctx,
                        &mut memory,
                        3,
                        0,
                        n_iovecs,
                        flags,
                        result,
                        result + 4,
                    )
                    .unwrap();
                });
                assert!(bytes <= MOST_BYTES, "{bytes} bytes to receive with {flags}");
                let bytes = allocated_bytes(|| {
                    preview1::sock_send(&mut ctx, &mut memory, 3, 0, n_iovecs, 0, result).unwrap();
                });
                assert!(bytes <= MOST_BYTES, "{bytes} bytes to send");
            }
        }
    }
}

#[test]
fn a_receive_that_fails_keeps_no_memory() {
    let (of_guest, _of_host) = socket_pair(64);
    let mut ctx = Wasi::builder().socket(of_guest).build().unwrap();
    let mut memory = greedy_memory();
    let result = memory.len() as i32 - 8;
    preview1::fd_fdstat_set_flags(&mut ctx, &mut memory, 3, 4).unwrap();
    for flags in [0, 1, 2, 3] {
        let n_iovecs = MAX_IOVECS as i32;
        let (memory, flags_out) = (&mut memory, result + 4);
        let live_before = LIVE_BYTES.get();
        let received =
            preview1::sock_recv(&mut ctx, memory, 3, 0, n_iovecs, flags, result, flags_out);
        assert!(received.is_err());
        assert_eq!(LIVE_BYTES.get(), live_before, "with {flags}");
    }
}

#[test]
fn frequent_socket_calls_do_not_allocate() {
    let mut ctx = Wasi::builder().socket(Endless(64)).build().unwrap();
    let mut memory = vec![0; 65_536];
    memory[0..8].copy_from_slice(&[64, 0, 0, 0, 4, 0, 0, 0]);
    let bytes = allocated_bytes(|| {
        preview1::sock_recv(&mut ctx, &mut memory, 3, 0, 1, 0, 16, 20).unwrap();
        preview1::sock_send(&mut ctx, &mut memory, 3, 0, 1, 0, 16).unwrap();
        preview1::fd_read(&mut ctx, &mut memory, 3, 0, 1, 16).unwrap();
        preview1::fd_write(&mut ctx, &mut memory, 3, 0, 1, 16).unwrap();
    });
    assert_eq!(bytes, 0);
}
