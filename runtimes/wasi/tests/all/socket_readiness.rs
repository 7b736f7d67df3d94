//! Sockets that a guest waits for, and polls.

use std::io::{Read, Write};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use rangewatch_wasi::net::{loopback, socket_pair};
use rangewatch_wasi::{Errno, SystemClock, VirtualClock, Wasi, pipe, preview1};

use crate::guest::Guest;
use crate::polling::{self, HOUR, sleep};
use crate::sockets::{
    BYTES, FD_READ, FLAGS, IOVS, PEEK, RESULT, SOCK_ACCEPT, WAITALL, connected, drain, listening,
    waits,
};

#[test]
fn receiving_without_the_right_to_poll_still_waits() {
    let (mut guest, mut host) = connected(9);
    guest.keep_rights(3, FD_READ, 0).unwrap();
    assert_eq!(guest.try_recv(3, 9, 0), waits());
    assert!(guest.wakes_for(|| host.write_all(b"abc").unwrap()));
    assert_eq!(guest.try_recv(3, 9, 0).unwrap(), b"abc");

    let (mut guest, connector) = listening(1);
    guest.keep_rights(3, SOCK_ACCEPT, 0).unwrap();
    assert_eq!(guest.try_accept(3, 0), waits());
    assert!(guest.wakes_for(|| drop(connector.try_connect())));
}

#[test]
fn polling_an_input_without_the_right_to_read_does_not_spin() {
    let (mut feed, stdin) = pipe(9);
    let mut guest = Guest::new(Wasi::builder().stdin(stdin));
    guest.keep_rights(0, 0, 0).unwrap();
    assert_eq!(guest.attempt(&[polling::fd(1, 1, 0)]), waits());
    assert!(guest.wakes_for(|| feed.write_all(b"a").unwrap()));
}

#[test]
fn sockets_report_readiness() {
    let (of_guest, mut host) = socket_pair(4);
    let (listener, connector) = loopback(1, 4);
    let wasi = Wasi::builder().socket(of_guest).listener(listener);
    let mut guest = Guest::new(wasi.clock(VirtualClock::at(0, 0)));
    let all = [
        polling::fd(1, 1, 3),
        polling::fd(2, 2, 3),
        polling::fd(3, 1, 4),
        polling::fd(4, 2, 4),
        sleep(5, HOUR),
    ];
    let badf = Errno::Badf.code() as u16;
    let room = (2, 0, 2, 4, 0);
    let wrong = (4, badf, 2, 0, 0);
    assert_eq!(guest.attempt(&all).unwrap(), [room, wrong]);
    host.write_all(b"abc").unwrap();
    let connection = connector.try_connect().unwrap();
    let expected = [(1, 0, 1, 3, 0), room, (3, 0, 1, 0, 0), wrong];
    assert_eq!(guest.attempt(&all).unwrap(), expected);
    guest.try_send(3, b"full").unwrap();
    guest.try_recv(3, 3, 0).unwrap();
    guest.try_accept(4, 0).unwrap();
    drop(connection);
    let unready = [
        polling::fd(1, 1, 3),
        polling::fd(2, 2, 3),
        polling::fd(3, 1, 4),
    ];
    let timed = [unready[0], unready[1], unready[2], sleep(5, HOUR)];
    assert_eq!(
        guest.attempt(&timed).unwrap(),
        [(5, 0, 0, 0, 0)],
        "an hour of a virtual clock"
    );
    assert_eq!(guest.attempt(&unready), waits());
    assert!(guest.wakes_for(|| assert_eq!(drain(&mut host), b"full")));
    assert_eq!(guest.attempt(&unready).unwrap(), [room]);
    host.write_all(b"z").unwrap();
    drop((host, connector));
    let expected = [(1, 0, 1, 1, 1), (2, 0, 2, 0, 1), (3, 0, 1, 0, 0)];
    assert_eq!(
        guest.attempt(&unready).unwrap(),
        expected,
        "hung up, with a byte left"
    );
}

#[test]
fn a_socket_wakes_a_guest_that_sleeps_and_a_thread_that_is_parked() {
    let (of_guest, mut host) = socket_pair(4);
    let wasi = Wasi::builder().socket(of_guest).clock(SystemClock::new());
    let mut guest = Guest::new(wasi);
    let subscriptions = [polling::fd(1, 1, 3), sleep(2, HOUR)];
    assert_eq!(guest.attempt(&subscriptions), waits());
    assert!(guest.wakes_for(|| host.write_all(b"a").unwrap()));
    assert_eq!(guest.attempt(&subscriptions).unwrap(), [(1, 0, 1, 1, 0)]);
    guest.try_recv(3, 1, 0).unwrap();
    assert_eq!(
        guest
            .poll(&[polling::fd(1, 1, 3), sleep(2, Duration::from_nanos(1))])
            .unwrap()
            .len(),
        1
    );

    // Each side blocks its thread while it waits for the other.
    let echo = thread::spawn(move || {
        let mut line = [0; 10];
        host.read_exact(&mut line).unwrap();
        host.write_all(&line).unwrap();
    });
    let line = b"0123456789";
    let mut n_sent = 0;
    while n_sent < line.len() {
        n_sent += guest.write(3, &line[n_sent..]).unwrap() as usize;
    }
    guest.put_iovecs(IOVS as u32, &[(BYTES, 10)]);
    guest
        .block_on(|ctx, memory| {
            preview1::sock_recv(ctx, memory, 3, IOVS, 1, WAITALL, RESULT, FLAGS)
        })
        .unwrap();
    assert_eq!(guest.bytes(BYTES, guest.u32(RESULT as u32)), line);
    assert_eq!(guest.read(3, 1).unwrap(), b"");
    echo.join().unwrap();
}

#[test]
fn an_abandoned_call_loses_and_repeats_no_bytes() {
    let waker = Waker::noop();
    let (mut guest, mut host) = connected(4);
    for flags in [0, PEEK, WAITALL] {
        // Abandoned before it is ready, after, and with a part of the bytes buffered.
        assert_eq!(guest.try_recv(3, 6, flags), waits());
        assert!(!guest.is_ready(waker));
        host.write_all(b"abc").unwrap();
        assert_eq!(guest.is_ready(waker), flags != WAITALL);
        let events = guest.attempt(&[polling::fd(1, 1, 3)]).unwrap();
        assert_eq!(events, [(1, 0, 1, 3, 0)]);
        assert_eq!(guest.try_recv(3, 2, 0).unwrap(), b"ab");
        host.write_all(b"d").unwrap();
        assert_eq!(guest.try_recv(3, 2, WAITALL).unwrap(), b"cd");
    }
    guest.try_send(3, b"full").unwrap();
    assert_eq!(guest.try_send(3, b"never sent"), waits());
    assert!(!guest.is_ready(waker));
    assert_eq!(drain(&mut host), b"full");
    assert!(guest.is_ready(waker));
    assert_eq!(drain(&mut host), b"");
    guest.try_send(3, b"more").unwrap();
    assert_eq!(drain(&mut host), b"more");

    let (mut guest, connector) = listening(1);
    assert_eq!(guest.try_accept(3, 0), waits());
    let _host = connector.try_connect().unwrap();
    assert!(guest.is_ready(waker));
    guest.ctx.flush().unwrap();
    assert_eq!(
        guest.attempt(&[polling::fd(1, 1, 3)]).unwrap(),
        [(1, 0, 1, 0, 0)]
    );
    assert_eq!(guest.try_accept(3, 0), Ok(4));
}
