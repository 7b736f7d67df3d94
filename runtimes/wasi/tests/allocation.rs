//! How much memory of the host one call of a guest can take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, Read};

use rangewatch_wasi::{MAX_IOVECS, SharedBuffer, Stdin, Wasi, preview1};

thread_local! {
    static ALLOCATED_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread asks for; what is freed is not subtracted.
struct Counting;

#[expect(unsafe_code, reason = "an allocator cannot be counted in without one")]
// SAFETY: every call is forwarded unchanged to the system's allocator, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED_BYTES.set(ALLOCATED_BYTES.get() + layout.size());
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
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

/// Memory of 4 MiB that begins with the longest table of buffers, each of which is all of the memory.
fn greedy_memory() -> Vec<u8> {
    let mut memory = vec![0; 4 << 20];
    let len = memory.len() as u32;
    for entry in memory[..MAX_IOVECS as usize * 8].chunks_exact_mut(8) {
        entry[4..].copy_from_slice(&len.to_le_bytes());
    }
    memory
}

#[test]
fn one_write_to_a_captured_stream_allocates_at_most_a_mebibyte_however_full_it_is() {
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
fn what_needs_no_memory_takes_none() {
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
