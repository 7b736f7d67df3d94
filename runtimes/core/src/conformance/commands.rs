//! Commands that use the guest ABI: `_start` initializes the guest, once.

use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::{EventSubscription, RangeWatchBus, Selector};
use rangewatch_wasi::Wasi;

use super::{call, load};
use crate::abi::AbiError;
use crate::{CallError, Emits, Guest, GuestBuilder, InstantiateError, Limits, Runtime, Val};

/// A command in the shape of TinyGo's: `_start` fills in the meta page at 16, and everything else
/// traps unless `_start` ran exactly once. Its main does what the import `test.main` returns.
pub const COMMAND: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "test" "main" (func $main (result i32)))
    (import "test" "received" (func $received (param i64)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (global $n_starts (mut i32) (i32.const 0))
    (func $check
        (if (i32.ne (global.get $n_starts) (i32.const 1)) (then unreachable)))
    (func $emit (param $value i64)
        (i32.store (i32.const 256) (i32.const 0x00610100)) ;; the key list "\00\01a"
        (i32.store (i32.const 52) (i32.const 3))
        (i64.store (i32.const 64) (local.get $value))
        (call $flush))
    (func (export "_start") (local $do i32)
        (global.set $n_starts (i32.add (global.get $n_starts) (i32.const 1)))
        (call $check)
        (local.set $do (call $main))
        (if (i32.eq (local.get $do) (i32.const 1)) (then (call $flush)))
        (i32.store (i32.const 16) (i32.const 256)) ;; buf
        (i32.store (i32.const 20) (i32.const 48))  ;; buf_cap
        (i32.store (i32.const 24) (i32.const 52))  ;; buf_len
        (i32.store (i32.const 28) (i32.const 512)) ;; err
        (i32.store (i32.const 32) (i32.const 56))  ;; err_cap
        (i32.store (i32.const 36) (i32.const 60))  ;; err_len
        (i32.store (i32.const 40) (i32.const 64))  ;; val
        (i32.store (i32.const 48) (i32.const 256))
        (i32.store (i32.const 56) (i32.const 256))
        (if (i32.ge_u (local.get $do) (i32.const 2)) (then (call $emit (i64.const 1))))
        (if (i32.ge_u (local.get $do) (i32.const 100))
            (then (call $exit (i32.sub (local.get $do) (i32.const 100))))))
    (func (export "apply") (param $value i64) (call $check) (call $emit (local.get $value)))
    (func (export "watch")
        (call $check)
        (i64.store (i32.const 256) (i64.const 0x0100610100770100)) ;; "\00\01w\00\01a\00\01b"
        (i32.store8 (i32.const 264) (i32.const 0x62))
        (i32.store (i32.const 52) (i32.const 9))
        (call $open)
        (i32.store8 (i32.const 256) (i32.const 0x77))
        (i32.store (i32.const 52) (i32.const 1))
        (call $start))
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func (export "__range_watch_recv")
        (call $check) (call $received (i64.load (i32.const 64)))))"#;

/// What `main` of [`COMMAND`] does: it returns; emits before it has set up its page; emits the
/// value 1 and returns; emits the value 1 and exits.
#[derive(Clone, Copy)]
enum Main {
    Return,
    EmitTooEarly,
    Emit,
    EmitAndExit(i32),
}

impl Main {
    fn code(self) -> i32 {
        match self {
            Self::Return => 0,
            Self::EmitTooEarly => 1,
            Self::Emit => 2,
            Self::EmitAndExit(code) => 100 + code,
        }
    }
}

struct Command {
    guest: Guest,
    events: EventSubscription,
    received: Arc<Mutex<Vec<u64>>>,
}

impl Command {
    async fn new(runtime: &dyn Runtime, main: Main) -> Self {
        Self::with(runtime, main, |builder| builder).await
    }

    async fn with(
        runtime: &dyn Runtime,
        main: Main,
        configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
    ) -> Self {
        let module = load(runtime, COMMAND).await;
        let bus = RangeWatchBus::new();
        let events = bus.subscribe(Selector::all()).events(16).expect("valid");
        let received = Arc::<Mutex<Vec<u64>>>::default();
        let log = received.clone();
        let builder = Guest::builder(&module, &bus)
            .wasi_with(|| Ok(Wasi::builder().build()?))
            .host_function("test", "main", move |_cx, ()| Ok(main.code()))
            .host_function("test", "received", move |_cx, value: u64| {
                log.lock().push(value);
                Ok(())
            });
        let guest = configure(builder).instantiate().await;
        Self {
            guest: guest.expect("the command is instantiated"),
            events,
            received,
        }
    }

    async fn apply(&self, value: i64) -> Result<Vec<Val>, CallError> {
        self.guest.call("apply", &[Val::I64(value)]).await
    }

    fn emitted(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| event.value())
            .collect()
    }
}

/// The first call, callback or memory access of an instance starts it; later ones do not.
pub async fn a_command_is_started_before_its_first_use(runtime: &dyn Runtime) {
    let mut command = Command::new(runtime, Main::Return).await;
    for value in 1..=50 {
        command.apply(value).await.expect("no trap");
        assert_eq!(command.emitted(), [value as u64]);
    }
    let command = Command::new(runtime, Main::Return).await;
    let buf = command.guest.with_memory(|memory| memory[17]).await;
    assert_eq!(buf.expect("it starts"), 1, "the page is filled in");
    let command = Command::with(runtime, Main::Return, |builder| builder.pool(2, 1)).await;
    call(&command.guest, "watch", &[]).await;
    for value in 1..=3 {
        command.apply(value).await.expect("no trap");
        command.guest.drive_until_idle().await.expect("it starts");
    }
    assert_eq!(
        *command.received.lock(),
        [1, 2, 3],
        "on an instance of its own"
    );
}

/// `run` starts an instance that was not started; on one that a run or a call has started it fails.
pub async fn a_command_runs_once(runtime: &dyn Runtime) {
    let mut command = Command::new(runtime, Main::Emit).await;
    assert_eq!(command.guest.run().await.expect("it returns").code(), 0);
    assert_eq!(command.emitted(), [1]);
    for _ in 0..2 {
        let error = command.guest.run().await.expect_err("it has been run");
        assert!(matches!(error, CallError::AlreadyStarted), "{error}");
    }
    command.apply(2).await.expect("no trap");
    assert_eq!(command.emitted(), [2], "the call does not start it again");

    let command = Command::new(runtime, Main::Return).await;
    command.apply(2).await.expect("no trap");
    let error = command.guest.run().await.expect_err("the call started it");
    assert!(matches!(error, CallError::AlreadyStarted), "{error}");
    let error = command.guest.call("_start", &[]).await;
    assert!(matches!(error, Err(CallError::AlreadyStarted)), "{error:?}");
}

/// In a pool every run starts an instance that was not used before.
pub async fn a_pool_runs_a_command_on_fresh_instances(runtime: &dyn Runtime) {
    let mut command = Command::with(runtime, Main::Emit, |builder| builder.pool(1, 1)).await;
    for _ in 0..3 {
        assert_eq!(command.guest.run().await.expect("it returns").code(), 0);
        assert_eq!(command.emitted(), [1]);
        command.apply(2).await.expect("no trap");
        assert_eq!(command.emitted(), [2]);
    }
}

/// After an exit with code 0 the instance stays; another code ends it.
pub async fn an_exit_with_code_0_keeps_the_instance(runtime: &dyn Runtime) {
    let mut command = Command::new(runtime, Main::EmitAndExit(0)).await;
    assert_eq!(command.guest.run().await.expect("it exits").code(), 0);
    command.apply(2).await.expect("no trap");
    assert_eq!(command.emitted(), [1, 2]);
    let mut command = Command::new(runtime, Main::EmitAndExit(0)).await;
    command.apply(2).await.expect("no trap");
    assert_eq!(command.emitted(), [1, 2]);

    let command = Command::new(runtime, Main::EmitAndExit(3)).await;
    assert_eq!(command.guest.run().await.expect("it exits").code(), 3);
    match command.apply(2).await {
        Err(CallError::Gone { reason }) => {
            assert_eq!(reason, "`_start` exited with code 3");
        }
        other => panic!("{other:?}"),
    }
    let command = Command::new(runtime, Main::EmitAndExit(3)).await;
    match command.apply(2).await {
        Err(CallError::Instantiate { source, .. }) => match *source {
            InstantiateError::Start(error) => {
                assert!(
                    matches!(*error, CallError::Exit { exit, .. } if exit.code() == 3),
                    "{error}"
                );
            }
            error => panic!("{error}"),
        },
        other => panic!("{other:?}"),
    }
    let gone = command.apply(2).await;
    assert!(matches!(gone, Err(CallError::Gone { .. })), "{gone:?}");
}

/// A flush inside `_start` reads the meta page as it is at that call, also if a slice of fuel ends
/// in between.
pub async fn a_command_emits_while_it_starts(runtime: &dyn Runtime) {
    for fuel_slice in [1, 7, 100_000] {
        let limits = Limits::default().fuel_slice(fuel_slice);
        let mut command =
            Command::with(runtime, Main::Emit, |builder| builder.limits(limits)).await;
        command.apply(2).await.expect("no trap");
        assert_eq!(command.emitted(), [1, 2]);
    }
    let staged = |main| Command::with(runtime, main, |builder| builder.emits(Emits::Staged));
    let mut command = staged(Main::EmitAndExit(0)).await;
    assert_eq!(command.guest.run().await.expect("it exits").code(), 0);
    assert_eq!(command.emitted(), [1]);
    let mut command = staged(Main::EmitAndExit(3)).await;
    assert_eq!(command.guest.run().await.expect("it exits").code(), 3);
    assert_eq!(command.emitted(), [0; 0], "it exited with another code");
}

/// An emit before the meta page is set up traps with an error that says so.
pub async fn an_emit_without_a_meta_page_traps(runtime: &dyn Runtime) {
    let command = Command::new(runtime, Main::EmitTooEarly).await;
    match command.guest.run().await {
        Err(CallError::Abi { source, .. }) => {
            assert_eq!(source, AbiError::PageNotSet { address: 16 });
        }
        other => panic!("{other:?}"),
    }
    let reactor = r#"(module
        (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
        (memory (export "memory") 1)
        (func (export "__range_watch") (result i32) (i32.const 16))
        (func (export "flush") (call $flush)))"#;
    let guest = super::guest(runtime, reactor, super::plain).await;
    let error = super::call_err(&guest, "flush").await;
    assert!(
        super::text(&error).contains("has not set up its meta page"),
        "{error}"
    );
}

/// Only a command may call the ABI while it starts: the page of a reactor is read after its
/// `_initialize`.
pub async fn g29_an_emit_of_a_reactor_that_is_not_initialized_traps(runtime: &dyn Runtime) {
    let text = r#"(module
        (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
        (memory (export "memory") 1)
        (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\00\50\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
        (func (export "__range_watch") (result i32) (i32.const 16))
        (func (export "_initialize") (call $flush)))"#;
    let module = load(runtime, text).await;
    let bus = RangeWatchBus::new();
    match Guest::builder(&module, &bus).instantiate().await {
        Err(InstantiateError::Start(error)) => match *error {
            CallError::Abi { source, .. } => assert_eq!(source, AbiError::NotAttached),
            error => panic!("{error}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The export that returns the address of the meta page may call the imports, which ask for the
/// page: one of them inside of the other is an error, not an endless recursion of the host.
pub async fn g30_a_page_export_that_calls_the_abi_traps(runtime: &dyn Runtime) {
    for during_start in ["(call $flush)", ""] {
        let text = format!(
            r#"(module
            (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
            (memory (export "memory") 1)
            (func (export "_start") {during_start})
            (func (export "__range_watch") (result i32) (call $flush) (i32.const 16)))"#
        );
        let guest = super::guest(runtime, &text, super::plain).await;
        match guest.run().await {
            Err(CallError::Abi { source, .. }) => assert_eq!(source, AbiError::NotAttached),
            other => panic!("{other:?}"),
        }
    }
}
