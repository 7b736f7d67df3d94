//! Asynchronous readers and writers of the host.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use rangewatch_wasi::{Errno, Interrupt, Stdin, Stdout, Wasi, pipe, preview1};

use crate::guest::Guest;

/// The steps of a peer; `None` is a step that is pending.
type Script<T> = Arc<Mutex<VecDeque<Option<T>>>>;

struct Reader(Script<io::Result<&'static [u8]>>);

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.0.lock().unwrap().pop_front() {
            Some(Some(result)) => Poll::Ready(result.map(|bytes| {
                assert!(
                    bytes.len() <= buf.len(),
                    "the script returns more than requested"
                );
                buf[..bytes.len()].copy_from_slice(bytes);
                bytes.len()
            })),
            Some(None) | None => Poll::Pending,
        }
    }
}

#[derive(Clone, Default)]
struct Writer {
    written: Arc<Mutex<Vec<u8>>>,
    flushed_bytes: Arc<Mutex<usize>>,
    /// How many bytes each write accepts.
    writes: Script<io::Result<usize>>,
    flushes: Script<()>,
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.writes.lock().unwrap().pop_front() {
            Some(Some(result)) => Poll::Ready(result.inspect(|n_bytes| {
                self.written
                    .lock()
                    .unwrap()
                    .extend(&bytes[..(*n_bytes).min(bytes.len())]);
            })),
            Some(None) | None => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.flushes.lock().unwrap().pop_front() {
            Some(None) => Poll::Pending,
            Some(Some(())) | None => {
                *self.flushed_bytes.lock().unwrap() = self.written.lock().unwrap().len();
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        unreachable!("the guest's end is not the writer's")
    }
}

fn script<T>(steps: impl IntoIterator<Item = Option<T>>) -> Script<T> {
    Arc::new(Mutex::new(steps.into_iter().collect()))
}

/// Polls like an executor until ready; the script bounds the number of polls.
fn poll_until_ready(ctx: &mut Wasi) -> usize {
    let mut n_pending = 0;
    while ctx
        .poll_ready(&mut Context::from_waker(Waker::noop()))
        .is_pending()
    {
        n_pending += 1;
        assert!(n_pending < 100, "not ready after 100 polls");
    }
    n_pending
}

#[test]
fn an_async_reader_makes_the_guest_wait_and_is_read_in_order() {
    let steps = script([
        Some(Ok(&b"ab"[..])),
        None, // for the attempt
        None, // for the wait
        Some(Err(io::ErrorKind::Interrupted.into())),
        Some(Ok(b"cdefg")),
        Some(Err(io::ErrorKind::TimedOut.into())),
        Some(Ok(b"")),
    ]);
    let mut guest = Guest::new(Wasi::builder().stdin(Stdin::async_reader(Reader(steps))));
    let read = |guest: &mut Guest| {
        guest.put_iovecs(0, &[(500, 5)]);
        preview1::fd_read(&mut guest.ctx, &mut guest.memory, 0, 0, 1, 600)?;
        Ok::<_, Interrupt>(guest.bytes(500, guest.u32(600)).to_vec())
    };
    assert_eq!(
        read(&mut guest).unwrap(),
        b"ab",
        "available bytes are read immediately"
    );
    assert_eq!(read(&mut guest), Err(Interrupt::Wait));
    assert_eq!(poll_until_ready(&mut guest.ctx), 1);
    guest.put_iovecs(0, &[(500, 2)]);
    preview1::fd_read(&mut guest.ctx, &mut guest.memory, 0, 0, 1, 600).unwrap();
    assert_eq!(
        guest.bytes(500, guest.u32(600)),
        b"cd",
        "the remaining bytes are buffered"
    );
    assert_eq!(read(&mut guest).unwrap(), b"efg");
    assert_eq!(read(&mut guest), Err(Errno::Timedout.into()));
    assert_eq!(read(&mut guest).unwrap(), b"");
}

#[test]
fn an_async_writer_gets_each_byte_once_and_is_flushed() {
    let writer = Writer {
        writes: script([
            Some(Ok(2)),
            None, // for the attempt
            None, // for the wait
            Some(Ok(3)),
            Some(Err(io::ErrorKind::BrokenPipe.into())),
            Some(Ok(0)),
        ]),
        flushes: script([Some(()), None, Some(())]),
        ..Writer::default()
    };
    let mut guest = Guest::new(Wasi::builder().stdout(Stdout::async_writer(writer.clone())));
    let write = |guest: &mut Guest, bytes: &[u8]| {
        guest.put(500, bytes);
        guest.put_iovecs(0, &[(500, bytes.len() as u32)]);
        preview1::fd_write(&mut guest.ctx, &mut guest.memory, 1, 0, 1, 600)?;
        Ok::<_, Interrupt>(guest.u32(600))
    };
    assert_eq!(write(&mut guest, b"abc"), Ok(2));
    assert_eq!(write(&mut guest, b"cde"), Err(Interrupt::Wait));
    assert_eq!(
        poll_until_ready(&mut guest.ctx),
        2,
        "the bytes, then the flush"
    );
    assert_eq!(write(&mut guest, b"cde"), Ok(3));
    assert_eq!(*writer.written.lock().unwrap(), b"abcde");
    assert_eq!(*writer.flushed_bytes.lock().unwrap(), 5);
    assert_eq!(write(&mut guest, b"f"), Err(Errno::Pipe.into()));
    assert_eq!(write(&mut guest, b"f"), Err(Errno::Nospc.into()));
    assert_eq!(*writer.written.lock().unwrap(), b"abcde");
}

#[test]
fn a_nonblocking_write_returns_again_and_buffers_nothing() {
    let writer = Writer {
        writes: script([None, Some(Ok(1))]),
        ..Writer::default()
    };
    let mut guest = Guest::new(Wasi::builder().stdout(Stdout::async_writer(writer.clone())));
    preview1::fd_fdstat_set_flags(&mut guest.ctx, &mut [], 1, 4).unwrap();
    assert_eq!(guest.write(1, b"a"), Err(Errno::Again));
    assert_eq!(guest.write(1, b"b"), Ok(1));
    assert_eq!(*writer.written.lock().unwrap(), b"b");
}

#[test]
fn the_ends_of_a_pipe_are_asynchronous_streams() {
    let (mut writer, mut reader) = pipe(3);
    let mut cx = Context::from_waker(Waker::noop());
    let mut buf = [0; 8];
    assert!(
        Pin::new(&mut reader)
            .poll_read(&mut cx, &mut buf)
            .is_pending()
    );
    let written = Pin::new(&mut writer).poll_write(&mut cx, b"abcd");
    assert!(matches!(written, Poll::Ready(Ok(3))));
    assert!(Pin::new(&mut writer).poll_write(&mut cx, b"d").is_pending());
    let read = Pin::new(&mut reader).poll_read(&mut cx, &mut buf);
    assert!(matches!(read, Poll::Ready(Ok(3))));
    assert_eq!(&buf[..3], b"abc");
}

#[test]
fn a_partial_write_buffers_nothing() {
    let writer = Writer {
        writes: script([Some(Ok(3)), None, Some(Ok(2))]),
        ..Writer::default()
    };
    let mut guest = Guest::new(Wasi::builder().stdout(Stdout::async_writer(writer.clone())));
    guest.put(500, b"abcde");
    assert_eq!(guest.writev(1, &[(500, 3), (503, 2)]), Ok(3));
    // A subscription to the output, which is ready. Polling writes nothing.
    guest.put(0x1000, &[0; 48]);
    guest.put(0x1008, &[2]);
    guest.put(0x1010, &[1]);
    preview1::poll_oneoff(&mut guest.ctx, &mut guest.memory, 0x1000, 0x2000, 1, 0x3000).unwrap();
    assert_eq!(guest.u32(0x3000), 1);
    assert_eq!(guest.write(1, b"xy"), Ok(2));
    assert_eq!(*writer.written.lock().unwrap(), b"abcxy");
}

#[test]
fn a_write_waits_for_its_flush_and_is_not_repeated() {
    let writer = Writer {
        writes: script([Some(Ok(2))]),
        flushes: script([None, None, Some(())]),
        ..Writer::default()
    };
    let mut guest = Guest::new(Wasi::builder().stdout(Stdout::async_writer(writer.clone())));
    guest.put(500, b"ab");
    guest.put_iovecs(0, &[(500, 2)]);
    let write =
        |guest: &mut Guest| preview1::fd_write(&mut guest.ctx, &mut guest.memory, 1, 0, 1, 600);
    assert_eq!(write(&mut guest), Err(Interrupt::Wait));
    assert_eq!(poll_until_ready(&mut guest.ctx), 1);
    assert_eq!(write(&mut guest), Ok(()));
    assert_eq!(guest.u32(600), 2);
    assert_eq!(*writer.written.lock().unwrap(), b"ab");
    assert_eq!(*writer.flushed_bytes.lock().unwrap(), 2);
}

/// A libc writes its buffered bytes and the new bytes as two buffers.
#[test]
fn a_write_of_several_buffers_waits_for_the_flush_of_the_last() {
    let writer = Writer {
        writes: script([Some(Ok(5))]),
        flushes: script([None, Some(())]),
        ..Writer::default()
    };
    let mut guest = Guest::new(Wasi::builder().stdout(Stdout::async_writer(writer.clone())));
    guest.put(500, b"abcde");
    guest.put_iovecs(0, &[(500, 3), (503, 2)]);
    let write =
        |guest: &mut Guest| preview1::fd_write(&mut guest.ctx, &mut guest.memory, 1, 0, 2, 600);
    assert_eq!(write(&mut guest), Err(Interrupt::Wait));
    poll_until_ready(&mut guest.ctx);
    assert_eq!(write(&mut guest), Ok(()));
    assert_eq!(guest.u32(600), 5);
    assert_eq!(*writer.written.lock().unwrap(), b"abcde");
    assert_eq!(*writer.flushed_bytes.lock().unwrap(), 5);
}
