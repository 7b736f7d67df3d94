//! The host's ends of pipes.

use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use rangewatch_wasi::{Errno, PipeRecvError, TryRecvError, pipe};

use crate::polling::counter;

#[test]
fn a_pipe_buffers_at_most_its_capacity() {
    let (mut writer, mut reader) = pipe(4);
    assert_eq!(writer.try_send(b"abcdef").unwrap(), 4);
    assert_eq!(
        writer.try_send(b"e").unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    assert_eq!(writer.try_send(b"").unwrap(), 0);
    assert_eq!(reader.try_recv().unwrap(), b"abcd");
    assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
    let (mut writer, _reader) = pipe(0);
    assert_eq!(
        writer.try_send(b"ab").unwrap(),
        1,
        "the capacity is at least 1"
    );
}

#[test]
fn a_reader_gets_the_bytes_written_before_the_writer_was_dropped() {
    let (mut writer, mut reader) = pipe(9);
    writer.try_send(b"abc").unwrap();
    drop(writer);
    assert_eq!(reader.try_recv().unwrap(), b"abc");
    assert_eq!(reader.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(reader.read(&mut [0; 3]).unwrap(), 0);
}

#[test]
fn a_writer_gets_an_error_when_its_reader_is_dropped() {
    let (mut writer, reader) = pipe(9);
    assert!(!writer.is_closed());
    drop(reader);
    assert!(writer.is_closed());
    for result in [writer.try_send(b"a"), writer.write(b"a")] {
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}

#[test]
fn a_waiting_pipe_end_is_woken_by_bytes_and_by_the_end() {
    let (counter, waker) = counter();
    let mut cx = Context::from_waker(&waker);
    let (mut writer, mut reader) = pipe(2);
    {
        let mut recv = pin!(reader.recv());
        assert!(recv.as_mut().poll(&mut cx).is_pending());
        writer.try_send(b"ab").unwrap();
        assert_eq!(counter.count(), 1);
        assert_eq!(recv.poll(&mut cx), Poll::Ready(Ok(b"ab".to_vec())));
    }
    {
        let mut send = pin!(writer.send(b"cdef"));
        assert!(send.as_mut().poll(&mut cx).is_pending());
        assert_eq!(reader.try_recv().unwrap(), b"cd");
        assert_eq!(counter.count(), 2);
        assert!(matches!(send.poll(&mut cx), Poll::Ready(Ok(()))));
    }
    assert_eq!(reader.try_recv().unwrap(), b"ef");
    let mut recv = pin!(reader.recv());
    assert!(recv.as_mut().poll(&mut cx).is_pending());
    drop(writer);
    assert_eq!(counter.count(), 3);
    assert_eq!(recv.poll(&mut cx), Poll::Ready(Err(PipeRecvError::Closed)));
}

#[test]
fn blocking_on_a_pipe_loses_no_bytes() {
    let (mut writer, mut reader) = pipe(7);
    let text: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    let expected = text.clone();
    let writing = thread::spawn(move || writer.write_all(&text));
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    writing.join().unwrap().unwrap();
    assert!(all == expected);
}

#[test]
fn a_failed_pipe_ends_with_its_error_for_every_kind_of_reader() {
    let failed = || {
        let (mut writer, reader) = pipe(9);
        writer.try_send(b"part").unwrap();
        writer.fail(Errno::Connreset);
        reader
    };
    let mut cx = Context::from_waker(Waker::noop());

    let mut reader = failed();
    for expected in [
        Ok(b"part".to_vec()),
        Err(PipeRecvError::Failed(Errno::Connreset)),
        Err(PipeRecvError::Closed),
    ] {
        assert_eq!(pin!(reader.recv()).poll(&mut cx), Poll::Ready(expected));
    }

    let mut reader = failed();
    assert_eq!(reader.try_recv().unwrap(), b"part");
    assert_eq!(
        reader.try_recv(),
        Err(TryRecvError::Failed(Errno::Connreset))
    );
    assert_eq!(reader.try_recv(), Err(TryRecvError::Closed));

    let error = failed().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
