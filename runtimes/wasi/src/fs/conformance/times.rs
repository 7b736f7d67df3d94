//! Scenarios for file times.

use std::sync::Arc;

use super::guest::{Guest, KEEP};
use crate::Errno;
use crate::fs::Dir;

const ATIM: i32 = 1;
const ATIM_NOW: i32 = 2;
const MTIM: i32 = 4;
const MTIM_NOW: i32 = 8;

const SOME_NS: u64 = 1_234_567_890_123_456_789;

/// Times that are set are read back exactly.
pub fn times_are_stored_in_nanoseconds(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("file", b"");
    guest.create_dir("dir").expect("a new directory");
    for path in ["file", "dir", "dir/.", "."] {
        let set = guest.set_times(KEEP, path, SOME_NS, SOME_NS + 1, ATIM | MTIM);
        set.expect("times can be set");
        let stat = guest.stat(path).expect("it is there");
        let times = (stat.accessed_ns, stat.modified_ns);
        assert_eq!(times, (SOME_NS, SOME_NS + 1), "{path}");
    }
}

/// Each time is set independently; contradictory flags fail.
pub fn times_are_set_one_by_one(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("file", b"");
    let mut set = |accessed, modified, flags| {
        let set = guest.set_times(KEEP, "file", accessed, modified, flags);
        let stat = guest.stat("file").expect("it is there");
        set.map(|()| (stat.accessed_ns, stat.modified_ns))
    };
    assert_eq!(set(10, 20, ATIM | MTIM), Ok((10, 20)));
    assert_eq!(set(11, 21, ATIM), Ok((11, 20)));
    assert_eq!(set(12, 22, MTIM), Ok((11, 22)));
    assert_eq!(set(13, 23, 0), Ok((11, 22)));
    let now = set(0, 24, ATIM_NOW | MTIM).expect("times can be set");
    assert_ne!(now.0, 11);
    assert_eq!(now.1, 24);
    for flags in [ATIM | ATIM_NOW, MTIM | MTIM_NOW, 15, 16, -1] {
        assert_eq!(set(1, 1, flags), Err(Errno::Inval));
    }
    assert_eq!(set(0, 0, 0), Ok(now));
}

/// Any 64-bit time is stored or refused, and the file stays usable.
pub fn extreme_times_do_no_harm(dir: Arc<dyn Dir>) {
    let mut guest = Guest::new(dir);
    guest.put_file("file", b"hello");
    for ns in [0, 1, i64::MAX as u64, 1 << 63, u64::MAX] {
        let _ = guest.set_times(KEEP, "file", ns, ns, ATIM | MTIM);
        guest.stat("file").expect("it is there");
        assert_eq!(guest.get_file("file").expect("a file"), b"hello");
    }
}
