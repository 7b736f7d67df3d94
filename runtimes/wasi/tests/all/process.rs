//! Arguments, environment and exit.

use std::io::{self, BufWriter, Write};
use std::task::{Context, Waker};

use rangewatch_wasi::{Errno, Exit, Interrupt, SharedBuffer, SignalPolicy, Stdout, Wasi, preview1};

use crate::guest::{CANARY, Guest};

#[test]
fn arguments_arrive_in_order_each_with_a_pointer_and_a_nul() {
    let mut guest = Guest::new(Wasi::builder().args(["prog", "", "h\u{e9}"]).arg([0xff_u8]));
    preview1::args_sizes_get(&mut guest.ctx, &mut guest.memory, 0, 4).unwrap();
    assert_eq!((guest.u32(0), guest.u32(4)), (4, 12));

    preview1::args_get(&mut guest.ctx, &mut guest.memory, 100, 200).unwrap();
    assert_eq!(
        [
            guest.u32(100),
            guest.u32(104),
            guest.u32(108),
            guest.u32(112)
        ],
        [200, 205, 206, 210]
    );
    assert_eq!(guest.bytes(200, 12), b"prog\0\0h\xc3\xa9\0\xff\0");
    assert_eq!(guest.bytes(116, 1), [CANARY]);
    assert_eq!(guest.bytes(212, 1), [CANARY]);
}

#[test]
fn variables_arrive_in_order_and_none_is_dropped() {
    let mut guest = Guest::new(Wasi::builder().env("B", "1").env("A", "").env("B", "2=3"));
    preview1::environ_sizes_get(&mut guest.ctx, &mut guest.memory, 0, 4).unwrap();
    assert_eq!((guest.u32(0), guest.u32(4)), (3, 13));

    preview1::environ_get(&mut guest.ctx, &mut guest.memory, 100, 200).unwrap();
    assert_eq!(
        [guest.u32(100), guest.u32(104), guest.u32(108)],
        [200, 204, 207]
    );
    assert_eq!(guest.bytes(200, 13), b"B=1\0A=\0B=2=3\0");
}

#[test]
fn a_string_table_that_does_not_fit_is_a_fault_and_writes_nothing() {
    let mut guest = Guest::new(Wasi::builder().args(["one", "two"]).env("K", "value"));
    let end = guest.memory.len() as i32;
    // The two arguments take 8 bytes of pointers and 8 of text; the variable takes 4 and 8.
    for (pointers, buf) in [
        (end - 7, 0),
        (0, end - 7),
        (-1, 0),
        (0, -1),
        (-4, -4),
        (i32::MIN, 0),
    ] {
        assert_eq!(
            preview1::args_get(&mut guest.ctx, &mut guest.memory, pointers, buf),
            Err(Errno::Fault)
        );
    }
    for (pointers, buf) in [(end - 3, 0), (0, end - 7)] {
        assert_eq!(
            preview1::environ_get(&mut guest.ctx, &mut guest.memory, pointers, buf),
            Err(Errno::Fault)
        );
    }
    for (count, size) in [(end - 3, 0), (0, end - 3), (-1, 0), (0, -1)] {
        assert_eq!(
            preview1::args_sizes_get(&mut guest.ctx, &mut guest.memory, count, size),
            Err(Errno::Fault)
        );
        assert_eq!(
            preview1::environ_sizes_get(&mut guest.ctx, &mut guest.memory, count, size),
            Err(Errno::Fault)
        );
    }
    guest.assert_untouched();

    preview1::args_get(&mut guest.ctx, &mut guest.memory, end - 8, end - 16).unwrap();
    assert_eq!(guest.bytes(end as u32 - 16, 8), b"one\0two\0");
}

#[test]
fn an_empty_memory_is_a_fault() {
    let mut ctx = Wasi::builder().arg("a").build().unwrap();
    assert_eq!(
        preview1::args_get(&mut ctx, &mut [], 0, 0),
        Err(Errno::Fault)
    );
    assert_eq!(
        preview1::args_sizes_get(&mut ctx, &mut [], 0, 0),
        Err(Errno::Fault)
    );
}

#[test]
fn no_arguments_take_no_memory() {
    let mut ctx = Wasi::builder().build().unwrap();
    assert_eq!(preview1::args_get(&mut ctx, &mut [], 0, 0), Ok(()));
}

#[test]
fn an_exit_keeps_all_bits_of_the_code() {
    for code in [0, 1, 255, 256, 0x8000_0000, u32::MAX] {
        let mut ctx = Wasi::builder().build().unwrap();
        let exit = preview1::proc_exit(&mut ctx, &mut [], code as i32);
        assert_eq!(exit, Exit::new(code));
        assert_eq!(
            exit.to_string(),
            format!("the guest exited with code {code}")
        );
    }
}

#[test]
fn an_exit_is_downcast_from_an_engine_error() {
    let mut ctx = Wasi::builder().build().unwrap();
    let error: Box<dyn std::error::Error + Send + Sync> =
        Box::new(preview1::proc_exit(&mut ctx, &mut [], 3));
    assert_eq!(
        error.downcast_ref::<Exit>().map(|exit| exit.code()),
        Some(3)
    );
}

#[test]
fn an_exit_flushes_both_outputs() {
    let (out, err) = (SharedBuffer::new(), SharedBuffer::new());
    let mut guest = Guest::new(
        Wasi::builder()
            .stdout(Stdout::writer(BufWriter::new(out.clone())))
            .stderr(Stdout::writer(BufWriter::new(err.clone()))),
    );
    guest.write(1, b"out").unwrap();
    guest.write(2, b"err").unwrap();
    assert!(out.is_empty() && err.is_empty());
    let _exit = preview1::proc_exit(&mut guest.ctx, &mut [], 0);
    assert_eq!((out.take(), err.take()), (b"out".to_vec(), b"err".to_vec()));
}

#[test]
fn flush_reports_one_failing_writer_and_flushes_the_other() {
    struct Unflushable;
    impl Write for Unflushable {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let err = SharedBuffer::new();
    let mut guest = Guest::new(
        Wasi::builder()
            .stdout(Stdout::writer(Unflushable))
            .stderr(Stdout::writer(BufWriter::new(err.clone()))),
    );
    guest.write(2, b"err").unwrap();
    assert_eq!(
        guest.ctx.flush().unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    assert_eq!(err.to_string_lossy(), "err");
    assert_eq!(preview1::proc_exit(&mut guest.ctx, &mut [], 5).code(), 5);
}

#[test]
fn yielding_waits_once_and_succeeds() {
    let mut ctx = Wasi::builder().build().unwrap();
    for _ in 0..2 {
        assert_eq!(
            preview1::sched_yield(&mut ctx, &mut []),
            Err(Interrupt::Wait)
        );
        let mut cx = Context::from_waker(Waker::noop());
        assert!(
            ctx.poll_ready(&mut cx).is_pending(),
            "the first poll yields"
        );
        assert!(ctx.poll_ready(&mut cx).is_ready());
        assert_eq!(preview1::sched_yield(&mut ctx, &mut []), Ok(()));
    }
    assert_eq!(
        preview1::sched_yield(&mut ctx, &mut []),
        Err(Interrupt::Wait)
    );
    ctx.block();
    assert_eq!(preview1::sched_yield(&mut ctx, &mut []), Ok(()));
}

#[test]
fn signals_are_refused_unless_the_host_allows_them() {
    const ABRT: i32 = 6;
    const WINCH: i32 = 27;
    let mut ctx = Wasi::builder().build().unwrap();
    for unknown in [31, 256 + ABRT, -1] {
        assert_eq!(
            preview1::proc_raise(&mut ctx, &mut [], unknown),
            Err(Errno::Inval.into())
        );
    }
    assert_eq!(
        preview1::proc_raise(&mut ctx, &mut [], ABRT),
        Err(Errno::Notsup.into())
    );

    let out = SharedBuffer::new();
    let stdout = Stdout::writer(BufWriter::new(out.clone()));
    let mut guest = Guest::new(
        Wasi::builder()
            .signal_policy(SignalPolicy::Default)
            .stdout(stdout),
    );
    guest.write(1, b"last words").unwrap();
    assert_eq!(preview1::proc_raise(&mut guest.ctx, &mut [], WINCH), Ok(()));
    assert!(out.is_empty());
    match preview1::proc_raise(&mut guest.ctx, &mut [], ABRT) {
        Err(Interrupt::Signal(signal)) => {
            assert_eq!((signal.number(), signal.name()), (6, "ABRT"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(out.to_string_lossy(), "last words");
}
