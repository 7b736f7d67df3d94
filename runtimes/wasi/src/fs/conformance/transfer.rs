//! Scenarios for reading and writing.

use std::sync::Arc;

use super::guest::{APPEND, CREAT, Guest, KEEP, ROOT, WRITE};
use crate::Errno;
use crate::fs::Dir;

const SET: i32 = 0;
const CUR: i32 = 1;
const END: i32 = 2;

/// Bytes that identify their offset.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Written bytes are read back, also across the block boundaries of a filesystem.
pub fn written_bytes_are_read_back(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let bytes = pattern(200_000);
    let fd = guest.open("file", CREAT).expect("a new file");
    for chunk in bytes.chunks(33_333) {
        assert_eq!(guest.write(fd, chunk), Ok(chunk.len() as u32));
    }
    assert_eq!(guest.fstat(fd).expect("open").size_bytes, 200_000);
    for (offset, len) in [(0, 10), (65_530, 12), (131_071, 2), (199_999, 1)] {
        let read = guest.pread(fd, len, offset).expect("a part");
        assert_eq!(read, bytes[offset as usize..][..len as usize]);
    }
    assert_eq!(guest.pread(fd, 10, 199_995).expect("the end").len(), 5);
    assert_eq!(guest.write(fd, b""), Ok(0));
    assert_eq!(guest.pwrite(fd, b"XYZ", 65_535), Ok(3));
    guest.close(fd).expect("it is open");
    let mut expected = bytes;
    expected[65_535..65_538].copy_from_slice(b"XYZ");
    assert_eq!(guest.get_file("file").expect("a file"), expected);
}

/// A gap reads as zeros, after writing past the end and after truncating and extending.
pub fn a_gap_reads_as_zeros(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let fd = guest.open("file", CREAT).expect("a new file");
    guest.write(fd, b"begin").expect("room");
    guest.pwrite(fd, b"end", 100_000).expect("room");
    let mut expected = vec![0; 100_003];
    expected[..5].copy_from_slice(b"begin");
    expected[100_000..].copy_from_slice(b"end");
    assert_eq!(guest.get_file("file").expect("a file"), expected);
    guest.set_size(fd, 2).expect("it can be cut");
    guest.set_size(fd, 70_000).expect("it can be grown");
    let mut expected = vec![0; 70_000];
    expected[..2].copy_from_slice(b"be");
    assert_eq!(guest.get_file("file").expect("a file"), expected);
}

/// Descriptors of one file share its contents but not a position.
pub fn positions_are_kept_per_descriptor(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let one = guest.open("file", CREAT).expect("a new file");
    let two = guest.open("file", 0).expect("the same file");
    guest.write(one, b"hello world").expect("room");
    assert_eq!(guest.seek(two, 0, CUR), Ok(0));
    assert_eq!(guest.read(two, 5).expect("text"), b"hello");
    assert_eq!(guest.seek(one, 0, CUR), Ok(11));
    assert_eq!(guest.read(one, 5).expect("the end"), b"");
    assert_eq!(guest.seek(one, -5, END), Ok(6));
    assert_eq!(guest.read(one, 99).expect("text"), b"world");
    assert_eq!(guest.read(two, 99).expect("text"), b" world");
}

/// `APPEND` writes at the end, and moves the position there.
pub fn append_writes_at_the_end(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("file", b"one");
    let a = guest.open_at(ROOT, KEEP, "file", 0, 0, APPEND);
    let (a, b) = (a.expect("a file"), guest.open("file", 0).expect("a file"));
    assert_eq!(guest.write(a, b" two"), Ok(4));
    assert_eq!(guest.seek(a, 0, CUR), Ok(7));
    assert_eq!(guest.seek(b, 0, END), Ok(7));
    assert_eq!(guest.write(b, b" three"), Ok(6));
    assert_eq!(guest.seek(a, 0, SET), Ok(0));
    assert_eq!(guest.write(a, b" four"), Ok(5));
    assert_eq!(guest.seek(a, 0, CUR), Ok(18));
    assert_eq!(
        guest.get_file("file").expect("a file"),
        b"one two three four"
    );
}

/// `fd_pread` and `fd_pwrite` do not move the position.
pub fn positioned_transfers_do_not_move_the_position(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let fd = guest.open("file", CREAT).expect("a new file");
    guest.write(fd, b"0123456789").expect("room");
    guest.seek(fd, 3, SET).expect("a position");
    assert_eq!(guest.pread(fd, 2, 7).expect("text"), b"78");
    assert_eq!(guest.pwrite(fd, b"ab", 0), Ok(2));
    assert_eq!(guest.seek(fd, 0, CUR), Ok(3));
    assert_eq!(guest.read(fd, 99).expect("text"), b"3456789");
}

/// Truncating and extending change only the size.
pub fn sizes_change_both_ways(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let fd = guest.open("file", CREAT).expect("a new file");
    guest.write(fd, b"hello").expect("room");
    for size in [3, 3, 9, 0, 1] {
        guest.set_size(fd, size).expect("a size");
        assert_eq!(guest.fstat(fd).expect("open").size_bytes, size as u64);
        assert_eq!(guest.seek(fd, 0, CUR), Ok(5));
    }
    assert_eq!(guest.set_size(fd, -1), Err(Errno::Inval));
    assert_eq!(guest.fstat(fd).expect("open").size_bytes, 1);
}

/// A write past the maximum file size fails and has no effect.
pub fn huge_offsets_fail_and_change_nothing(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    let fd = guest.open("file", CREAT).expect("a new file");
    guest.write(fd, b"hello").expect("room");
    let too_far = [Errno::Fbig, Errno::Inval, Errno::Nospc];
    for offset in [i64::MAX, i64::MAX - 1] {
        let errno = guest.pwrite(fd, b"xx", offset).expect_err("too far");
        assert!(too_far.contains(&errno), "{errno}");
        guest.seek(fd, offset, SET).expect("a position");
        let errno = guest.write(fd, b"xx").expect_err("too far");
        assert!(too_far.contains(&errno), "{errno}");
        let errno = guest.set_size(fd, offset).expect_err("too far");
        assert!(too_far.contains(&errno), "{errno}");
        assert_eq!(guest.read(fd, 10).expect("the end"), b"");
    }
    for offset in [-1, i64::MIN] {
        assert_eq!(guest.pwrite(fd, b"xx", offset), Err(Errno::Inval));
        assert_eq!(guest.pread(fd, 2, offset), Err(Errno::Inval));
    }
    assert_eq!(guest.get_file("file").expect("a file"), b"hello");
}

/// A negative or too large position fails and has no effect.
pub fn seeking_stays_within_bounds(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("file", b"hello");
    let fd = guest.open_at(ROOT, KEEP, "file", 0, WRITE | 0b10_0110, 0);
    let fd = fd.expect("a file");
    assert_eq!(guest.seek(fd, 2, SET), Ok(2));
    for (offset, whence) in [(-3, CUR), (-1, SET), (-6, END), (i64::MAX, CUR), (0, 3)] {
        assert_eq!(guest.seek(fd, offset, whence), Err(Errno::Inval));
        assert_eq!(guest.seek(fd, 0, CUR), Ok(2));
    }
    assert_eq!(guest.seek(fd, i64::MAX, SET), Ok(i64::MAX as u64));
    assert_eq!(guest.seek(ROOT, 0, SET), Err(Errno::Badf));
}
