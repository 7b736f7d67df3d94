//! Guests that wait in functions of WASI.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::join_all;
use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;
use rangewatch_wasi::{
    Clock, OverBudget, PipeRecvError, SharedBuffer, Signal, SignalPolicy, Stdout, SystemClock,
    Timer, VirtualClock, Wasi, WasiBuilder, pipe,
};

use super::{call, call_err, load};
use crate::{CallError, Guest, Runtime, Val};

/// Reads, writes, sleeps and yields. What it reads goes to 256, and the memory grows before that.
const WAITER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (memory (export "memory") 1)
    (func $iovec (param $len i32)
        (i32.store (i32.const 0) (i32.const 256))
        (i32.store (i32.const 4) (local.get $len)))
    (func $ok (param $errno i32) (if (local.get $errno) (then unreachable)))
    (func (export "read") (param $len i32) (result i32)
        (drop (memory.grow (i32.const 1)))
        (call $iovec (local.get $len))
        (call $ok (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.load (i32.const 8)))
    (func (export "write") (param $len i32) (result i32)
        (call $iovec (local.get $len))
        (call $ok (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.load (i32.const 8)))
    (func $sleep (export "sleep") (param $ns i64) (result i32)
        (memory.fill (i32.const 64) (i32.const 0) (i32.const 48))
        (i32.store (i32.const 80) (i32.const 1))
        (i64.store (i32.const 88) (local.get $ns))
        (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 8)))
    (func (export "sleep_and_tell") (param $ns i64) (result i64)
        (call $ok (call $sleep (local.get $ns)))
        (call $ok (call $time (i32.const 1) (i64.const 0) (i32.const 16)))
        (i64.load (i32.const 16)))
    ;; Stdin or a timer, whichever is first; the type of the first event.
    (func (export "read_or_sleep") (param $ns i64) (result i32)
        (memory.fill (i32.const 512) (i32.const 0) (i32.const 96))
        (i32.store (i32.const 528) (i32.const 1))
        (i64.store (i32.const 536) (local.get $ns))
        (i32.store8 (i32.const 568) (i32.const 1))
        (call $ok (call $poll (i32.const 512) (i32.const 1024) (i32.const 2) (i32.const 8)))
        (i32.load8_u (i32.const 1034)))
    (func (export "write_and_sleep") (param $ns i64) (result i32)
        (call $iovec (i32.const 4))
        (call $ok (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $sleep (local.get $ns)))
    (func (export "raise") (param $signal i32) (result i32) (call $raise (local.get $signal)))
    (func (export "yield") (call $ok (call $yield)))
    (func $start (call $ok (call $yield)))
    (start $start)
    (export "direct_yield" (func $yield)))"#;

async fn waiter(runtime: &dyn Runtime, wasi: WasiBuilder) -> Guest {
    let module = load(runtime, WAITER).await;
    Guest::builder(&module, &RangeWatchBus::new())
        .wasi(wasi.build().expect("valid"))
        .instantiate()
        .await
        .expect("its start section only yields")
}

/// A timer that the test controls: a list of the sleeps, with their durations.
#[derive(Clone, Default)]
struct Sleepers(Arc<Mutex<Vec<Sleeper>>>);

struct Sleeper {
    duration: Duration,
    wake: oneshot::Sender<()>,
}

impl Sleepers {
    fn timer(&self) -> impl Timer + 'static {
        let sleepers = self.clone();
        move |duration| {
            let (wake, woken) = oneshot::channel();
            sleepers.0.lock().push(Sleeper { duration, wake });
            async move {
                // Dropping the list wakes no sleeper.
                if woken.await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    fn durations(&self) -> Vec<Duration> {
        let sleepers = self.0.lock();
        sleepers.iter().map(|sleeper| sleeper.duration).collect()
    }

    fn wake_all(&self) {
        for sleeper in self.0.lock().drain(..) {
            // The sleeper may have been dropped.
            let _ = sleeper.wake.send(());
        }
    }
}

fn is_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

/// A read of an empty pipe suspends the guest until bytes arrive, and writes them to the memory as
/// it is then, which may have grown.
pub async fn a_guest_that_reads_waits_for_its_input(runtime: &dyn Runtime) {
    let (mut feed, stdin) = pipe(64);
    let guest = waiter(runtime, Wasi::builder().stdin(stdin)).await;
    for text in ["alice", "bob"] {
        let args = [Val::I32(64)];
        let mut call = pin!(guest.call("read", &args));
        for _ in 0..3 {
            assert!(is_pending(call.as_mut()), "there is nothing to read");
        }
        feed.send(text.as_bytes()).await.expect("the guest reads");
        let n_bytes = i32::try_from(text.len()).expect("short");
        assert_eq!(call.await.expect("resumed"), [Val::I32(n_bytes)]);
        let read = guest.with_memory(|memory| memory[256..256 + text.len()].to_vec());
        assert_eq!(read.await.expect("there is an instance"), text.as_bytes());
    }
    drop(feed);
    assert_eq!(call(&guest, "read", &[Val::I32(64)]).await, [Val::I32(0)]);
}

/// A write to a full pipe suspends the guest until there is room.
pub async fn a_guest_that_writes_waits_for_room(runtime: &dyn Runtime) {
    let (stdout, mut output) = pipe(4);
    let guest = waiter(runtime, Wasi::builder().stdout(stdout)).await;
    assert_eq!(call(&guest, "write", &[Val::I32(6)]).await, [Val::I32(4)]);
    {
        let args = [Val::I32(2)];
        let mut write = pin!(guest.call("write", &args));
        assert!(is_pending(write.as_mut()), "there is no room");
        assert_eq!(output.recv().await.expect("written").len(), 4);
        assert_eq!(write.await.expect("resumed"), [Val::I32(2)]);
    }
    drop(guest);
    assert_eq!(output.recv().await.expect("written").len(), 2);
    assert_eq!(
        output.recv().await,
        Err(PipeRecvError::Closed),
        "the pipe ends with its guest"
    );
}

/// Guests that sleep hold no thread: a thousand of them are suspended on this one.
pub async fn a_thousand_guests_sleep_on_one_thread(runtime: &dyn Runtime) {
    let sleepers = Sleepers::default();
    let module = load(runtime, WAITER).await;
    let bus = RangeWatchBus::new();
    let mut guests = Vec::new();
    for _ in 0..1_000 {
        let wasi = Wasi::builder()
            .clock(SystemClock::new())
            .timer(sleepers.timer());
        let guest = Guest::builder(&module, &bus)
            .wasi(wasi.build().expect("valid"))
            .instantiate();
        guests.push(guest.await.expect("it starts"));
    }
    let hour = Duration::from_secs(3_600);
    let args = [Val::I64(
        i64::try_from(hour.as_nanos()).expect("some thousands of seconds"),
    )];
    let calls = guests.iter().map(|guest| guest.call("sleep", &args));
    let mut calls = pin!(join_all(calls));
    assert!(is_pending(calls.as_mut()));
    assert_eq!(sleepers.durations(), vec![hour; 1_000]);
    sleepers.wake_all();
    for result in calls.await {
        assert_eq!(result.expect("resumed"), [Val::I32(0)]);
    }
}

/// The first event ends a wait for several events, and the other subscriptions are dropped.
pub async fn a_guest_waits_for_input_or_a_time(runtime: &dyn Runtime) {
    const CLOCK: Val = Val::I32(0);
    const FD_READ: Val = Val::I32(1);
    let sleepers = Sleepers::default();
    let (mut feed, stdin) = pipe(64);
    let wasi = Wasi::builder()
        .clock(SystemClock::new())
        .timer(sleepers.timer());
    let guest = waiter(runtime, wasi.stdin(stdin)).await;
    let args = [Val::I64(1_000)];
    {
        let mut call = pin!(guest.call("read_or_sleep", &args));
        assert!(is_pending(call.as_mut()));
        sleepers.wake_all();
        assert_eq!(call.await.expect("resumed"), [CLOCK]);
    }
    {
        let mut call = pin!(guest.call("read_or_sleep", &args));
        assert!(is_pending(call.as_mut()));
        feed.send(b"x").await.expect("the guest reads");
        assert_eq!(call.await.expect("resumed"), [FD_READ]);
    }
    assert_eq!(call(&guest, "read_or_sleep", &args).await, [FD_READ]);
    assert_eq!(
        sleepers.durations(),
        [Duration::from_nanos(1_000)],
        "no sleep begins when there is something to read"
    );
}

/// On a virtual clock a sleep ends at once and advances the clock.
pub async fn a_guest_on_a_virtual_clock_does_not_wait(runtime: &dyn Runtime) {
    let clock = VirtualClock::at(0, 0);
    let guest = waiter(runtime, Wasi::builder().clock(clock.clone())).await;
    let hour_ns = 3_600_000_000_000;
    let args = [Val::I64(hour_ns)];
    let told = {
        let mut call = pin!(guest.call("sleep_and_tell", &args));
        poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => panic!("it waited"),
        })
        .await
    };
    assert_eq!(told.expect("no trap"), [Val::I64(hour_ns + 1)]);
    assert_eq!(clock.elapsed(), Duration::from_secs(3_600));
}

/// `sched_yield` yields to the executor once, also if the export is the import itself.
pub async fn a_guest_that_yields_returns_to_the_executor_once(runtime: &dyn Runtime) {
    let guest = waiter(runtime, Wasi::builder()).await;
    for export in ["yield", "direct_yield"] {
        let mut n_pending = 0;
        let mut call = pin!(guest.call(export, &[]));
        poll_fn(|cx| {
            let polled = call.as_mut().poll(cx);
            n_pending += usize::from(polled.is_pending());
            polled
        })
        .await
        .expect("no trap");
        assert_eq!(n_pending, 1, "{export}");
    }
}

/// Dropping a call that waits ends the instance with its streams and its sleep.
pub async fn a_guest_dropped_while_it_waits_leaves_nothing_behind(runtime: &dyn Runtime) {
    let sleepers = Sleepers::default();
    let (feed, stdin) = pipe(64);
    let wasi = Wasi::builder()
        .clock(SystemClock::new())
        .timer(sleepers.timer());
    let guest = waiter(runtime, wasi.stdin(stdin)).await;
    {
        let args = [Val::I64(1_000)];
        let mut call = pin!(guest.call("read_or_sleep", &args));
        assert!(is_pending(call.as_mut()));
        assert!(!feed.is_closed());
    }
    assert!(feed.is_closed(), "the reading end was dropped");
    let sleeper = sleepers.0.lock().pop().expect("it slept");
    assert!(sleeper.wake.is_canceled(), "the sleep was dropped");
    match call_err(&guest, "yield").await {
        CallError::Gone { .. } => {}
        error => panic!("{error}"),
    }
}

/// Output that a guest wrote before its call was dropped is flushed to its writer.
pub async fn output_is_flushed_when_a_waiting_call_is_dropped(runtime: &dyn Runtime) {
    /// Buffers what is written until a flush.
    #[derive(Default)]
    struct Kept {
        bytes: Vec<u8>,
        flushed: SharedBuffer,
    }
    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.flushed.write_all(&std::mem::take(&mut self.bytes))
        }
    }
    let writer = Kept::default();
    let out = writer.flushed.clone();
    let wasi = Wasi::builder()
        .clock(SystemClock::new())
        .timer(Sleepers::default().timer());
    let guest = waiter(runtime, wasi.stdout(Stdout::writer(writer))).await;
    {
        let args = [Val::I64(1_000)];
        let mut call = pin!(guest.call("write_and_sleep", &args));
        assert!(is_pending(call.as_mut()));
        assert!(out.is_empty());
    }
    assert_eq!(out.len(), 4);
}

/// `proc_raise` fails with `ENOTSUP` by default; with a signal policy, the signal ends the call and
/// is the source of its error.
pub async fn a_signal_is_the_source_of_the_call_error(runtime: &dyn Runtime) {
    const ABRT: Val = Val::I32(6);
    const NOTSUP: Val = Val::I32(58);
    let guest = waiter(runtime, Wasi::builder()).await;
    assert_eq!(call(&guest, "raise", &[ABRT]).await, [NOTSUP]);
    let guest = waiter(
        runtime,
        Wasi::builder().signal_policy(SignalPolicy::Default),
    )
    .await;
    match guest.call("raise", &[ABRT]).await {
        Err(CallError::HostFunction { source, .. }) => {
            let signal = source.downcast_ref::<Signal>().expect("a signal");
            assert_eq!(signal.name(), "ABRT");
        }
        other => panic!("{other:?}"),
    }
}

/// A guest that writes more than its budget exits with the code that the host chose.
pub async fn a_budget_can_exit_the_guest(runtime: &dyn Runtime) {
    let out = SharedBuffer::new();
    let stdout = Stdout::from(out.clone()).budget(5, OverBudget::Exit(9));
    let guest = waiter(runtime, Wasi::builder().stdout(stdout)).await;
    assert_eq!(call(&guest, "write", &[Val::I32(7)]).await, [Val::I32(5)]);
    match guest.call("write", &[Val::I32(2)]).await {
        Err(CallError::Exit { exit, .. }) => assert_eq!(exit.code(), 9),
        other => panic!("{other:?}"),
    }
    assert_eq!(out.len(), 5);
}

/// A panic of the embedder's clock or timer ends the call with an error.
pub async fn g30_a_panic_of_a_clock_or_a_timer_is_an_error(runtime: &dyn Runtime) {
    struct Broken;
    impl Clock for Broken {
        fn realtime_ns(&mut self) -> u64 {
            panic!("no time")
        }
        fn monotonic_ns(&mut self) -> u64 {
            panic!("no time")
        }
        fn sleep(&mut self, _duration: Duration) -> rangewatch_wasi::Sleep {
            panic!("no sleep")
        }
    }
    let timer = |_duration: Duration| poll_fn(|_| panic!("no timer"));
    for (wasi, text) in [
        (Wasi::builder().clock(Broken), "no sleep"),
        (
            Wasi::builder().clock(SystemClock::new()).timer(timer),
            "no timer",
        ),
    ] {
        let guest = waiter(runtime, wasi).await;
        match guest.call("sleep", &[Val::I64(1)]).await {
            Err(CallError::HostFunction { source, .. }) => {
                assert!(source.to_string().contains(text), "{source}");
            }
            other => panic!("{other:?}"),
        }
    }
}
