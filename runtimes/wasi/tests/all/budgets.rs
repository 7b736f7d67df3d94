//! Byte budgets of streams, and the file types of streams.

use std::io::BufWriter;

use rangewatch_wasi::{
    Errno, Exit, Interrupt, OverBudget, SharedBuffer, Stdin, Stdout, StreamKind, Wasi, pipe,
    preview1,
};

use crate::guest::Guest;
use crate::polling;

fn writing(over: OverBudget) -> (SharedBuffer, Guest) {
    let out = SharedBuffer::new();
    let stdout = Stdout::from(out.clone()).budget(5, over);
    (out, Guest::new(Wasi::builder().stdout(stdout)))
}

#[test]
fn a_write_that_reaches_the_budget_is_done_in_part_and_the_next_fails() {
    let (out, mut guest) = writing(OverBudget::Fail(Errno::Dquot));
    assert_eq!(guest.write(1, b"abc"), Ok(3));
    assert_eq!(guest.writev(1, &[(500, 1), (501, 4)]), Ok(2));
    assert_eq!(guest.write(1, b"x"), Err(Errno::Dquot));
    assert_eq!(guest.write(1, b""), Ok(0));
    assert_eq!(out.len(), 5);
}

#[test]
fn output_over_a_truncating_budget_is_dropped_and_the_guest_does_not_notice() {
    let (out, mut guest) = writing(OverBudget::Truncate);
    assert_eq!(guest.write(1, b"abcdefgh"), Ok(8));
    assert_eq!(guest.write(1, b"ij"), Ok(2));
    assert_eq!(out.to_string_lossy(), "abcde");
}

#[test]
fn a_write_over_budget_does_not_wait() {
    const FD_WRITE: u8 = 2;
    let (stdout, _full) = pipe(5);
    let stdout = Stdout::from(stdout).budget(5, OverBudget::Fail(Errno::Dquot));
    let mut guest = Guest::new(Wasi::builder().stdout(stdout));
    assert_eq!(guest.write(1, b"abcde"), Ok(5));
    let ready = guest.attempt(&[polling::fd(7, FD_WRITE, 1)]);
    assert_eq!(ready, Ok(vec![(7, 0, FD_WRITE, 1, 0)]));
    assert_eq!(guest.write(1, b"x"), Err(Errno::Dquot));
}

#[test]
fn a_budget_can_exit_the_guest_after_its_last_byte() {
    let out = SharedBuffer::new();
    let stdout = Stdout::writer(BufWriter::new(out.clone())).budget(5, OverBudget::Exit(7));
    let mut guest = Guest::new(Wasi::builder().stdout(stdout));
    assert_eq!(guest.write(1, b"abcdefgh"), Ok(5));
    assert!(out.is_empty(), "the flush is pending");
    guest.put_iovecs(0, &[(500, 1)]);
    assert_eq!(
        preview1::fd_write(&mut guest.ctx, &mut guest.memory, 1, 0, 1, 600),
        Err(Interrupt::Exit(Exit::new(7)))
    );
    assert_eq!(out.to_string_lossy(), "abcde");
}

#[test]
fn a_guest_reads_no_more_than_its_budget() {
    let reading = |over| {
        let stdin = Stdin::from("abcdefgh").budget(5, over);
        let mut guest = Guest::new(Wasi::builder().stdin(stdin));
        assert_eq!(guest.readv(0, &[(500, 3), (600, 3)]), Ok(5));
        assert_eq!(guest.bytes(500, 3), b"abc");
        assert_eq!(guest.bytes(600, 3), b"de\xa5");
        guest
    };
    assert_eq!(reading(OverBudget::Truncate).read(0, 1).unwrap(), b"");
    let mut guest = reading(OverBudget::Fail(Errno::Io));
    assert_eq!(guest.read(0, 1), Err(Errno::Io));
    assert_eq!(guest.read(0, 0).unwrap(), b"");
}

#[test]
fn a_closure_is_an_input() {
    let mut next = b'a';
    let letters = Stdin::from_fn(move |buf| {
        if next == b'd' {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        buf[0] = next;
        next += 1;
        Ok(1)
    });
    let mut guest = Guest::new(Wasi::builder().stdin(letters));
    for letter in [b"a", b"b", b"c"] {
        assert_eq!(guest.read(0, 9).unwrap(), letter);
    }
    assert_eq!(guest.read(0, 9), Err(Errno::Again));
}

#[test]
fn seen_as_terminal_makes_a_stream_a_character_device() {
    const UNKNOWN: u8 = 0;
    const CHARACTER_DEVICE: u8 = 2;
    let mut guest = Guest::new(
        Wasi::builder()
            .stdin(Stdin::from("abc").seen_as(StreamKind::Terminal))
            .stdout(Stdout::discard().seen_as(StreamKind::Terminal))
            .stderr(Stdout::inherit_stderr().seen_as(StreamKind::Pipe)),
    );
    let types = [0, 1, 2].map(|fd| guest.fdstat(fd).unwrap().file_type);
    assert_eq!(types, [CHARACTER_DEVICE, CHARACTER_DEVICE, UNKNOWN]);
}
