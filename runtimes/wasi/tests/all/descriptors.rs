//! Functions for descriptors of any kind.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use rangewatch_wasi::{Errno, SharedBuffer, Stdin, Stdout, Wasi, preview1};

use crate::guest::Guest;

const APPEND: i32 = 1;
const DSYNC: i32 = 2;
const NONBLOCK: i32 = 4;
const RSYNC: i32 = 8;
const SYNC: i32 = 16;

/// `FD_READ` and `FD_WRITE`, and the rights of every stream: `FD_DATASYNC`, `FD_FDSTAT_SET_FLAGS`,
/// `FD_SYNC`, `FD_FILESTAT_GET`.
const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 6;
const STREAM: u64 = 1 << 0 | 1 << 3 | 1 << 4 | 1 << 21;

#[test]
fn streams_report_their_rights() {
    let mut guest = Guest::new(Wasi::builder());
    for (fd, right) in [(0, READ), (1, WRITE), (2, WRITE)] {
        let stat = guest.fdstat(fd).unwrap();
        assert_eq!((stat.file_type, stat.flags), (0, 0));
        assert_eq!(stat.rights_base, right | STREAM);
        assert_eq!(stat.rights_inheriting, 0);
    }
}

#[test]
fn a_stream_refuses_calls_without_the_right() {
    let mut guest = Guest::new(Wasi::builder());
    for fd in 0..3 {
        let rights = guest.fdstat(fd).unwrap().rights_base;
        assert_eq!(guest.read(fd, 1).is_ok(), rights & READ != 0);
        assert_eq!(guest.write(fd, b"x").is_ok(), rights & WRITE != 0);
        preview1::fd_datasync(&mut guest.ctx, &mut [], fd).unwrap();
        preview1::fd_sync(&mut guest.ctx, &mut [], fd).unwrap();
        preview1::fd_fdstat_set_flags(&mut guest.ctx, &mut [], fd, 0).unwrap();
        preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, fd, 0).unwrap();
        assert_eq!(
            preview1::fd_tell(&mut guest.ctx, &mut guest.memory, fd, 0),
            Err(Errno::Spipe)
        );
    }
}

#[test]
fn only_terminals_are_character_devices() {
    let mut guest = Guest::new(
        Wasi::builder()
            .stdin("text")
            .stdout(SharedBuffer::new())
            .stderr(Stdout::discard()),
    );
    for fd in 0..3 {
        assert_eq!(guest.fdstat(fd).unwrap().file_type, 0);
    }
}

#[test]
fn an_inherited_stream_is_a_character_device_only_for_a_terminal() {
    let mut guest = Guest::new(Wasi::builder().inherit_stdio());
    let terminals = [
        io::stdin().is_terminal(),
        io::stdout().is_terminal(),
        io::stderr().is_terminal(),
    ];
    for (fd, is_terminal) in (0..3).zip(terminals) {
        assert_eq!(
            guest.fdstat(fd).unwrap().file_type,
            if is_terminal { 2 } else { 0 }
        );
    }
}

#[test]
fn an_inherited_stream_can_be_written() {
    let mut guest = Guest::new(
        Wasi::builder()
            .stdout(Stdout::inherit())
            .stderr(Stdout::inherit_stderr()),
    );
    assert_eq!(guest.write(1, b"\n"), Ok(1));
    assert_eq!(guest.write(2, b"\n"), Ok(1));
    assert!(format!("{:?}", Stdin::inherit()).contains("kind"));
}

#[test]
fn flags_are_per_descriptor_and_an_invalid_one_changes_nothing() {
    let mut guest = Guest::new(Wasi::builder());
    let set = |guest: &mut Guest, fd, flags| {
        preview1::fd_fdstat_set_flags(&mut guest.ctx, &mut [], fd, flags)
    };
    for flags in [NONBLOCK, APPEND, APPEND | NONBLOCK, 0, NONBLOCK] {
        assert_eq!(set(&mut guest, 1, flags), Ok(()));
        assert_eq!(i32::from(guest.fdstat(1).unwrap().flags), flags);
        assert_eq!(guest.fdstat(0).unwrap().flags, 0);
    }
    for flags in [DSYNC, RSYNC, SYNC, APPEND | SYNC] {
        assert_eq!(set(&mut guest, 1, flags), Err(Errno::Notsup));
    }
    for flags in [
        32,
        APPEND | 32,
        SYNC | 32,
        0x8000,
        0x1_0000,
        0x1_0000 | APPEND,
        -1,
        i32::MIN,
    ] {
        assert_eq!(set(&mut guest, 1, flags), Err(Errno::Inval));
    }
    assert_eq!(i32::from(guest.fdstat(1).unwrap().flags), NONBLOCK);
    assert_eq!(set(&mut guest, 3, 0), Err(Errno::Badf));
}

#[test]
fn attributes_have_the_layout_of_the_specification() {
    let mut guest = Guest::new(Wasi::builder());
    preview1::fd_fdstat_set_flags(&mut guest.ctx, &mut [], 0, NONBLOCK).unwrap();
    preview1::fd_fdstat_get(&mut guest.ctx, &mut guest.memory, 0, 1001).unwrap();
    let mut fdstat = [0; 24];
    fdstat[2] = 4;
    fdstat[8..16].copy_from_slice(&(READ | STREAM).to_le_bytes());
    assert_eq!(guest.bytes(1001, 24), fdstat);

    preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, 0, 2001).unwrap();
    assert_eq!(guest.bytes(2001, 64), [0; 64]);
    assert_ne!(guest.bytes(2065, 1), [0]);
}

#[test]
fn attributes_outside_of_the_memory_are_a_fault() {
    let mut guest = Guest::new(Wasi::builder());
    let end = guest.memory.len() as i32;
    for out in [end - 23, end, -1, -24, i32::MIN] {
        assert_eq!(
            preview1::fd_fdstat_get(&mut guest.ctx, &mut guest.memory, 0, out),
            Err(Errno::Fault)
        );
        assert_eq!(
            preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, 0, out),
            Err(Errno::Fault)
        );
    }
    assert_eq!(
        preview1::fd_filestat_get(&mut guest.ctx, &mut guest.memory, 0, end - 63),
        Err(Errno::Fault)
    );
    guest.assert_untouched();
}

#[test]
fn a_closed_descriptor_stays_closed() {
    let mut guest = Guest::new(Wasi::builder());
    for fd in 0..3 {
        assert_eq!(preview1::fd_close(&mut guest.ctx, &mut [], fd), Ok(()));
        assert_eq!(
            preview1::fd_close(&mut guest.ctx, &mut [], fd),
            Err(Errno::Badf)
        );
        assert!(!guest.is_open(fd));
    }
}

#[test]
fn closing_a_stream_drops_it_even_if_flushing_fails() {
    struct Unflushable(Arc<()>);
    impl Write for Unflushable {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            assert!(Arc::strong_count(&self.0) > 1);
            Err(Errno::Nospc.into())
        }
    }
    let owner = Arc::new(());
    let mut guest =
        Guest::new(Wasi::builder().stdout(Stdout::writer(Unflushable(Arc::clone(&owner)))));
    assert_eq!(
        preview1::fd_sync(&mut guest.ctx, &mut [], 1),
        Err(Errno::Nospc)
    );
    assert_eq!(Arc::strong_count(&owner), 2);
    assert_eq!(
        preview1::fd_close(&mut guest.ctx, &mut [], 1),
        Err(Errno::Nospc)
    );
    assert!(!guest.is_open(1));
    assert_eq!(Arc::strong_count(&owner), 1);
}

#[test]
fn renumbering_replaces_a_stream() {
    let (out, err) = (SharedBuffer::new(), SharedBuffer::new());
    let mut guest = Guest::new(
        Wasi::builder()
            .stdin("in")
            .stdout(out.clone())
            .stderr(err.clone()),
    );
    let renumber =
        |guest: &mut Guest, fd, to| preview1::fd_renumber(&mut guest.ctx, &mut [], fd, to);

    assert_eq!(renumber(&mut guest, 1, 1), Ok(()));
    assert_eq!(guest.write(1, b"a"), Ok(1));

    preview1::fd_fdstat_set_flags(&mut guest.ctx, &mut [], 2, NONBLOCK).unwrap();
    assert_eq!(renumber(&mut guest, 2, 1), Ok(()));
    assert!(!guest.is_open(2));
    assert_eq!(guest.write(1, b"b"), Ok(1));
    assert_eq!(
        (out.to_string_lossy(), err.to_string_lossy()),
        ("a".into(), "b".into())
    );
    assert_eq!(i32::from(guest.fdstat(1).unwrap().flags), NONBLOCK);

    assert_eq!(renumber(&mut guest, 1, 2), Err(Errno::Badf));
    assert_eq!(renumber(&mut guest, 2, 1), Err(Errno::Badf));
    assert_eq!(renumber(&mut guest, 2, 2), Err(Errno::Badf));

    assert_eq!(renumber(&mut guest, 0, 1), Ok(()));
    assert_eq!(guest.read(1, 5).unwrap(), b"in");
    assert_eq!(guest.write(1, b"x"), Err(Errno::Badf));
}

#[test]
fn a_default_context_has_no_preopens() {
    let mut guest = Guest::new(Wasi::builder());
    for fd in 0..5 {
        assert_eq!(
            preview1::fd_prestat_get(&mut guest.ctx, &mut guest.memory, fd, 0),
            Err(Errno::Badf)
        );
        assert_eq!(
            preview1::fd_prestat_dir_name(&mut guest.ctx, &mut guest.memory, fd, 0, 10),
            Err(Errno::Badf)
        );
    }
    guest.assert_untouched();
}

#[test]
fn streams_cannot_be_positioned() {
    let mut guest = Guest::new(Wasi::builder());
    for whence in [0, 1, 2] {
        let result = preview1::fd_seek(&mut guest.ctx, &mut guest.memory, 0, 0, whence, 0);
        assert_eq!(result, Err(Errno::Spipe));
    }
    for whence in [3, -1, i32::MIN, 256] {
        let result = preview1::fd_seek(&mut guest.ctx, &mut guest.memory, 0, 0, whence, 0);
        assert_eq!(result, Err(Errno::Inval));
    }
    guest.assert_untouched();
}

#[test]
fn advice_is_checked_before_a_stream_refuses_it() {
    let mut guest = Guest::new(Wasi::builder());
    let mut advise =
        |offset, len, advice| preview1::fd_advise(&mut guest.ctx, &mut [], 0, offset, len, advice);
    assert_eq!(advise(0, 0, 5), Err(Errno::Spipe));
    assert_eq!(advise(-1, 0, 0), Err(Errno::Spipe));
    assert_eq!(advise(0, 0, 6), Err(Errno::Inval));
    assert_eq!(advise(0, 0, -1), Err(Errno::Inval));
    assert_eq!(advise(-1, 1, 0), Err(Errno::Inval));
}
