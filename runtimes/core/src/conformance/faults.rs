//! Code of the embedder that panics or uses the guest at an unexpected moment, and texts of a
//! module that are made to deceive.

use std::error::Error;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::FutureExt;
use rangewatch_bus::RangeWatchBus;
use rangewatch_bus::timer::ManualTimer;
use rangewatch_wasi::{Stdout, Wasi};

use super::raw_guest::{RAW_GUEST_2, RawGuest, Step};
use super::suspension::pending_once;
use super::{call, call_err, guest, load, plain, try_load};
use crate::{
    CallError, Emits, Guest, GuestBuilder, GuestBus, InstantiateError, Limits, Runtime, Val,
};

/// A guest that asks the host who called it, waits, traps, grows and writes.
const ASKING: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "test" "owner" (func $owner (result i64)))
    (import "test" "context" (func $context (result i32)))
    (import "test" "wait" (func $wait))
    (memory (export "memory") 1)
    (func (export "owner") (result i64) (call $owner))
    (func (export "context") (result i32) (call $context))
    (func (export "trap") unreachable)
    (func (export "grow") (drop (memory.grow (i32.const 1))))
    (func $say (export "say")
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 1))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "say_and_wait") (call $say) (call $wait))
    (func (export "fine")))"#;

fn asking(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    builder
        .wasi_with(|| Ok(Wasi::builder().build()?))
        .host_function("test", "owner", |cx, ()| Ok(cx.owner().id().get()))
        .host_function("test", "context", |cx, ()| {
            Ok(cx.context::<i32>().copied().unwrap_or_default())
        })
        .host_function_async("test", "wait", |_cx, ()| pending_once().map(Ok))
}

/// The hook for new instances may call them under an owner and with a context. The call that the
/// instance was made for has its own.
pub async fn what_the_hook_of_an_instance_sets_is_for_its_own_calls(runtime: &dyn Runtime) {
    let made = Arc::new(OnceLock::<Guest>::new());
    let of_hook = made.clone();
    let guest = guest(runtime, ASKING, |builder| {
        asking(builder).pool(1, 1).on_instance(move |instance| {
            let made = of_hook.clone();
            async move {
                let Some(guest) = made.get() else {
                    return Ok(());
                };
                let owner = guest.owner();
                instance.set_owner(&owner)?;
                let asked = instance.call("owner", &[]).await?;
                assert_eq!(asked, [Val::from(owner.id().get())]);
                instance.set_context(7_i32)?;
                Ok(())
            }
            .boxed()
        })
    })
    .await;
    let own = call(&guest, "owner", &[]).await;
    let guest = made.get_or_init(|| guest);
    call_err(guest, "trap").await;
    assert_eq!(call(guest, "owner", &[]).await, own);
    call_err(guest, "trap").await;
    assert_eq!(call(guest, "context", &[]).await, [Val::I32(0)]);
}

/// A hook that panics at a flush ends no call, and keeps no instance in use whose call was dropped.
pub async fn g31_a_panic_of_the_hook_of_a_flush_ends_no_call(runtime: &dyn Runtime) {
    struct Unflushed;
    impl Write for Unflushed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::Error::other("no room"))
        }
    }
    let n_reports = Arc::new(AtomicUsize::new(0));
    let of_hook = n_reports.clone();
    let wasi = Wasi::builder().stdout(Stdout::writer(Unflushed)).build();
    let guest = guest(runtime, ASKING, |builder| {
        asking(builder)
            .wasi(wasi.expect("valid"))
            .on_flush_error(move |_error| {
                of_hook.fetch_add(1, Ordering::Relaxed);
                panic!("a hook")
            })
    })
    .await;
    call(&guest, "say", &[]).await;
    assert_eq!(n_reports.load(Ordering::Relaxed), 1);
    let waiting = guest.call("say_and_wait", &[]).now_or_never();
    assert!(waiting.is_none(), "it waits: {waiting:?}");
    assert_eq!(n_reports.load(Ordering::Relaxed), 2);
    let error = call_err(&guest, "fine").await;
    assert!(matches!(error, CallError::Gone { .. }), "{error}");
}

/// A hook that panics at the error of a callback does not end the delivery.
pub async fn a_panic_of_the_hook_of_a_callback_ends_no_pump(runtime: &dyn Runtime) {
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder
            .pool(1, 1)
            .on_callback_error(|_error| panic!("a hook"))
    })
    .await;
    raw.follow("w", "k", "l").await;
    raw.plan([Step::Trap]);
    raw.emit(1, "k");
    assert_eq!(raw.drive().await, ["w=1"]);
    raw.emit(2, "k");
    assert_eq!(raw.drive().await, ["w=2"]);
}

/// A waker that panics when the staged emits of a callback are committed ends that callback only;
/// the emits are on the bus.
pub async fn g30_a_panic_of_a_waker_at_a_commit_is_an_error(runtime: &dyn Runtime) {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a bug of the waker");
        }
    }
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder.emits(Emits::Staged).pool(1, 1)
    })
    .await;
    raw.follow("w", "k", "l").await;
    let mut sub = raw.bus.subscribe("a".."b").wake().expect("valid");
    let waker = Waker::from(Arc::new(Panics));
    assert!(sub.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    raw.plan([Step::Emit(7, "a")]);
    raw.emit(1, "k");
    assert_eq!(raw.drive().await, ["w=1"]);
    let errors = raw.errors();
    assert!(
        errors.len() == 1 && errors[0].contains("it panicked: a bug of the waker"),
        "{errors:?}"
    );
    assert_eq!(sub.try_recv().expect("delivered").last(), 7);
    raw.emit(2, "k");
    assert_eq!(raw.drive().await, ["w=2"]);
}

/// Panics when it is dropped, while it is armed.
struct PanicsOnDrop(Arc<AtomicBool>);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        assert!(!self.0.swap(false, Ordering::Relaxed), "a bug of a drop");
    }
}

/// Values of the embedder that panic when they are dropped keep no instance from the next call.
pub async fn g31_a_panic_of_a_drop_keeps_no_permit(runtime: &dyn Runtime) {
    for case in ["context", "session", "grow", "trap"] {
        let armed = Arc::new(AtomicBool::new(true));
        let of_data = armed.clone();
        let guest = guest(runtime, ASKING, |builder| {
            asking(builder)
                .pool(1, 1)
                .limits(Limits::default().recycle_bytes(1 << 16))
                .instance_data(move || PanicsOnDrop(of_data.clone()))
        })
        .await;
        let dropped = AssertUnwindSafe(async {
            match case {
                "context" => {
                    let caller = guest.caller().context(PanicsOnDrop(armed.clone()));
                    drop(caller.call("fine", &[]).await);
                }
                "session" => {
                    let mut session = guest.session().await.expect("an instance");
                    let set = session.set_context(PanicsOnDrop(armed.clone()));
                    set.expect("an instance");
                }
                export => drop(guest.call(export, &[]).await),
            }
        });
        dropped.catch_unwind().await.expect_err("the drop panics");
        let called = guest.call("fine", &[]).now_or_never();
        assert!(matches!(called, Some(Ok(_))), "{case}: {called:?}");
        assert!(guest.close().now_or_never().is_some(), "{case}");
    }
}

/// A session that has the last handle of its owner ends that owner, which drops payloads.
pub async fn g31_a_panic_at_the_end_of_an_owner_keeps_no_permit(runtime: &dyn Runtime) {
    let builder = RangeWatchBus::builder().payloads::<PanicsOnDrop>();
    let bus = builder.build().expect("there are no bounds");
    let guest_bus = GuestBus::new(&bus, |_, _| PanicsOnDrop(Arc::default()));
    let unused = RangeWatchBus::new();
    let raw = RawGuest::of_text(runtime, RAW_GUEST_2, &unused, guest_bus, |builder| {
        builder.pool(1, 1)
    })
    .await;
    let owner = raw.guest.owner();
    raw.follow_on(&owner, "w", "k", "l").await;
    let payload = PanicsOnDrop(Arc::new(AtomicBool::new(true)));
    let emitted = bus.emit_with(1, [("k", payload)]);
    emitted.expect("the bus is open");
    let mut session = raw.guest.session().await.expect("an instance");
    session.set_owner(&owner).expect("it has not ended");
    drop(owner);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(session)));
    dropped.expect_err("the drop of the payload panics");
    let session = raw.guest.session().now_or_never();
    assert!(matches!(session, Some(Ok(_))), "{session:?}");
}

/// An instance whose data panic when they are dropped is lost as any other: the guest says why, and
/// its watches end.
pub async fn g30_a_panic_of_a_drop_hides_no_loss(runtime: &dyn Runtime) {
    let armed = Arc::new(AtomicBool::new(true));
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder.instance_data(move || PanicsOnDrop(armed.clone()))
    })
    .await;
    raw.follow("w", "k", "l").await;
    raw.plan([Step::Trap]);
    raw.emit(1, "k");
    let driven = AssertUnwindSafe(raw.guest.drive_until_idle());
    driven.catch_unwind().await.expect_err("the drop panics");
    match call_err(&raw.guest, "flush").await {
        CallError::Gone { reason } => assert!(reason.contains("trap"), "{reason}"),
        error => panic!("{error}"),
    }
    assert_eq!(raw.guest.n_watches(), 0);
}

/// The data of an instance may use its guest when it is dropped: no lock is held then.
pub async fn data_may_use_its_guest_when_it_is_dropped(runtime: &dyn Runtime) {
    struct UsesGuest(Arc<OnceLock<Guest>>);
    impl Drop for UsesGuest {
        fn drop(&mut self) {
            if let Some(guest) = self.0.get() {
                drop(guest.session().now_or_never());
            }
        }
    }
    let made = Arc::new(OnceLock::new());
    let of_data = made.clone();
    let text = r#"(module (func (export "_start")))"#;
    let guest = guest(runtime, text, |builder| {
        builder
            .pool(1, 1)
            .instance_data(move || UsesGuest(of_data.clone()))
    })
    .await;
    let guest = made.get_or_init(|| guest);
    for _ in 0..2 {
        // The second run replaces the instance of the first one.
        assert_eq!(guest.run().await.expect("it returns").code(), 0);
    }
    guest.close().await;
}

/// A guest whose export of the address of its meta page loops.
const LOOPS_IN_PAGE: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\00\50\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (global $n_turns (mut i32) (i32.const TURNS))
    (func (export "START"))
    (func (export "fine"))
    (func (export "__range_watch") (result i32)
        (loop
            (global.set $n_turns (i32.sub (global.get $n_turns) (i32.const 1)))
            (br_if 0 (global.get $n_turns)))
        (i32.const 16)))"#;

/// The limit on time holds for the export that returns the address of the meta page, too.
pub async fn the_read_of_a_meta_page_is_bounded_in_time(runtime: &dyn Runtime) {
    let timer = ManualTimer::new();
    let wat = LOOPS_IN_PAGE
        .replace("TURNS", "0")
        .replace("START", "_initialize");
    let module = load(runtime, &wat).await;
    let bus = RangeWatchBus::new();
    let making = Guest::builder(&module, &bus)
        .limits(Limits::default().wall_time(Duration::from_secs(3)))
        .timer(timer.clone())
        .instantiate();
    let mut making = pin!(making);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(making.as_mut().poll(&mut cx).is_pending());
    }
    timer.advance(Duration::from_secs(4));
    let Poll::Ready(made) = making.as_mut().poll(&mut cx) else {
        panic!("it loops for longer than its limit");
    };
    match made.expect_err("it loops") {
        InstantiateError::Start(error) => {
            assert!(matches!(*error, CallError::TimedOut { .. }), "{error}");
        }
        error => panic!("{error}"),
    }
}

/// A call that is dropped while the export of the meta page runs loses the instance, as one that is
/// dropped inside its own export does.
pub async fn a_call_dropped_while_a_meta_page_is_read_ends_the_instance(runtime: &dyn Runtime) {
    let wat = LOOPS_IN_PAGE
        .replace("TURNS", "10000")
        .replace("START", "_start");
    let limits = Limits::default().fuel_slice(1_000);
    let guest = guest(runtime, &wat, |builder| builder.limits(limits)).await;
    let called = guest.call("fine", &[]).now_or_never();
    assert!(called.is_none(), "the guest starts: {called:?}");
    match call_err(&guest, "fine").await {
        CallError::Gone { reason } => {
            assert!(reason.contains("`__range_watch` was dropped"), "{reason}");
        }
        error => panic!("{error}"),
    }
}

/// Names and texts of a guest are one short line in messages, and no character of them changes how
/// the rest is displayed.
pub async fn texts_of_a_module_are_escaped_and_cut(runtime: &dyn Runtime) {
    const FORGED: &str = r"a\nERROR: forged \u{202e}";
    // Of each error alone, as a program shows it that does not use `ErrorChain`.
    fn is_harmless(error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            let is_plain = |c: char| c.is_ascii_graphic() || c == ' ';
            assert!(text.chars().all(is_plain), "{text:?}");
            assert!(text.len() < 1_000, "{} bytes", text.len());
            next = error.source();
        }
    }
    // The name of a function that traps.
    let wat = format!(r#"(module (func (@name "{FORGED}") (export "trap") unreachable))"#);
    let trapping = guest(runtime, &wat, plain).await;
    is_harmless(&call_err(&trapping, "trap").await);
    is_harmless(&call_err(&trapping, "trap").await);
    // A module that is not valid, because two exports have one name.
    let name = format!("{FORGED}{}", "x".repeat(50_000));
    let wat = format!(r#"(module (func) (export "{name}y" (func 0)) (export "{name}z" (func 0)))"#);
    let mut wasm = wat::parse_str(wat).expect("well formed");
    let last = wasm.iter().rposition(|byte| *byte == b'z');
    wasm[last.expect("it is in the name")] = b'y';
    is_harmless(&runtime.load(&wasm).await.expect_err("one name twice"));
    // An import of a long signature.
    let params = "(param v128)".repeat(1_000);
    let wat = format!(r#"(module (import "{FORGED}" "f" (func {params})))"#);
    let module = try_load(runtime, &wat).await.expect("valid");
    let guest = Guest::builder(&module, &RangeWatchBus::new())
        .instantiate()
        .await;
    is_harmless(&guest.expect_err("nothing provides it"));
}
