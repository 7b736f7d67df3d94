//! `fd_read` from each kind of input.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex};

use rangewatch_wasi::{Errno, MAX_IOVECS, MAX_TRANSFER_BYTES, Stdin, Wasi, preview1};

use crate::guest::Guest;

/// A reader with a script. It panics if it is called more often.
struct Scripted(VecDeque<io::Result<&'static [u8]>>);

impl Scripted {
    fn new<const N: usize>(script: [io::Result<&'static [u8]>; N]) -> Self {
        Self(VecDeque::from(script))
    }
}

impl Read for Scripted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self
            .0
            .pop_front()
            .expect("the guest has read more often than it could without blocking")?;
        buf[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

fn guest(stdin: impl Into<Stdin>) -> Guest {
    Guest::new(Wasi::builder().stdin(stdin))
}

fn reading(script: impl Read + Send + 'static) -> Guest {
    guest(Stdin::reader(script))
}

#[test]
fn text_and_bytes_of_every_form_are_read_to_their_end() {
    let forms: [Stdin; 8] = [
        "abc".into(),
        String::from("abc").into(),
        vec![b'a', b'b', b'c'].into(),
        b"abc".into(),
        b"abc"[..].into(),
        Stdin::bytes(b"abc"),
        Stdin::bytes(Arc::<[u8]>::from(&b"abc"[..])),
        Stdin::reader(Cursor::new("abc")),
    ];
    for form in forms {
        let mut guest = guest(form);
        assert_eq!(guest.read(0, 2).unwrap(), b"ab");
        assert_eq!(guest.read(0, 2).unwrap(), b"c");
        assert_eq!(guest.read(0, 2).unwrap(), b"");
        assert_eq!(guest.read(0, 2).unwrap(), b"");
    }
}

#[test]
fn all_buffers_are_filled_in_order_and_the_empty_ones_skipped() {
    for stdin in [
        Stdin::from("abcdefgh"),
        Stdin::reader(Cursor::new("abcdefgh")),
    ] {
        let mut guest = guest(stdin);
        assert_eq!(
            guest.readv(0, &[(900, 0), (700, 3), (0xffff, 0), (600, 2), (500, 9)]),
            Ok(8)
        );
        assert_eq!(guest.bytes(700, 3), b"abc");
        assert_eq!(guest.bytes(600, 2), b"de");
        assert_eq!(guest.bytes(500, 3), b"fgh");
    }
}

#[test]
fn more_buffers_than_a_call_usually_has_are_filled_too() {
    let text: Vec<u8> = (0..100).collect();
    let mut guest = guest(text.clone());
    let iovecs: Vec<(u32, u32)> = (0..100).map(|i| (0x9000 + i, 1)).collect();
    assert_eq!(guest.readv(0, &iovecs), Ok(100));
    assert_eq!(guest.bytes(0x9000, 100), text);
}

#[test]
fn one_call_is_one_read_of_the_host() {
    let mut guest = reading(Scripted::new([Ok(b"ab"), Ok(b"cd")]));
    // The first buffer is filled exactly. A second read would panic.
    assert_eq!(guest.readv(0, &[(500, 2), (600, 10)]), Ok(2));
    assert_eq!(guest.readv(0, &[(500, 1), (600, 10)]), Ok(2));
    assert_eq!(
        (guest.bytes(500, 1), guest.bytes(600, 1)),
        (&b"c"[..], &b"d"[..])
    );
}

#[test]
fn nothing_is_read_ahead_of_the_guest() {
    let shared = Arc::new(Mutex::new(Cursor::new("abcdef")));
    struct Shared(Arc<Mutex<Cursor<&'static str>>>);
    impl Read for Shared {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.lock().unwrap().read(buf)
        }
    }
    let mut guest = reading(Shared(Arc::clone(&shared)));
    assert_eq!(guest.read(0, 1).unwrap(), b"a");
    assert_eq!(guest.readv(0, &[(500, 1), (600, 1)]), Ok(2));
    let mut rest = String::new();
    shared.lock().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "def");
}

#[test]
fn a_call_with_empty_buffers_does_not_call_the_reader() {
    let mut guest = reading(Scripted::new([]));
    assert_eq!(guest.readv(0, &[]), Ok(0));
    assert_eq!(guest.readv(0, &[(500, 0), (600, 0)]), Ok(0));
}

#[test]
fn errors_of_the_host_are_errnos_and_the_stream_stays_usable() {
    let mut guest = reading(Scripted::new([
        Err(io::ErrorKind::WouldBlock.into()),
        Err(io::ErrorKind::Interrupted.into()),
        Ok(b"a"),
        Err(io::Error::other("disk on fire")),
        Err(Errno::Nxio.into()),
        Ok(b""),
    ]));
    assert_eq!(guest.read(0, 5), Err(Errno::Again));
    assert_eq!(guest.read(0, 5).unwrap(), b"a");
    assert_eq!(guest.read(0, 5), Err(Errno::Io));
    assert_eq!(guest.read(0, 5), Err(Errno::Nxio));
    assert_eq!(guest.read(0, 5).unwrap(), b"");
}

#[test]
fn a_reader_that_reports_too_many_bytes_is_clamped() {
    struct OverReporting;
    impl Read for OverReporting {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            buf.fill(b'x');
            Ok(usize::MAX)
        }
    }
    let mut guest = reading(OverReporting);
    assert_eq!(guest.read(0, 3).unwrap(), b"xxx");
    assert_eq!(guest.readv(0, &[(500, 2), (600, 2)]), Ok(4));
}

#[test]
fn invalid_pointers_are_a_fault_and_consume_no_input() {
    let mut guest = guest("abc");
    let end = guest.memory.len() as i32;
    guest.put_iovecs(0, &[(500, 3)]);
    guest.put_iovecs(8, &[(500, 3), (end as u32 - 2, 3)]);
    guest.put_iovecs(24, &[(u32::MAX, 1)]);
    guest.put_iovecs(32, &[(u32::MAX, u32::MAX)]);
    guest.put_iovecs(40, &[(end as u32 + 1, 0)]);
    let before = guest.memory.clone();
    let calls = [
        (8, 2, 2000),                 // the second buffer ends outside
        (24, 1, 2000),                // a buffer begins outside
        (32, 1, 2000),                // its end is past 2^32
        (40, 1, 2000),                // an empty buffer outside
        (end - 7, 1, 2000),           // the table ends outside
        (-1, 1, 2000),                // the table begins outside
        (-8, 1024, 2000),             // its end is past 2^32
        (0, 1, end - 3),              // the result ends outside
        (0, 1, -1),                   // the result begins outside
        (0, MAX_IOVECS as i32, 2000), // what follows the table is no table
    ];
    for (iovs, iovs_len, out) in calls {
        let result = preview1::fd_read(&mut guest.ctx, &mut guest.memory, 0, iovs, iovs_len, out);
        assert_eq!(result, Err(Errno::Fault.into()), "{iovs} {iovs_len} {out}");
    }
    assert!(
        guest.memory == before,
        "a failing call has written to memory"
    );
    assert_eq!(guest.read(0, 10).unwrap(), b"abc");
}

#[test]
fn a_table_is_bounded_in_length() {
    let mut guest = guest("abc");
    for iovs_len in [MAX_IOVECS as i32 + 1, i32::MAX, i32::MIN, -1] {
        let result = preview1::fd_read(&mut guest.ctx, &mut guest.memory, 0, 0, iovs_len, 2000);
        assert_eq!(result, Err(Errno::Inval.into()));
    }
    guest.assert_untouched();
    assert_eq!(guest.readv(0, &[(0x9000, 1); MAX_IOVECS as usize]), Ok(3));
}

#[test]
fn buffers_that_overlap_each_other_are_written_in_order() {
    let mut guest = guest("abcdef");
    assert_eq!(guest.readv(0, &[(500, 4), (502, 2)]), Ok(6));
    assert_eq!(guest.bytes(500, 4), b"abef");
}

#[test]
fn a_buffer_that_overlaps_the_table_cannot_redirect_the_call() {
    // The first buffer is the second entry of the table. If the table were read again, the second
    // buffer would be invalid.
    let mut guest = guest(vec![0xff; 16]);
    assert_eq!(guest.readv(0, &[(8, 8), (500, 8)]), Ok(16));
    assert_eq!(guest.bytes(8, 8), [0xff; 8]);
    assert_eq!(guest.bytes(500, 8), [0xff; 8]);
}

#[test]
fn the_result_may_overlap_the_buffer_and_comes_last() {
    let mut guest = guest("abcdefgh");
    guest.put_iovecs(0, &[(500, 8)]);
    preview1::fd_read(&mut guest.ctx, &mut guest.memory, 0, 0, 1, 502).unwrap();
    assert_eq!(guest.bytes(500, 8), b"ab\x08\0\0\0gh");
}

#[test]
fn one_call_reads_no_more_than_the_limit() {
    let all = MAX_TRANSFER_BYTES + 1000;
    let len = MAX_TRANSFER_BYTES / 2 + 1;
    let mut guest = guest(vec![b'x'; all as usize]);
    guest.memory.resize(4 << 20, 0);
    assert_eq!(
        guest.readv(0, &[(1000, len), (1000, len), (1000, len)]),
        Ok(MAX_TRANSFER_BYTES)
    );
    assert_eq!(guest.readv(0, &[(1000, len)]), Ok(1000));
}

#[test]
fn reading_an_output_stream_or_a_closed_one_fails() {
    let mut guest = guest("abc");
    assert_eq!(guest.read(1, 1), Err(Errno::Badf));
    assert_eq!(guest.read(2, 1), Err(Errno::Badf));
    preview1::fd_close(&mut guest.ctx, &mut [], 0).unwrap();
    assert_eq!(guest.read(0, 1), Err(Errno::Badf));
}

#[test]
fn a_memory_of_length_zero_is_a_fault() {
    let mut guest = guest("abc");
    assert_eq!(
        preview1::fd_read(&mut guest.ctx, &mut [], 0, 0, 1, 0),
        Err(Errno::Fault.into())
    );
    assert_eq!(
        preview1::fd_read(&mut guest.ctx, &mut [], 0, 0, 0, 0),
        Err(Errno::Fault.into())
    );
}

#[test]
fn shrinking_the_bytes_of_an_input_ends_it() {
    /// 10 bytes at first, 1 byte after the second call.
    struct Shrinking(Cell<usize>);
    impl AsRef<[u8]> for Shrinking {
        fn as_ref(&self) -> &[u8] {
            self.0.set(self.0.get() + 1);
            if self.0.get() <= 1 {
                &[b'x'; 10]
            } else {
                &[b'x'; 1]
            }
        }
    }
    let mut guest = guest(Stdin::bytes(Shrinking(Cell::new(0))));
    assert_eq!(guest.read(0, 5).unwrap(), b"xxxxx");
    assert_eq!(guest.read(0, 5).unwrap(), b"");
}
