//! Readers that block, as standard input: on the thread of the guest, or on one of their own.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rangewatch_wasi::{Errno, Interrupt, Stdin, Wasi, preview1};

use crate::guest::Guest;
use crate::polling::block_on_ready;

#[test]
fn a_blocking_reader_of_a_blocking_guest_runs_on_the_guests_thread() {
    let here = thread::current().id();
    let mut guest = Guest::new(Wasi::builder().stdin(Stdin::reader(ThreadCheck(here))));
    assert_eq!(guest.read(0, 4).unwrap(), b"here");
}

/// Records whether it is read on a given thread.
struct ThreadCheck(thread::ThreadId);

impl io::Read for ThreadCheck {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let text: &[u8] = if thread::current().id() == self.0 {
            b"here"
        } else {
            b"else"
        };
        let n_bytes = text.len().min(buf.len());
        buf[..n_bytes].copy_from_slice(&text[..n_bytes]);
        Ok(n_bytes)
    }
}

#[test]
fn a_blocking_reader_of_an_awaited_guest_runs_on_a_thread() {
    let here = thread::current().id();
    let mut guest = Guest::new(Wasi::builder().stdin(Stdin::reader(ThreadCheck(here))));
    for _ in 0..3 {
        assert_eq!(read_awaited(&mut guest).unwrap(), b"else");
    }
}

/// Awaits reads of up to four bytes until one succeeds.
fn read_awaited(guest: &mut Guest) -> Result<Vec<u8>, Interrupt> {
    guest.put_iovecs(0, &[(500, 4)]);
    loop {
        match preview1::fd_read(&mut guest.ctx, &mut guest.memory, 0, 0, 1, 600) {
            Err(Interrupt::Wait) => block_on_ready(&mut guest.ctx),
            result => return result.map(|()| guest.bytes(500, guest.u32(600)).to_vec()),
        }
    }
}

#[test]
fn a_reader_that_panics_on_its_thread_is_an_errno() {
    struct Panicking;
    impl io::Read for Panicking {
        fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
            panic!("a reader that panics")
        }
    }
    let mut guest = Guest::new(Wasi::builder().stdin(Stdin::reader(Panicking)));
    assert_eq!(read_awaited(&mut guest), Err(Errno::Io.into()));
}

#[test]
fn the_thread_of_a_reader_ends_with_its_guest() {
    /// Closes the channel when it is dropped.
    struct DropSignal(#[expect(dead_code, reason = "only dropped")] mpsc::Sender<()>);
    impl io::Read for DropSignal {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            buf.fill(b'x');
            Ok(buf.len())
        }
    }
    let (held, dropped) = mpsc::channel();
    let mut guest = Guest::new(Wasi::builder().stdin(Stdin::reader(DropSignal(held))));
    assert_eq!(read_awaited(&mut guest).unwrap(), b"xxxx");
    drop(guest);
    assert_eq!(
        dropped.recv_timeout(Duration::from_secs(60)),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
}

#[test]
fn a_nonblocking_read_later_finds_the_fetched_bytes() {
    let here = thread::current().id();
    let mut guest = Guest::new(Wasi::builder().stdin(Stdin::reader(ThreadCheck(here))));
    preview1::fd_fdstat_set_flags(&mut guest.ctx, &mut [], 0, 4).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match guest.read(0, 4) {
            Err(Errno::Again) => assert!(Instant::now() < deadline, "nobody reads"),
            result => break assert_eq!(result.unwrap(), b"else"),
        }
        thread::yield_now();
    }
}
