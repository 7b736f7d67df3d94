//! Relays between memory sockets and asynchronous streams.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use rangewatch_wasi::net::{MemorySocket, Socket, socket_pair};
use rangewatch_wasi::{Errno, Wasi};

use crate::guest::Guest;
use crate::polling::counter;
use crate::sockets::drain;

/// A guest with a relayed socket as descriptor 3, the host's end of the socket, and the two ends of
/// a simulated network stream.
fn relayed(capacity_bytes: usize) -> (Guest, MemorySocket, MemorySocket, MemorySocket) {
    let (of_guest, of_host) = socket_pair(capacity_bytes);
    let (near, far) = socket_pair(capacity_bytes);
    let guest = Guest::new(Wasi::builder().socket(of_guest));
    (guest, of_host, near, far)
}

fn send(socket: &mut MemorySocket, bytes: &[u8]) {
    assert!(matches!(socket.send(bytes), Poll::Ready(Ok(n_bytes)) if n_bytes == bytes.len()));
}

fn is_at_its_end(socket: &mut MemorySocket) -> bool {
    matches!(socket.receive(&mut [0]), Poll::Ready(Ok(0)))
}

#[test]
fn a_relay_forwards_bytes_and_ends_in_both_directions() {
    let (mut guest, of_host, near, mut far) = relayed(64);
    let mut relay = pin!(of_host.relay(near));
    let (counter, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    assert!(relay.as_mut().poll(&mut cx).is_pending());
    assert_eq!(guest.try_send(3, b"question"), Ok(8));
    assert_eq!(counter.count(), 1);
    assert!(relay.as_mut().poll(&mut cx).is_pending());
    assert_eq!(drain(&mut far), b"question");
    send(&mut far, b"answer");
    assert_eq!(counter.count(), 2);
    assert!(relay.as_mut().poll(&mut cx).is_pending());
    assert_eq!(guest.try_recv(3, 64, 0).unwrap(), b"answer");

    guest.try_send(3, b"last").unwrap();
    guest.shutdown(3, 2).unwrap();
    assert!(relay.as_mut().poll(&mut cx).is_pending());
    assert_eq!(drain(&mut far), b"last");
    assert!(is_at_its_end(&mut far));
    send(&mut far, b"word");
    far.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(relay.poll(&mut cx), Poll::Ready(Ok(()))));
    assert_eq!(guest.try_recv(3, 64, 0).unwrap(), b"word");
    assert_eq!(guest.try_recv(3, 64, 0).unwrap(), b"");
}

#[test]
fn a_guest_that_ends_closes_its_connections_after_the_sent_bytes() {
    let (mut guest, of_host, near, mut far) = relayed(4);
    let mut relay = pin!(of_host.relay(near));
    let (counter, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    guest.try_send(3, b"abcd").unwrap();
    assert!(relay.as_mut().poll(&mut cx).is_pending());
    guest.try_send(3, b"efgh").unwrap();
    let n_woken = counter.count();
    drop(guest);
    assert!(counter.count() > n_woken);
    assert!(
        relay.as_mut().poll(&mut cx).is_pending(),
        "the pipe is full"
    );
    assert_eq!(drain(&mut far), b"abcd");
    // The peer sends nothing and does not hang up. The relay does not wait for it.
    assert!(matches!(relay.poll(&mut cx), Poll::Ready(Ok(()))));
    assert_eq!(drain(&mut far), b"efgh");
    assert!(is_at_its_end(&mut far));
}

#[test]
fn the_relay_stops_while_the_guest_receives_nothing() {
    let (guest, of_host, near, mut far) = relayed(16);
    let mut relay = pin!(of_host.relay(near));
    let mut cx = Context::from_waker(Waker::noop());
    let mut n_sent = 0;
    loop {
        assert!(relay.as_mut().poll(&mut cx).is_pending());
        match far.send(&[7; 16]) {
            Poll::Ready(sent) => n_sent += sent.unwrap(),
            Poll::Pending => break,
        }
        assert!(n_sent <= 64, "the relay buffers a bounded number of bytes");
    }
    drop(guest);
}

/// A stream with a script. A step that is not in the script is pending.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    reads: VecDeque<io::Result<&'static [u8]>>,
    writes: VecDeque<io::Result<usize>>,
    written: Vec<u8>,
    n_flushed: usize,
}

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(read) = self.0.lock().unwrap().reads.pop_front() else {
            return Poll::Pending;
        };
        Poll::Ready(read.map(|bytes| {
            buf[..bytes.len()].copy_from_slice(bytes);
            bytes.len()
        }))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let script = &mut *self.0.lock().unwrap();
        let Some(write) = script.writes.pop_front() else {
            return Poll::Pending;
        };
        Poll::Ready(write.inspect(|n_bytes| {
            script.written.extend(&bytes[..(*n_bytes).min(bytes.len())]);
        }))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let script = &mut *self.0.lock().unwrap();
        script.n_flushed = script.written.len();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn every_byte_is_written_once_and_flushed() {
    let (mut guest, of_host, ..) = relayed(64);
    let stream = Scripted::default();
    stream.0.lock().unwrap().writes =
        [Ok(2), Err(io::ErrorKind::Interrupted.into()), Ok(1), Ok(99)].into();
    let mut relay = pin!(of_host.relay(stream.clone()));
    guest.try_send(3, b"abcdef").unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(relay.as_mut().poll(&mut cx).is_pending());
    let script = stream.0.lock().unwrap();
    assert_eq!((&script.written[..], script.n_flushed), (&b"abcdef"[..], 6));
}

#[test]
fn a_broken_connection_is_an_error_and_not_the_end() {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    let on_reading = Script {
        reads: [Ok(&b"abc"[..]), Err(reset())].into(),
        ..Script::default()
    };
    let on_writing = Script {
        reads: [Ok(&b"abc"[..])].into(),
        writes: [Err(reset())].into(),
        ..Script::default()
    };
    for script in [on_reading, on_writing] {
        let (mut guest, of_host, ..) = relayed(64);
        guest.try_send(3, b"x").unwrap();
        let mut relay = pin!(of_host.relay(Scripted(Arc::new(Mutex::new(script)))));
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = relay.as_mut().poll(&mut cx) else {
            panic!("the connection is broken");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"abc");
        assert_eq!(guest.try_recv(3, 9, 0), Err(Errno::Connreset.into()));
        assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"");
        assert_eq!(guest.try_send(3, b"x"), Err(Errno::Pipe.into()));
    }
}

#[test]
fn a_stream_that_writes_0_bytes_is_an_error() {
    let (mut guest, of_host, ..) = relayed(64);
    guest.try_send(3, b"x").unwrap();
    let stream = Scripted::default();
    stream.0.lock().unwrap().writes = [Ok(0)].into();
    let mut relay = pin!(of_host.relay(stream));
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(error)) = relay.as_mut().poll(&mut cx) else {
        panic!("a write of 0 bytes would be retried without end");
    };
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

/// Reports more bytes than the buffer holds.
struct OverReporting;

impl AsyncRead for OverReporting {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(usize::MAX))
    }
}

impl AsyncWrite for OverReporting {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(usize::MAX))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_stream_that_reports_too_many_bytes_is_clamped() {
    let (mut guest, of_host, ..) = relayed(64);
    guest.try_send(3, b"x").unwrap();
    let mut relay = pin!(of_host.relay(OverReporting));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(relay.as_mut().poll(&mut cx).is_pending());
    assert_eq!(guest.try_recv(3, 99, 0).unwrap().len(), 64);
}

#[test]
fn the_ends_of_a_socket_are_asynchronous_streams() {
    let (mut one, mut other) = socket_pair(3);
    let mut cx = Context::from_waker(Waker::noop());
    let mut buf = [0; 8];
    assert!(Pin::new(&mut one).poll_read(&mut cx, &mut buf).is_pending());
    let written = Pin::new(&mut other).poll_write(&mut cx, b"abcd");
    assert!(matches!(written, Poll::Ready(Ok(3))));
    assert!(Pin::new(&mut other).poll_write(&mut cx, b"d").is_pending());
    let flushed = Pin::new(&mut other).poll_flush(&mut cx);
    assert!(matches!(flushed, Poll::Ready(Ok(()))));
    let read = Pin::new(&mut one).poll_read(&mut cx, &mut buf);
    assert!(matches!(read, Poll::Ready(Ok(3))));
    let closed = Pin::new(&mut other).poll_close(&mut cx);
    assert!(matches!(closed, Poll::Ready(Ok(()))));
    let read = Pin::new(&mut one).poll_read(&mut cx, &mut buf);
    assert!(matches!(read, Poll::Ready(Ok(0))));
    let written = Pin::new(&mut other).poll_write(&mut cx, b"d");
    assert!(matches!(written, Poll::Ready(Err(_))));
    let written = Pin::new(&mut one).poll_write(&mut cx, b"efg");
    assert!(
        matches!(written, Poll::Ready(Ok(3))),
        "the other direction is open"
    );
}
