//! Listening sockets.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rangewatch_wasi::net::{Listener, MemorySocket, Socket, loopback, socket_pair};
use rangewatch_wasi::{Errno, Wasi, preview1};

use crate::guest::Guest;
use crate::polling::counter;
use crate::sockets::{CONNECTED, FD_READ, LISTENING, NONBLOCK, drain, errno, listening, waits};

#[test]
fn connections_are_accepted_in_their_order_and_get_the_lowest_number() {
    let (mut guest, connector) = listening(3);
    let mut hosts: Vec<_> = (0..3).map(|_| connector.try_connect().unwrap()).collect();
    for (host, text) in hosts.iter_mut().zip(["first", "second", "third"]) {
        host.write_all(text.as_bytes()).unwrap();
    }
    preview1::fd_close(&mut guest.ctx, &mut [], 1).unwrap();
    assert_eq!(guest.try_accept(3, 0), Ok(1));
    assert_eq!(guest.try_accept(3, NONBLOCK), Ok(4));
    assert_eq!(guest.try_accept(3, 0), Ok(5));
    for (fd, text, flags) in [(1, "first", 0), (4, "second", 4), (5, "third", 0)] {
        assert_eq!(guest.fdstat(fd).unwrap().flags, flags);
        assert_eq!(guest.try_recv(fd, 9, 0).unwrap(), text.as_bytes());
        assert_eq!(guest.try_send(fd, text.as_bytes()), Ok(text.len() as u32));
    }
    for (host, text) in hosts.iter_mut().zip(["first", "second", "third"]) {
        assert_eq!(drain(host), text.as_bytes());
    }
}

#[test]
fn a_failed_accept_leaves_the_connection_pending() {
    let (listener, connector) = loopback(1, 1);
    let mut guest = Guest::new(Wasi::builder().listener(listener).max_descriptors(4));
    let _host = connector.try_connect().unwrap();
    for flags in [1, 2, 8, 16, 32, NONBLOCK | 1, 0x1_0000, -1, i32::MIN] {
        assert_eq!(guest.try_accept(3, flags), errno(Errno::Inval));
    }
    let end = guest.memory.len() as i32;
    for out in [end - 3, -1, i32::MIN] {
        let result = preview1::sock_accept(&mut guest.ctx, &mut guest.memory, 3, 0, out);
        assert_eq!(result, errno(Errno::Fault));
    }
    assert_eq!(guest.try_accept(3, 0), errno(Errno::Mfile));
    preview1::fd_close(&mut guest.ctx, &mut [], 0).unwrap();
    assert_eq!(guest.try_accept(3, 0), Ok(0));
}

#[test]
fn accept_without_a_connection_waits_or_returns_again() {
    let (mut guest, connector) = listening(1);
    assert_eq!(guest.try_accept(3, 0), waits());
    assert!(guest.wakes_for(|| drop(connector.try_connect())));
    assert_eq!(guest.try_accept(3, 0), Ok(4));
    guest.set_flags(3, NONBLOCK);
    assert_eq!(guest.try_accept(3, 0), errno(Errno::Again));
    guest.set_flags(3, 0);
    let last = connector.clone();
    drop(connector);
    assert_eq!(guest.try_accept(3, 0), waits());
    let (counter, waker) = counter();
    assert!(!guest.is_ready(&waker));
    drop(last);
    assert_eq!(counter.count(), 1, "the last connector is dropped");
    assert_eq!(guest.try_accept(3, 0), errno(Errno::Inval));
}

#[test]
fn connecting_fails_without_a_listening_guest() {
    let (mut guest, connector) = listening(1);
    drop(connector.try_connect().unwrap());
    let full = connector.try_connect().unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    let (counter, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    {
        let mut connect = pin!(connector.connect());
        assert!(connect.as_mut().poll(&mut cx).is_pending());
        assert!(connect.as_mut().poll(&mut cx).is_pending());
        guest.try_accept(3, 0).unwrap();
        assert_eq!(counter.count(), 1);
        assert!(matches!(connect.poll(&mut cx), Poll::Ready(Ok(_))));
    }
}

#[test]
fn a_closed_listener_refuses_pending_and_later_connections() {
    let (mut guest, connector) = listening(1);
    let mut waiting = connector.try_connect().unwrap();
    let (counter, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    let mut connect = pin!(connector.connect());
    assert!(connect.as_mut().poll(&mut cx).is_pending());
    preview1::fd_close(&mut guest.ctx, &mut [], 3).unwrap();
    assert_eq!(counter.count(), 1);
    let Poll::Ready(Err(refused)) = connect.poll(&mut cx) else {
        panic!("connecting to a closed listener must fail");
    };
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let refused = connector.try_connect().unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(waiting.read(&mut [0]).unwrap(), 0);
    assert_eq!(
        waiting.write(b"x").unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
}

#[test]
fn a_cancelled_connect_drops_its_waker() {
    let (_guest, connector) = listening(1);
    let _waiting = connector.try_connect().unwrap();
    let (counter, waker) = counter();
    let n_wakers = Arc::strong_count(&counter);
    for _ in 0..3 {
        let mut connect = pin!(connector.connect());
        for _ in 0..2 {
            let mut cx = Context::from_waker(&waker);
            assert!(connect.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(Arc::strong_count(&counter), n_wakers + 1);
    }
    assert_eq!(Arc::strong_count(&counter), n_wakers);
}

#[test]
fn an_accepted_socket_has_the_rights_its_listener_passes_on() {
    let (mut guest, connector) = listening(2);
    let _hosts = [(); 2].map(|()| connector.try_connect().unwrap());
    guest.try_accept(3, 0).unwrap();
    let stat = guest.fdstat(4).unwrap();
    assert_eq!((stat.rights_base, stat.rights_inheriting), (CONNECTED, 0));
    guest.keep_rights(3, LISTENING, FD_READ).unwrap();
    guest.try_accept(3, 0).unwrap();
    let stat = guest.fdstat(5).unwrap();
    assert_eq!((stat.rights_base, stat.rights_inheriting), (FD_READ, 0));
    assert_eq!(guest.try_send(5, b"x"), errno(Errno::Notcapable));
    assert_eq!(guest.try_send(4, b"x"), Ok(1));
}

#[test]
fn a_listener_of_the_host_stays_usable_after_an_error() {
    struct Failing(VecDeque<io::Result<MemorySocket>>);
    impl Listener for Failing {
        fn accept(&mut self) -> Poll<io::Result<Box<dyn Socket>>> {
            match self.0.pop_front() {
                Some(Ok(socket)) => Poll::Ready(Ok(Box::new(socket))),
                Some(Err(error)) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            }
        }

        fn poll_acceptable(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    let aborted = Err(io::ErrorKind::ConnectionAborted.into());
    let listener: Box<dyn Listener> = Box::new(Failing([aborted, Ok(socket_pair(1).0)].into()));
    let mut guest = Guest::new(Wasi::builder().listener(listener));
    assert_eq!(guest.try_accept(3, 0), errno(Errno::Connaborted));
    assert_eq!(guest.try_accept(3, 0), Ok(4));
}
