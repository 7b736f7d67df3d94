//! The host's side of sockets: memory sockets, and sockets of an embedder.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rangewatch_wasi::net::{MemorySocket, Readiness, Socket, socket_pair};
use rangewatch_wasi::{Errno, SystemClock, TryRecvError, Wasi, pipe};

use crate::guest::Guest;
use crate::polling::{self, sleep};
use crate::sockets::{PEEK, RD, WAITALL, WR, drain, errno, waits};

#[test]
fn a_broken_direction_returns_its_error_once_after_the_received_bytes() {
    for flags in [0, PEEK, WAITALL] {
        let (mut to_guest, from_host) = pipe(9);
        let (to_host, _from_guest) = pipe(9);
        let socket = MemorySocket::from((from_host, to_host));
        let mut guest = Guest::new(Wasi::builder().socket(socket));
        to_guest.try_send(b"abc").unwrap();
        to_guest.fail(Errno::Connreset);
        assert_eq!(guest.try_recv(3, 9, flags).unwrap(), b"abc");
        if flags == PEEK {
            assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"abc");
        }
        let events = guest.attempt(&[polling::fd(1, 1, 3)]).unwrap();
        assert_eq!(events.len(), 1, "an error makes a socket ready");
        assert_eq!(guest.try_recv(3, 9, flags), errno(Errno::Connreset));
        assert_eq!(guest.try_recv(3, 9, flags).unwrap(), b"");
    }
}

#[test]
fn the_hosts_end_of_a_memory_socket_honors_its_shutdowns() {
    let (mut one, mut other) = socket_pair(0);
    assert_eq!(one.write(b"ab").unwrap(), 1, "the capacity is at least 1");
    one.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        one.write(b"b").unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    assert_eq!(drain(&mut other), b"a");
    one.shutdown(Shutdown::Read).unwrap();
    assert_eq!(one.read(&mut [0]).unwrap(), 0);
    let (mut reader, mut writer) = one.split();
    assert_eq!(reader.try_recv(), Err(TryRecvError::Closed));
    assert!(writer.is_closed() && writer.try_send(b"x").is_err());
}

/// Returns scripted results, against the contract.
#[derive(Default)]
struct Scripted {
    receives: VecDeque<io::Result<usize>>,
    sends: VecDeque<io::Result<usize>>,
    shutdowns: VecDeque<io::Result<()>>,
}

impl Socket for Scripted {
    fn receive(&mut self, _buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.receives.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn send(&mut self, _bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sends.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn shutdown(&mut self, _how: Shutdown) -> io::Result<()> {
        self.shutdowns
            .pop_front()
            .expect("each direction is shut down once")
    }

    fn poll_readable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        Poll::Ready(Readiness::bytes(u64::MAX))
    }

    fn poll_writable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        Poll::Ready(Readiness::bytes(1).hung_up())
    }
}

#[test]
fn a_socket_that_reports_too_many_bytes_is_clamped() {
    let socket = Scripted {
        receives: [Ok(9), Ok(usize::MAX), Err(io::ErrorKind::TimedOut.into())].into(),
        sends: [Ok(9), Ok(0), Err(io::ErrorKind::ConnectionReset.into())].into(),
        shutdowns: [Err(Errno::Notconn.into()), Ok(()), Ok(())].into(),
    };
    let mut guest = Guest::new(Wasi::builder().socket(socket));
    assert_eq!(guest.try_recv(3, 3, 0).unwrap().len(), 3);
    assert_eq!(guest.try_recv(3, 3, WAITALL).unwrap().len(), 3);
    assert_eq!(guest.try_recv(3, 3, PEEK), errno(Errno::Timedout));
    assert_eq!(guest.try_recv(3, 3, 0), waits());
    assert_eq!(guest.try_send(3, b"ab"), Ok(2));
    assert_eq!(guest.try_send(3, b"ab"), errno(Errno::Pipe));
    assert_eq!(guest.try_send(3, b"ab"), errno(Errno::Connreset));
    assert_eq!(guest.try_send(3, b"ab"), waits());
    let events = guest
        .attempt(&[polling::fd(1, 1, 3), polling::fd(2, 2, 3)])
        .unwrap();
    assert_eq!(events, [(1, 0, 1, u64::MAX, 0), (2, 0, 2, 1, 1)]);
    assert_eq!(guest.shutdown(3, RD), Err(Errno::Notconn));
    assert_eq!(guest.try_recv(3, 3, 0), waits(), "it is still open");
    for how in [RD, RD | WR, RD | WR] {
        assert_eq!(guest.shutdown(3, how), Ok(()));
    }
}

/// Ready for a waiting thread, and never ready for the guest.
struct SpuriouslyReady {
    is_ready: bool,
    since: Instant,
}

impl Socket for SpuriouslyReady {
    fn receive(&mut self, _buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn send(&mut self, _bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn shutdown(&mut self, _how: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn poll_readable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        assert!(self.since.elapsed() < Duration::from_secs(10));
        let answer = match self.is_ready {
            true => Poll::Ready(Readiness::bytes(1)),
            false => Poll::Pending,
        };
        self.is_ready = !self.is_ready;
        answer
    }

    fn poll_writable(&mut self, _cx: &mut Context<'_>) -> Poll<Readiness> {
        Poll::Pending
    }
}

#[test]
fn a_sleep_ends_after_spurious_wakes_of_a_socket() {
    let socket = SpuriouslyReady {
        is_ready: false,
        since: Instant::now(),
    };
    let mut guest = Guest::new(Wasi::builder().clock(SystemClock::new()).socket(socket));
    let events = guest.poll(&[polling::fd(1, 1, 3), sleep(2, Duration::from_millis(5))]);
    assert_eq!(events.unwrap().len(), 1);
}
