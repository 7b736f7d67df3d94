//! `fd_write` to each kind of output.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex};

use rangewatch_wasi::{
    Errno, MAX_IOVECS, MAX_TRANSFER_BYTES, SharedBuffer, Stdout, Wasi, preview1,
};

use crate::guest::Guest;

/// A writer that returns scripted results and records the bytes.
#[derive(Clone, Default)]
struct Scripted {
    answers: Arc<Mutex<VecDeque<io::Result<usize>>>>,
    given: SharedBuffer,
}

impl Scripted {
    fn new<const N: usize>(answers: [io::Result<usize>; N]) -> Self {
        Self {
            answers: Arc::new(Mutex::new(VecDeque::from(answers))),
            given: SharedBuffer::new(),
        }
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let accepted = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .expect("more writes than expected")?;
        self.given.write_all(&bytes[..accepted.min(bytes.len())])?;
        Ok(accepted)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn writing(stdout: impl Into<Stdout>) -> Guest {
    Guest::new(Wasi::builder().stdout(stdout))
}

#[test]
fn output_is_captured_per_stream() {
    let (out, err) = (SharedBuffer::new(), SharedBuffer::new());
    let mut guest = Guest::new(Wasi::builder().stdout(out.clone()).stderr(err.clone()));
    assert_eq!(guest.write(1, b"one\n"), Ok(4));
    assert_eq!(guest.write(2, b"two\n"), Ok(4));
    assert_eq!(guest.write(1, b"three\n"), Ok(6));
    assert_eq!(
        (out.to_string_lossy(), err.to_string_lossy()),
        ("one\nthree\n".into(), "two\n".into())
    );
}

#[test]
fn both_streams_may_share_a_buffer_and_keep_their_order() {
    let both = SharedBuffer::new();
    let mut guest = Guest::new(Wasi::builder().stdout(both.clone()).stderr(both.clone()));
    for (fd, text) in [(1, "a"), (2, "b"), (1, "c")] {
        guest.write(fd, text.as_bytes()).unwrap();
    }
    assert_eq!(both.to_string_lossy(), "abc");
}

#[test]
fn all_buffers_are_written_in_order() {
    let out = SharedBuffer::new();
    let mut guest = writing(out.clone());
    guest.put(500, b"abcdef");
    assert_eq!(
        guest.writev(1, &[(502, 2), (0, 0), (500, 2), (500, 6)]),
        Ok(10)
    );
    assert_eq!(out.take(), b"cdababcdef");

    guest.put(0xa000, b"a");
    let iovecs = vec![(0xa000, 1); MAX_IOVECS as usize];
    assert_eq!(guest.writev(1, &iovecs), Ok(MAX_IOVECS));
    assert_eq!(out.take(), vec![b'a'; MAX_IOVECS as usize]);
}

#[test]
fn a_closure_gets_each_buffer_once() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let mut guest = writing(Stdout::from_fn(move |bytes| {
        sink.lock().unwrap().push(bytes.to_vec())
    }));
    guest.put(500, b"abcd");
    assert_eq!(guest.writev(1, &[(500, 3), (503, 1)]), Ok(4));
    assert_eq!(*seen.lock().unwrap(), [b"abc".to_vec(), b"d".to_vec()]);
}

#[test]
fn a_short_write_ends_the_call_with_its_byte_count() {
    let writer = Scripted::new([Ok(3), Ok(1)]);
    let mut guest = writing(Stdout::writer(writer.clone()));
    guest.put(500, b"abcdef");
    assert_eq!(guest.writev(1, &[(500, 3), (503, 3), (500, 6)]), Ok(4));
    assert_eq!(writer.given.take(), b"abcd");
}

#[test]
fn an_error_after_progress_is_returned_by_the_next_call() {
    let writer = Scripted::new([
        Ok(3),
        Err(io::ErrorKind::BrokenPipe.into()),
        Err(io::ErrorKind::BrokenPipe.into()),
    ]);
    let mut guest = writing(Stdout::writer(writer));
    assert_eq!(guest.writev(1, &[(500, 3), (503, 3)]), Ok(3));
    assert_eq!(guest.writev(1, &[(503, 3)]), Err(Errno::Pipe));
}

#[test]
fn errors_of_the_host_are_errnos() {
    let kinds = [
        (io::ErrorKind::BrokenPipe, Errno::Pipe),
        (io::ErrorKind::WouldBlock, Errno::Again),
        (io::ErrorKind::StorageFull, Errno::Nospc),
        (io::ErrorKind::QuotaExceeded, Errno::Dquot),
        (io::ErrorKind::PermissionDenied, Errno::Acces),
        (io::ErrorKind::Other, Errno::Io),
    ];
    for (kind, errno) in kinds {
        let mut guest = writing(Stdout::writer(Scripted::new([Err(kind.into())])));
        assert_eq!(guest.write(1, b"x"), Err(errno));
    }
    let exact = io::Error::new(io::ErrorKind::BrokenPipe, Errno::Nxio);
    let mut guest = writing(Stdout::writer(Scripted::new([
        Err(io::ErrorKind::Interrupted.into()),
        Err(exact),
    ])));
    assert_eq!(guest.write(1, b"x"), Err(Errno::Nxio));
}

#[test]
fn a_writer_that_writes_0_bytes_is_full() {
    let mut guest = writing(Stdout::writer(Scripted::new([Ok(0), Ok(1), Ok(0)])));
    assert_eq!(guest.write(1, b"x"), Err(Errno::Nospc));
    assert_eq!(guest.writev(1, &[(500, 1), (500, 1)]), Ok(1));
}

#[test]
fn a_writer_that_reports_too_many_bytes_is_clamped() {
    let mut guest = writing(Stdout::writer(Scripted::new([Ok(usize::MAX)])));
    assert_eq!(guest.write(1, b"abc"), Ok(3));
}

#[test]
fn writing_empty_buffers_does_not_call_the_writer() {
    let mut guest = writing(Stdout::writer(Scripted::new([])));
    assert_eq!(guest.writev(1, &[]), Ok(0));
    assert_eq!(guest.writev(1, &[(500, 0)]), Ok(0));
}

#[test]
fn invalid_pointers_are_a_fault_and_write_nothing() {
    let out = SharedBuffer::new();
    let mut guest = writing(out.clone());
    let end = guest.memory.len() as i32;
    guest.put_iovecs(0, &[(500, 3)]);
    guest.put_iovecs(8, &[(500, 3), (end as u32 - 2, 3)]);
    guest.put_iovecs(24, &[(u32::MAX, u32::MAX)]);
    let before = guest.memory.clone();
    let calls = [
        (8, 2, 2000),
        (24, 1, 2000),
        (end - 7, 1, 2000),
        (-1, 1, 2000),
        (-8, 1024, 2000),
        (0, 1, end - 3),
        (0, 1, -1),
        (0, MAX_IOVECS as i32, 2000),
    ];
    for (iovs, iovs_len, out) in calls {
        let result = preview1::fd_write(&mut guest.ctx, &mut guest.memory, 1, iovs, iovs_len, out);
        assert_eq!(result, Err(Errno::Fault.into()), "{iovs} {iovs_len} {out}");
    }
    for iovs_len in [MAX_IOVECS as i32 + 1, i32::MAX, -1] {
        let result = preview1::fd_write(&mut guest.ctx, &mut guest.memory, 1, 0, iovs_len, 2000);
        assert_eq!(result, Err(Errno::Inval.into()));
    }
    assert_eq!(
        preview1::fd_write(&mut guest.ctx, &mut [], 1, 0, 1, 0),
        Err(Errno::Fault.into())
    );
    assert!(guest.memory == before && out.is_empty());
}

#[test]
fn one_call_writes_no_more_than_the_limit() {
    let out = SharedBuffer::new();
    let mut guest = writing(out.clone());
    let whole = guest.memory.len() as u32;
    assert_eq!(
        guest.writev(1, &[(0, whole); MAX_IOVECS as usize]),
        Ok(MAX_TRANSFER_BYTES)
    );
    assert_eq!(out.len(), MAX_TRANSFER_BYTES as usize);
}

#[test]
fn a_shared_buffer_is_bounded_and_emptied_by_take() {
    let out = SharedBuffer::with_limit_bytes(5);
    let mut guest = writing(out.clone());
    assert_eq!(guest.writev(1, &[(500, 3), (500, 3)]), Ok(5));
    assert_eq!(guest.write(1, b"x"), Err(Errno::Nospc));
    assert_eq!(guest.write(1, b""), Ok(0));
    assert_eq!(out.take().len(), 5);
    assert_eq!(guest.write(1, b"x"), Ok(1));
}

#[test]
fn a_shared_buffer_returns_writes_of_any_length() {
    let out = SharedBuffer::new();
    let mut guest = writing(out.clone());
    let text: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    for _ in 0..2 {
        for piece in text.chunks(70_001) {
            assert_eq!(guest.write(1, piece), Ok(piece.len() as u32));
        }
        assert_eq!(out.len(), text.len());
        assert!(out.contents() == text);
        assert!(out.take() == text);
        assert!(out.is_empty());
    }
}

#[test]
fn sync_and_close_flush_a_buffered_writer() {
    let (out, err) = (SharedBuffer::new(), SharedBuffer::new());
    let mut guest = Guest::new(
        Wasi::builder()
            .stdout(Stdout::writer(BufWriter::new(out.clone())))
            .stderr(Stdout::writer(BufWriter::new(err.clone()))),
    );
    guest.write(1, b"a").unwrap();
    assert!(out.is_empty());
    preview1::fd_sync(&mut guest.ctx, &mut [], 1).unwrap();
    assert_eq!(out.take(), b"a");
    guest.write(1, b"b").unwrap();
    preview1::fd_datasync(&mut guest.ctx, &mut [], 1).unwrap();
    assert_eq!(out.take(), b"b");
    guest.write(2, b"c").unwrap();
    preview1::fd_close(&mut guest.ctx, &mut [], 2).unwrap();
    assert_eq!(err.take(), b"c");
}

#[test]
fn writing_an_input_stream_or_a_closed_one_fails() {
    let mut guest = Guest::new(Wasi::builder());
    assert_eq!(guest.write(0, b"x"), Err(Errno::Badf));
    preview1::fd_close(&mut guest.ctx, &mut [], 1).unwrap();
    assert_eq!(guest.write(1, b"x"), Err(Errno::Badf));
    assert_eq!(guest.write(2, b"x"), Ok(1));
}
