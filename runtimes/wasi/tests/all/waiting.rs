//! Waiting of a guest for pipes, and its end.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rangewatch_wasi::{Errno, Interrupt, SystemClock, Wasi, pipe, preview1};

use crate::guest::Guest;
use crate::polling::{counter, readable, sleep, writable};

#[test]
fn an_empty_pipe_makes_the_guest_wait_and_wakes_it() {
    let (mut feed, stdin) = pipe(100);
    let mut guest = Guest::new(Wasi::builder().stdin(stdin));
    let (woken, waker) = counter();
    assert_eq!(guest.attempt(&[readable(1)]), Err(Interrupt::Wait));
    assert!(!guest.is_ready(&waker));
    feed.try_send(b"abc").unwrap();
    assert_eq!(woken.count(), 1);
    assert!(guest.is_ready(&waker));
    assert_eq!(guest.attempt(&[readable(1)]).unwrap(), [(1, 0, 1, 3, 0)]);
    assert_eq!(guest.read(0, 9).unwrap(), b"abc");
    assert_eq!(guest.attempt(&[readable(1)]), Err(Interrupt::Wait));
    assert!(!guest.is_ready(&waker));
    drop(feed);
    assert_eq!(woken.count(), 2);
    assert!(guest.is_ready(&waker));
    assert_eq!(guest.attempt(&[readable(1)]).unwrap(), [(1, 0, 1, 0, 1)]);
}

#[test]
fn a_read_waits_and_its_retry_reads_the_bytes() {
    let (mut feed, stdin) = pipe(100);
    let mut guest = Guest::new(Wasi::builder().stdin(stdin));
    guest.put_iovecs(0, &[(500, 4)]);
    let read =
        |guest: &mut Guest| preview1::fd_read(&mut guest.ctx, &mut guest.memory, 0, 0, 1, 600);
    let (_, waker) = counter();
    for text in [&b"abc"[..], b"de"] {
        assert_eq!(read(&mut guest), Err(Interrupt::Wait));
        assert!(!guest.is_ready(&waker));
        feed.try_send(text).unwrap();
        assert!(guest.is_ready(&waker));
        assert_eq!(read(&mut guest), Ok(()));
        assert_eq!(guest.bytes(500, guest.u32(600)), text);
    }
    feed.try_send(b"fg").unwrap();
    assert_eq!(
        read(&mut guest),
        Ok(()),
        "available bytes must not make the guest wait"
    );
    drop(feed);
    assert_eq!(read(&mut guest), Ok(()));
    assert_eq!(guest.u32(600), 0);
}

#[test]
fn a_nonblocking_descriptor_returns_again() {
    let (mut feed, stdin) = pipe(100);
    let (stdout, mut drain) = pipe(2);
    let mut guest = Guest::new(Wasi::builder().stdin(stdin).stdout(stdout));
    for fd in [0, 1] {
        preview1::fd_fdstat_set_flags(&mut guest.ctx, &mut [], fd, 4).unwrap();
    }
    assert_eq!(guest.read(0, 1), Err(Errno::Again));
    feed.try_send(b"x").unwrap();
    assert_eq!(guest.read(0, 1).unwrap(), b"x");
    assert_eq!(guest.write(1, b"abc"), Ok(2));
    assert_eq!(guest.write(1, b"c"), Err(Errno::Again));
    assert_eq!(drain.try_recv().unwrap(), b"ab");
    assert_eq!(guest.write(1, b"c"), Ok(1));
}

#[test]
fn a_write_to_a_full_pipe_waits_for_room_and_one_to_a_closed_pipe_fails() {
    let (stdout, mut drain) = pipe(2);
    let mut guest = Guest::new(Wasi::builder().stdout(stdout));
    assert_eq!(guest.write(1, b"abc"), Ok(2));
    assert_eq!(guest.attempt(&[writable(1)]), Err(Interrupt::Wait));
    let (woken, waker) = counter();
    assert!(!guest.is_ready(&waker));
    assert_eq!(drain.try_recv().unwrap(), b"ab");
    assert_eq!(woken.count(), 1);
    assert!(guest.is_ready(&waker));
    assert_eq!(guest.attempt(&[writable(1)]).unwrap(), [(1, 0, 2, 2, 0)]);
    drop(drain);
    assert_eq!(guest.attempt(&[writable(1)]).unwrap(), [(1, 0, 2, 0, 1)]);
    assert_eq!(guest.write(1, b"c"), Err(Errno::Pipe));
}

#[test]
fn a_pipe_connects_the_output_of_one_guest_to_the_input_of_another() {
    let (stdout, stdin) = pipe(3);
    let mut first = Guest::new(Wasi::builder().stdout(stdout));
    let mut second = Guest::new(Wasi::builder().stdin(stdin));
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        loop {
            match second.read(0, 100).unwrap() {
                bytes if bytes.is_empty() => return all,
                bytes => all.extend(bytes),
            }
        }
    });
    let text: Vec<u8> = (0..=255).collect();
    let mut rest = &text[..];
    while !rest.is_empty() {
        let n_bytes = first.write(1, rest).unwrap();
        rest = &rest[n_bytes as usize..];
    }
    drop(first);
    assert_eq!(reading.join().unwrap(), text);
}

#[test]
fn dropping_a_waiting_guest_drops_its_wakers() {
    let (feed, stdin) = pipe(10);
    let (counter, waker) = counter();
    let mut guest = Guest::new(Wasi::builder().clock(SystemClock::new()).stdin(stdin));
    assert_eq!(
        guest.attempt(&[readable(1), sleep(2, Duration::from_secs(600))]),
        Err(Interrupt::Wait)
    );
    assert!(!guest.is_ready(&waker));
    drop(waker);
    assert!(Arc::strong_count(&counter) > 1);
    drop(guest);
    // The timer thread may hold the waker briefly while it removes the sleep from its list.
    let deadline = Instant::now() + Duration::from_secs(60);
    while Arc::strong_count(&counter) > 1 {
        assert!(Instant::now() < deadline, "a waker is still registered");
        thread::yield_now();
    }
    assert!(feed.is_closed());
}
