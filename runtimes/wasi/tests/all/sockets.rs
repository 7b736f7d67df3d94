//! Connected sockets.

use std::io::{self, Read, Write};
use std::task::Poll;

use rangewatch_wasi::fs::{Access, MemoryFs};
use rangewatch_wasi::net::{Connector, MemorySocket, Socket, loopback, socket_pair};
use rangewatch_wasi::{Errno, Interrupt, MAX_PEEK_BYTES, RightsMode, TryRecvError, Wasi, preview1};

use crate::guest::Guest;
use crate::polling::{self, counter};

pub(crate) const NONBLOCK: i32 = 4;

pub(crate) const PEEK: i32 = 1;
pub(crate) const WAITALL: i32 = 2;

pub(crate) const RD: i32 = 1;
pub(crate) const WR: i32 = 2;

pub(crate) const FD_READ: u64 = 1 << 1;
const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
const FD_WRITE: u64 = 1 << 6;
const FD_FILESTAT_GET: u64 = 1 << 21;
const POLL_FD_READWRITE: u64 = 1 << 27;
const SOCK_SHUTDOWN: u64 = 1 << 28;
pub(crate) const SOCK_ACCEPT: u64 = 1 << 29;

const OF_BOTH: u64 = FD_READ | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE;
pub(crate) const CONNECTED: u64 = OF_BOTH | FD_WRITE | SOCK_SHUTDOWN;
pub(crate) const LISTENING: u64 = OF_BOTH | SOCK_ACCEPT;

pub(crate) const IOVS: i32 = 0x100;
pub(crate) const BYTES: u32 = 0x8000;
pub(crate) const RESULT: i32 = 0x200;
pub(crate) const FLAGS: i32 = 0x210;

/// One attempt of each function, without a retry.
impl Guest {
    pub(crate) fn try_recv(&mut self, fd: i32, len: u32, flags: i32) -> Result<Vec<u8>, Interrupt> {
        self.put_iovecs(IOVS as u32, &[(BYTES, len)]);
        let (ctx, memory) = (&mut self.ctx, &mut self.memory);
        preview1::sock_recv(ctx, memory, fd, IOVS, 1, flags, RESULT, FLAGS)?;
        assert_eq!(self.bytes(FLAGS as u32, 2), [0, 0]);
        Ok(self.bytes(BYTES, self.u32(RESULT as u32)).to_vec())
    }

    pub(crate) fn try_send(&mut self, fd: i32, bytes: &[u8]) -> Result<u32, Interrupt> {
        self.put(BYTES, bytes);
        self.put_iovecs(IOVS as u32, &[(BYTES, bytes.len() as u32)]);
        preview1::sock_send(&mut self.ctx, &mut self.memory, fd, IOVS, 1, 0, RESULT)?;
        Ok(self.u32(RESULT as u32))
    }

    pub(crate) fn try_accept(&mut self, fd: i32, flags: i32) -> Result<i32, Interrupt> {
        preview1::sock_accept(&mut self.ctx, &mut self.memory, fd, flags, RESULT)?;
        Ok(self.u32(RESULT as u32) as i32)
    }

    pub(crate) fn shutdown(&mut self, fd: i32, how: i32) -> Result<(), Errno> {
        preview1::sock_shutdown(&mut self.ctx, &mut [], fd, how)
    }

    pub(crate) fn set_flags(&mut self, fd: i32, flags: i32) {
        preview1::fd_fdstat_set_flags(&mut self.ctx, &mut [], fd, flags).unwrap();
    }

    pub(crate) fn keep_rights(&mut self, fd: i32, base: u64, inheriting: u64) -> Result<(), Errno> {
        let (base, inheriting) = (base as i64, inheriting as i64);
        preview1::fd_fdstat_set_rights(&mut self.ctx, &mut [], fd, base, inheriting)
    }

    pub(crate) fn wakes_for(&mut self, change: impl FnOnce()) -> bool {
        let (counter, waker) = counter();
        assert!(!self.is_ready(&waker), "nothing is available yet");
        change();
        counter.count() > 0 && self.is_ready(&waker)
    }
}

/// A guest with a socket as descriptor 3, and the host's end of the socket.
pub(crate) fn connected(capacity_bytes: usize) -> (Guest, MemorySocket) {
    let (of_guest, of_host) = socket_pair(capacity_bytes);
    (Guest::new(Wasi::builder().socket(of_guest)), of_host)
}

/// A guest with a listener as descriptor 3.
pub(crate) fn listening(backlog: usize) -> (Guest, Connector) {
    let (listener, connector) = loopback(backlog, 64);
    (Guest::new(Wasi::builder().listener(listener)), connector)
}

pub(crate) fn errno<T>(errno: Errno) -> Result<T, Interrupt> {
    Err(errno.into())
}

pub(crate) fn waits<T>() -> Result<T, Interrupt> {
    Err(Interrupt::Wait)
}

/// The bytes that the host can receive.
pub(crate) fn drain(socket: &mut MemorySocket) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 10];
    match socket.receive(&mut bytes) {
        Poll::Ready(Ok(n_bytes)) => bytes[..n_bytes].to_vec(),
        _ => Vec::new(),
    }
}

#[test]
fn sockets_follow_the_directories_and_report_their_rights() {
    for mode in [RightsMode::Strict, RightsMode::Compat, RightsMode::Off] {
        let (listener, _connector) = loopback(1, 1);
        let mut guest = Guest::new(
            Wasi::builder()
                .listener(listener)
                .socket(socket_pair(1).0)
                .preopen("/", MemoryFs::new(), Access::ReadWrite)
                .rights(mode),
        );
        assert_eq!(guest.fdstat(3).unwrap().file_type, 3, "the directory");
        for (fd, base, inheriting) in [(4, LISTENING, CONNECTED), (5, CONNECTED, 0)] {
            let stat = guest.fdstat(fd).unwrap();
            assert_eq!((stat.file_type, stat.flags), (6, 0));
            assert_eq!(
                (stat.rights_base, stat.rights_inheriting),
                (base, inheriting)
            );
            preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, fd, 0).unwrap();
            let mut stat = [0; 64];
            stat[16] = 6;
            assert_eq!(guest.bytes(0, 64), stat);
            let prestat = preview1::fd_prestat_get(&mut guest.ctx, &mut guest.memory, fd, 0);
            assert_eq!(prestat, Err(Errno::Badf), "a libc stops scanning here");
        }
        assert!(!guest.is_open(6));
    }
}

#[test]
fn calls_without_the_right_are_refused() {
    let (of_guest, _of_host) = socket_pair(9);
    let (listener, _connector) = loopback(1, 9);
    let wasi = Wasi::builder().socket(of_guest).listener(listener);
    let mut guest = Guest::new(wasi);
    assert_eq!(
        guest.keep_rights(3, CONNECTED | SOCK_ACCEPT, 0),
        Err(Errno::Notcapable)
    );
    guest.keep_rights(3, CONNECTED, 0).unwrap();
    guest.keep_rights(3, 0, 0).unwrap();
    guest.keep_rights(4, 0, 0).unwrap();
    assert_eq!(guest.try_recv(3, 1, 0), errno(Errno::Notcapable));
    assert_eq!(guest.try_send(3, b"x"), errno(Errno::Notcapable));
    assert_eq!(guest.read(3, 1), Err(Errno::Notcapable));
    assert_eq!(guest.write(3, b"x"), Err(Errno::Notcapable));
    assert_eq!(guest.shutdown(3, RD), Err(Errno::Notcapable));
    assert_eq!(guest.try_accept(4, 0), errno(Errno::Notcapable));
    let set_flags = preview1::fd_fdstat_set_flags(&mut guest.ctx, &mut [], 3, NONBLOCK);
    assert_eq!(set_flags, Err(Errno::Notcapable));
    let notcapable = Errno::Notcapable.code() as u16;
    let events = guest
        .poll(&[
            polling::fd(1, 1, 3),
            polling::fd(2, 2, 3),
            polling::fd(3, 1, 4),
        ])
        .unwrap();
    let expected =
        [(1, 1), (2, 2), (3, 1)].map(|(userdata, kind)| (userdata, notcapable, kind, 0, 0));
    assert_eq!(events, expected);

    let (mut guest, _host) = {
        let (of_guest, of_host) = socket_pair(9);
        let wasi = Wasi::builder().socket(of_guest).rights(RightsMode::Off);
        (Guest::new(wasi), of_host)
    };
    assert_eq!(guest.keep_rights(3, 0, 0), Err(Errno::Notsup));
}

#[test]
fn bytes_are_received_in_order_until_the_end() {
    let (mut guest, mut host) = connected(64);
    host.write_all(b"abcdefghij").unwrap();
    assert_eq!(guest.try_recv(3, 3, 0).unwrap(), b"abc");
    assert_eq!(guest.read(3, 2).unwrap(), b"de");
    guest.put_iovecs(IOVS as u32, &[(0x1000, 2), (0, 0), (0x2000, 64)]);
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    preview1::sock_recv(ctx, memory, 3, IOVS, 3, 0, RESULT, FLAGS).unwrap();
    assert_eq!(guest.u32(RESULT as u32), 5);
    assert_eq!(
        (guest.bytes(0x1000, 2), guest.bytes(0x2000, 3)),
        (&b"fg"[..], &b"hij"[..])
    );
    assert_eq!(guest.try_recv(3, 9, 0), waits());
    guest.set_flags(3, NONBLOCK);
    assert_eq!(guest.try_recv(3, 9, 0), errno(Errno::Again));
    assert_eq!(guest.read(3, 9), Err(Errno::Again));
    assert_eq!(
        guest.try_recv(3, 0, 0).unwrap(),
        b"",
        "an empty buffer does not wait"
    );
    host.write_all(b"k").unwrap();
    drop(host);
    assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"k");
    for _ in 0..2 {
        assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"");
        assert_eq!(guest.read(3, 9).unwrap(), b"");
    }
}

#[test]
fn peeked_bytes_are_received_later() {
    let (mut guest, mut host) = connected(64);
    assert_eq!(guest.try_recv(3, 4, PEEK), waits());
    assert!(guest.wakes_for(|| host.write_all(b"ab").unwrap()));
    for flags in [PEEK, PEEK | WAITALL] {
        assert_eq!(guest.try_recv(3, 1, flags).unwrap(), b"a");
        assert_eq!(guest.try_recv(3, 4, flags).unwrap(), b"ab");
    }
    host.write_all(b"cdef").unwrap();
    assert_eq!(
        guest.try_recv(3, 4, PEEK).unwrap(),
        b"abcd",
        "including bytes that arrived later"
    );
    let events = guest.poll(&[polling::fd(1, 1, 3)]).unwrap();
    assert_eq!(events, [(1, 0, 1, 6, 0)]);
    assert_eq!(guest.try_recv(3, 1, 0).unwrap(), b"a");
    assert_eq!(guest.try_recv(3, 9, PEEK).unwrap(), b"bcdef");
    assert_eq!(guest.read(3, 2).unwrap(), b"bc");
    drop(host);
    assert_eq!(guest.try_recv(3, 9, PEEK).unwrap(), b"def");
    assert_eq!(guest.try_recv(3, 9, WAITALL).unwrap(), b"def");
    assert_eq!(guest.try_recv(3, 9, PEEK).unwrap(), b"");
    assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"");
}

#[test]
fn a_large_peek_returns_a_part_and_receive_returns_all() {
    let (mut guest, mut host) = connected(1 << 20);
    let sent: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    host.write_all(&sent).unwrap();
    let seen = guest.try_recv(3, 200_000, PEEK).unwrap();
    assert!(seen == sent[..MAX_PEEK_BYTES as usize]);
    assert!(guest.try_recv(3, 200_000, WAITALL).unwrap() == sent);
}

#[test]
fn waitall_receives_more_than_the_pipe_buffers() {
    let (mut guest, mut host) = connected(4);
    assert_eq!(guest.try_recv(3, 10, WAITALL), waits());
    let (counter, waker) = counter();
    assert!(!guest.is_ready(&waker));
    for part in ["abcd", "efgh"] {
        host.write_all(part.as_bytes()).unwrap();
        assert!(!guest.is_ready(&waker), "more bytes are missing");
    }
    host.write_all(b"ijkl").unwrap();
    assert_eq!(counter.count(), 3);
    assert!(guest.is_ready(&waker));
    assert_eq!(guest.try_recv(3, 10, WAITALL).unwrap(), b"abcdefghij");
    assert_eq!(guest.try_recv(3, 2, WAITALL).unwrap(), b"kl");

    host.write_all(b"mn").unwrap();
    assert_eq!(guest.try_recv(3, 10, WAITALL), waits());
    assert!(guest.wakes_for(|| drop(host)));
    assert_eq!(
        guest.try_recv(3, 10, WAITALL).unwrap(),
        b"mn",
        "the stream has ended"
    );
    assert_eq!(guest.try_recv(3, 10, WAITALL).unwrap(), b"");
}

#[test]
fn waitall_has_no_effect_on_a_nonblocking_socket() {
    let (mut guest, mut host) = connected(9);
    guest.set_flags(3, NONBLOCK);
    assert_eq!(guest.try_recv(3, 9, WAITALL), errno(Errno::Again));
    host.write_all(b"ab").unwrap();
    assert_eq!(guest.try_recv(3, 9, WAITALL).unwrap(), b"ab");
}

#[test]
fn unknown_flags_are_invalid_and_receive_and_send_nothing() {
    let (mut guest, mut host) = connected(9);
    host.write_all(b"abc").unwrap();
    for flags in [4, 8, PEEK | 4, 0x1_0000, 0x1_0000 | PEEK, -1, i32::MIN] {
        assert_eq!(guest.try_recv(3, 9, flags), errno(Errno::Inval));
        guest.put_iovecs(IOVS as u32, &[(BYTES, 1)]);
        let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
        let sent = preview1::sock_send(ctx, memory, 3, IOVS, 1, flags, RESULT);
        assert_eq!(sent, errno(Errno::Inval));
    }
    for how in [0, 4, 7, RD | 4, -1, i32::MIN] {
        assert_eq!(guest.shutdown(3, how), Err(Errno::Inval));
    }
    assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"abc");
    assert_eq!(drain(&mut host), b"");
}

#[test]
fn an_address_outside_of_the_memory_is_a_fault_and_consumes_nothing() {
    let (mut guest, mut host) = connected(9);
    host.write_all(b"abc").unwrap();
    let end = guest.memory.len() as i32;
    let iovs = 0x9000;
    guest.put_iovecs(iovs as u32, &[(BYTES, 3), (end as u32 - 2, 3)]);
    let before = guest.memory.clone();
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    for (iovs, n_iovs, datalen, flags) in [
        (iovs, 2, RESULT, FLAGS),
        (end - 7, 1, RESULT, FLAGS),
        (iovs, 1, end - 3, FLAGS),
        (iovs, 1, RESULT, end - 1),
        (iovs, 1, RESULT, -1),
    ] {
        let result = preview1::sock_recv(ctx, memory, 3, iovs, n_iovs, 0, datalen, flags);
        assert_eq!(result, errno(Errno::Fault));
        if flags == FLAGS {
            let result = preview1::sock_send(ctx, memory, 3, iovs, n_iovs, 0, datalen);
            assert_eq!(result, errno(Errno::Fault));
        }
    }
    let result = preview1::sock_recv(ctx, memory, 3, iovs, 1025, 0, RESULT, FLAGS);
    assert_eq!(result, errno(Errno::Inval));
    assert!(guest.memory == before);
    assert_eq!(drain(&mut host), b"");
    assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"abc");
}

#[test]
fn a_send_is_limited_by_the_buffer() {
    let (mut guest, mut host) = connected(8);
    guest.put(0x1000, b"abcdefghij");
    guest.put_iovecs(
        IOVS as u32,
        &[(0x1000, 3), (0, 0), (0x1003, 3), (0x1006, 4)],
    );
    let (ctx, memory) = (&mut guest.ctx, &mut guest.memory);
    preview1::sock_send(ctx, memory, 3, IOVS, 4, 0, RESULT).unwrap();
    assert_eq!(guest.u32(RESULT as u32), 8);
    assert_eq!(guest.try_send(3, b"ij"), waits());
    assert_eq!(guest.try_send(3, b""), Ok(0));
    guest.set_flags(3, NONBLOCK);
    assert_eq!(guest.try_send(3, b"ij"), errno(Errno::Again));
    assert_eq!(guest.write(3, b"ij"), Err(Errno::Again));
    guest.set_flags(3, 0);
    assert_eq!(guest.try_send(3, b"ij"), waits());
    let mut received = Vec::new();
    assert!(guest.wakes_for(|| received = drain(&mut host)));
    assert_eq!(received, b"abcdefgh");
    assert_eq!(guest.try_send(3, b"ij"), Ok(2));
    assert_eq!(guest.write(3, b"kl"), Ok(2));
    assert_eq!(drain(&mut host), b"ijkl", "no byte is sent twice");
}

#[test]
fn sending_to_a_peer_that_receives_no_more_fails() {
    let (mut guest, host) = connected(2);
    assert_eq!(guest.try_send(3, b"ab"), Ok(2));
    assert_eq!(guest.try_send(3, b"c"), waits());
    assert!(guest.wakes_for(|| drop(host)));
    assert_eq!(guest.try_send(3, b"c"), errno(Errno::Pipe));
    assert_eq!(guest.write(3, b"c"), Err(Errno::Pipe));
}

#[test]
fn a_direction_that_is_shut_down_has_ended_for_both_peers() {
    let (mut guest, mut host) = connected(9);
    assert_eq!(guest.try_send(3, b"last"), Ok(4));
    for _ in 0..2 {
        assert_eq!(guest.shutdown(3, WR), Ok(()));
        assert_eq!(guest.try_send(3, b"x"), errno(Errno::Pipe));
    }
    assert_eq!(drain(&mut host), b"last");
    assert_eq!(host.read(&mut [0]).unwrap(), 0);
    host.write_all(b"still").unwrap();
    assert_eq!(
        guest.try_recv(3, 5, 0).unwrap(),
        b"still",
        "the other direction is open"
    );

    host.write_all(b"unheard").unwrap();
    guest.try_recv(3, 2, PEEK).unwrap();
    for how in [RD, RD | WR, RD] {
        assert_eq!(guest.shutdown(3, how), Ok(()));
        for flags in [0, PEEK, WAITALL] {
            assert_eq!(guest.try_recv(3, 9, flags).unwrap(), b"");
        }
    }
    assert_eq!(
        host.write(b"x").unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    let events = guest
        .poll(&[polling::fd(1, 1, 3), polling::fd(2, 2, 3)])
        .unwrap();
    assert_eq!(events, [(1, 0, 1, 0, 1), (2, 0, 2, 0, 1)]);

    let (mut guest, mut host) = connected(9);
    assert_eq!(guest.shutdown(3, RD | WR), Ok(()));
    assert_eq!(host.read(&mut [0]).unwrap(), 0);
    assert!(host.write(b"x").is_err());
}

#[test]
fn a_socket_is_closed_with_its_last_descriptor() {
    let (mut guest, mut host) = connected(9);
    preview1::fd_renumber(&mut guest.ctx, &mut [], 3, 0).unwrap();
    assert!(!guest.is_open(3));
    assert_eq!(guest.try_send(0, b"a"), Ok(1));
    host.write_all(b"b").unwrap();
    assert_eq!(guest.try_recv(0, 1, 0).unwrap(), b"b");
    let (mut reader, mut writer) = {
        assert_eq!(drain(&mut host), b"a");
        host.split()
    };
    assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
    preview1::fd_renumber(&mut guest.ctx, &mut [], 1, 0).unwrap();
    assert_eq!(reader.try_recv(), Err(TryRecvError::Closed));
    assert!(writer.try_send(b"x").is_err());
}
