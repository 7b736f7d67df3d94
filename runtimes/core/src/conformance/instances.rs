//! How instances are made, started, recycled and told apart by the embedder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use futures::future::join_all;
use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;

use super::raw_guest::{RawGuest, Step};
use super::suspension::pending_once;
use super::{call, load, text, with_pool};
use crate::{
    Buffer, CallError, CallOutcome, Field, Guest, HostModule, InstantiateError, Limits, Runtime,
    Start, Val,
};

/// A guest that says which instance it is by a number of the host, and by what its memory holds.
const NUMBERED: &str = r#"(module
    (import "test" "next" (func $next (result i32)))
    (import "test" "wait" (func $wait))
    (memory (export "memory") 1)
    (func (export "number") (result i32) (i32.const 41))
    (func (export "next") (result i32) (call $wait) (call $next))
    (func (export "trap") (drop (call $next)) unreachable)
    (func (export "forever") (drop (call $next)) (loop (call $wait) (br 0))))"#;

/// The calls of `next` on an instance, and a token that lives as long as it.
struct Calls {
    n_calls: i32,
    number: i32,
    _token: Arc<()>,
}

/// Data of each instance is its own, and is dropped with it. The hook runs once for each instance,
/// and can call it and keep what it returns.
pub async fn each_instance_has_data_of_its_own(runtime: &dyn Runtime) {
    let (token, n_hooks) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let (of_data, of_hook) = (token.clone(), n_hooks.clone());
    let module = load(runtime, NUMBERED).await;
    let guest = Guest::builder(&module, &RangeWatchBus::new())
        .pool(4, 1)
        .instance_data(move || Calls {
            n_calls: 0,
            number: 0,
            _token: of_data.clone(),
        })
        .instance_data(|| "another type")
        .on_instance(move |instance| {
            let n_hooks = of_hook.clone();
            async move {
                n_hooks.fetch_add(1, Ordering::Relaxed);
                let [Val::I32(number)] = instance.call("number", &[]).await?[..] else {
                    return Err("a number".into());
                };
                instance.memory()?[0] = 7;
                instance.data::<Calls>()?.number = number;
                Ok(())
            }
            .boxed()
        })
        .host_function("test", "next", |cx, ()| {
            assert_eq!(*cx.data::<&str>()?, "another type");
            let (memory, calls) = cx.memory_and_data::<Calls>()?;
            assert_eq!((memory[0], calls.number), (7, 41));
            calls.n_calls += 1;
            Ok(calls.n_calls)
        })
        .host_function_async("test", "wait", |_cx, ()| pending_once().map(Ok))
        .instantiate()
        .await
        .expect("the guest of the scenario starts");
    let instances = || Arc::strong_count(&token) - 2;
    assert_eq!((n_hooks.load(Ordering::Relaxed), instances()), (1, 1));
    // Four at a time: each of four instances counts its own calls.
    for turn in 1..=3 {
        let calls = join_all((0..4).map(|_| call(&guest, "next", &[]))).await;
        assert_eq!(calls, vec![[Val::I32(turn)]; 4]);
    }
    assert_eq!((n_hooks.load(Ordering::Relaxed), instances()), (4, 4));
    guest.call("trap", &[]).await.expect_err("it traps");
    assert_eq!(instances(), 3);
    let mut session = guest.session().await.expect("there is an instance");
    assert_eq!(session.data::<Calls>().expect("it has data").n_calls, 3);
    drop((session, guest));
    assert_eq!(Arc::strong_count(&token), 1);
}

/// A hook that fails, or whose call fails, fails the instantiation.
pub async fn a_hook_that_fails_fails_the_instantiation(runtime: &dyn Runtime) {
    let module = load(runtime, NUMBERED).await;
    for export in ["", "trap"] {
        let error = Guest::builder(&module, &RangeWatchBus::new())
            .on_instance(move |instance| {
                async move {
                    if export.is_empty() {
                        return Err("no licence".into());
                    }
                    // The error is not returned: the instance is lost nevertheless.
                    let _ = instance.call(export, &[]).await;
                    Ok(())
                }
                .boxed()
            })
            .host_function("test", "next", |_cx, ()| Ok(1))
            .host_function("test", "wait", |_cx, ()| Ok(()))
            .instantiate()
            .await
            .expect_err("the hook fails");
        assert!(matches!(error, InstantiateError::Hook(_)), "{error}");
        let expected = if export.is_empty() {
            "no licence"
        } else {
            "unreachable"
        };
        assert!(text(&error).contains(expected), "{}", text(&error));
    }
}

/// The hook at the end of calls runs for every call, however it ends, and reaches the data.
pub async fn the_end_of_every_call_is_reported(runtime: &dyn Runtime) {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let of_hook = ends.clone();
    let module = load(runtime, NUMBERED).await;
    let guest = Guest::builder(&module, &RangeWatchBus::new())
        .pool(1, 1)
        .instance_data(|| 0_u32)
        .host_function("test", "next", |cx, ()| {
            // A lock that is held until the end of the call.
            *cx.data::<u32>()? += 1;
            Ok(1)
        })
        .host_function_async("test", "wait", |_cx, ()| pending_once().map(Ok))
        .on_call_end(move |end| {
            let how = match end.outcome() {
                CallOutcome::Returned => "returned",
                CallOutcome::Failed(CallError::Trap { .. }) => "trapped",
                CallOutcome::Failed(_) => "failed",
                CallOutcome::Reported => "reported",
                CallOutcome::Dropped => "dropped",
            };
            let export = end.export().to_owned();
            assert_eq!(end.memory().len(), 1 << 16);
            let held = end.data::<u32>().map(std::mem::take);
            let held = held.expect("it has data");
            of_hook.lock().push(format!("{export} {how} {held}"));
        })
        .instantiate()
        .await
        .expect("the guest of the scenario starts");
    call(&guest, "next", &[]).await;
    call(&guest, "number", &[]).await;
    guest.call("trap", &[]).await.expect_err("it traps");
    let mut forever = Box::pin(guest.call("forever", &[]));
    assert!(
        forever
            .poll_unpin(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(forever);
    guest
        .call("nothing", &[])
        .await
        .expect_err("there is no such export");
    let expected = [
        "next returned 1",
        "number returned 0",
        "trap trapped 1",
        "forever dropped 1",
    ];
    assert_eq!(*ends.lock(), expected);
}

/// Hooks at the end of a call run in the order in which they were added, those of modules too, and
/// one that panics stops no other. A callback that reports an error has an outcome of its own.
pub async fn hooks_of_modules_run_at_the_end_of_calls(runtime: &dyn Runtime) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (of_first, of_second) = (log.clone(), log.clone());
    let first = HostModule::new("first").on_call_end(move |end| {
        of_first.lock().push(format!("first {}", end.export()));
    });
    let second = HostModule::new("second").on_call_end(move |end| {
        let outcome = end.outcome();
        of_second.lock().push(format!("second {outcome:?}"));
    });
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder
            .host_module(first)
            .on_call_end(|_end| panic!("a hook"))
            .host_module(second)
    })
    .await;
    raw.follow("w", "k", "l").await;
    log.lock().clear();
    for steps in [vec![], vec![Step::Report("bad", 3)]] {
        raw.plan(steps);
        raw.emit(1, "k");
        raw.drive().await;
    }
    assert_eq!(raw.errors().len(), 1);
    let of = |outcome| {
        [
            "first __range_watch_recv".to_owned(),
            format!("second {outcome}"),
        ]
    };
    assert_eq!(*log.lock(), [of("Returned"), of("Reported")].concat());
}

/// Logs which of its exports ran, with `memory` to say so to the host.
const STARTED: &str = r#"(module
    (memory (export "memory") 1)
    (global $log (mut i32) (i32.const 0))
    (func $log (param i32)
        (global.set $log (i32.add (i32.mul (global.get $log) (i32.const 10)) (local.get 0))))
    (func (export "_start") (call $log (i32.const 1)))
    INITIALIZE
    (func (export "log") (result i32) (global.get $log)))"#;

/// What starts an instance is what the embedder chose.
pub async fn the_start_of_an_instance_can_be_chosen(runtime: &dyn Runtime) {
    let initialize = r#"(func (export "_initialize") (call $log (i32.const 2)))"#;
    let both = load(runtime, &STARTED.replace("INITIALIZE", initialize)).await;
    let command = load(runtime, &STARTED.replace("INITIALIZE", "")).await;
    for (module, start, log) in [
        (&both, Start::Automatic, Ok(2)),
        (&both, Start::Reactor, Ok(2)),
        (&both, Start::Command, Ok(1)),
        (&both, Start::Nothing, Ok(0)),
        (&command, Start::Automatic, Ok(0)),
        (&command, Start::Reactor, Err("_initialize")),
        (&command, Start::Command, Ok(1)),
        (&command, Start::Nothing, Ok(0)),
    ] {
        let builder = Guest::builder(module, &RangeWatchBus::new()).start(start);
        match (builder.instantiate().await, log) {
            (Ok(guest), Ok(log)) => {
                assert_eq!(call(&guest, "log", &[]).await, [Val::I32(log)], "{start:?}");
                if start == Start::Command {
                    let again = guest.run().await.expect_err("it was started");
                    assert!(matches!(again, CallError::AlreadyStarted), "{again}");
                }
            }
            (Err(error), Err(expected)) => {
                assert!(text(&error).contains(expected), "{}", text(&error));
            }
            (Ok(_), Err(_)) => panic!("{start:?} succeeds"),
            (Err(error), Ok(_)) => panic!("{start:?}: {}", text(&error)),
        }
    }
}

/// `_start` runs once on an instance, however it is asked for: an instance that was started when it
/// was made refuses a run, and a call of `_start` is one. A guest that the embedder starts may be
/// called as often as it likes.
pub async fn a_command_that_was_started_refuses_a_call_of_start(runtime: &dyn Runtime) {
    let command = load(runtime, &STARTED.replace("INITIALIZE", "")).await;
    let bus = RangeWatchBus::new();
    for is_pooled in [false, true] {
        let builder = Guest::builder(&command, &bus).start(Start::Command);
        let builder = match is_pooled {
            true => builder.pool(1, 1),
            false => builder,
        };
        let guest = builder.instantiate().await.expect("it starts");
        let owner = guest.owner();
        let func = guest.func::<(), ()>("_start").expect("it is exported");
        let caller = guest.caller().owner(&owner);
        let mut session = guest.session().await.expect("it is open");
        let in_session = session.call("_start", &[]).await.map(drop);
        let instance_id = session.instance_id().expect("it is not lost");
        drop(session);
        let refused = [
            guest.run().await.map(drop),
            guest.call("_start", &[]).await.map(drop),
            caller.call("_start", &[]).await.map(drop),
            guest.call_bytes("_start", []).await.map(drop),
            func.call(()).await,
            in_session,
        ];
        for error in refused {
            let error = error.expect_err("it was started");
            assert!(matches!(error, CallError::AlreadyStarted), "{error}");
            assert!(error.to_string().contains("make a new guest"), "{error}");
        }
        assert_eq!(call(&guest, "log", &[]).await, [Val::I32(1)]);
        let mut session = guest.session().await.expect("it is open");
        let id = session.instance_id().expect("it is not lost");
        assert_eq!(id, instance_id, "the instance is kept");
    }
    let builder = Guest::builder(&command, &bus).start(Start::Nothing);
    let guest = builder.instantiate().await.expect("it needs nothing");
    for log in [1, 11] {
        assert_eq!(call(&guest, "_start", &[]).await, []);
        assert_eq!(call(&guest, "log", &[]).await, [Val::I32(log)]);
    }
}

/// A guest that passes a key and a number through the meta page of a module, whose table of
/// addresses is at 16: a buffer of 8 bytes at 64, its capacity and length, a value. START names the
/// export that sets the last address.
const PAGED: &str = r#"(module
    (import "counters" "add" (func $add))
    (import "counters" "later" (func $later))
    (memory (export "memory") 1)
    (data (i32.const 16) "\40\00\00\00\30\00\00\00\34\00\00\00\00\00\00\00")
    (data (i32.const 48) "\08\00\00\00\03\00\00\00")
    (data (i32.const 64) "key")
    (func (export "START") (i32.store (i32.const 28) (i32.const 56)))
    (func (export "__counters") (result i32) (i32.const 16))
    (func (export "add") (param i64) (result i64)
        (i64.store (i32.const 56) (local.get 0))
        (call $add)
        (call $later)
        (i64.load (i32.const 56))))"#;

/// A module of host functions brings the data of its instances and reads its meta page, in guests
/// of each kind. A guest without the export is refused.
pub async fn a_host_module_has_data_and_a_meta_page(runtime: &dyn Runtime) {
    const KEY: Buffer = Buffer::new(0, 1, 2);
    const VALUE: Field<u64> = Field::new(3);
    let module = || {
        HostModule::new("counters")
            .instance_data(BTreeMap::<Vec<u8>, u64>::new)
            .meta_page("__counters", 4)
            .function("add", |cx, ()| {
                let page = cx.meta_page("__counters")?;
                let (memory, counters) = cx.memory_and_data::<BTreeMap<Vec<u8>, u64>>()?;
                let counter = counters
                    .entry(page.bytes(memory, KEY)?.to_vec())
                    .or_default();
                *counter += page.get(memory, VALUE)?;
                Ok(page.set(memory, VALUE, *counter)?)
            })
            .function_async("later", |cx, ()| {
                let key = cx.read(64, 3).map(<[u8]>::to_vec);
                async move {
                    pending_once().await;
                    assert_eq!(key?, b"key");
                    Ok(())
                }
            })
    };
    for (export, start) in [
        ("_initialize", Start::Automatic),
        ("_start", Start::Automatic),
        ("_start", Start::Command),
        ("start_by_hook", Start::Nothing),
    ] {
        let text = PAGED.replace("START", export);
        let guest = Guest::builder(&load(runtime, &text).await, &RangeWatchBus::new())
            .host_module(module())
            .start(start)
            .on_instance(move |instance| {
                async move {
                    if start == Start::Nothing {
                        instance.call("start_by_hook", &[]).await?;
                    }
                    Ok(())
                }
                .boxed()
            })
            .instantiate()
            .await;
        let guest = guest.expect("all is provided");
        for (n, sum) in [(5, 5), (7, 12), (0, 12)] {
            let added = call(&guest, "add", &[Val::I64(n)]).await;
            assert_eq!(added, [Val::I64(sum)], "{export} {start:?}");
        }
    }
    let text = PAGED
        .replace("__counters", "__another")
        .replace("START", "_initialize");
    let error = Guest::builder(&load(runtime, &text).await, &RangeWatchBus::new())
        .host_module(module())
        .instantiate()
        .await
        .expect_err("the export is missing");
    assert!(
        error.to_string().contains("does not export `__counters`"),
        "{error}"
    );
    // A guest that imports nothing of the module needs no page.
    let nothing = load(runtime, "(module)").await;
    let guest = Guest::builder(&nothing, &RangeWatchBus::new()).host_module(module());
    guest.instantiate().await.expect("all is provided");
}

/// Copies from and to a buffer of a meta page are work of the guest.
pub async fn g37_copies_through_a_meta_page_are_charged(runtime: &dyn Runtime) {
    const KEY: Buffer = Buffer::new(0, 1, 2);
    let module = HostModule::new("counters")
        .meta_page("__counters", 4)
        .function("add", |cx, ()| {
            // A capacity of 1,024 bytes, 160 of which are used.
            cx.write(48, &[0, 4, 0, 0, 160, 0, 0, 0])?;
            let page = cx.meta_page("__counters")?;
            let before = cx.fuel_left();
            assert_eq!(cx.read_buffer(&page, KEY)?.len(), 160);
            let between = cx.fuel_left();
            cx.write_buffer(&page, KEY, &[7; 320])?;
            let after = cx.fuel_left();
            assert_eq!(before, between.map(|left| left + 10));
            assert_eq!(between, after.map(|left| left + 20));
            assert_eq!(cx.read_buffer(&page, KEY)?, [7; 320]);
            cx.write_buffer(&page, KEY, &[7; 1025])
                .expect_err("it exceeds the capacity");
            Ok(())
        })
        .function("later", |_cx, ()| Ok(()));
    let text = PAGED.replace("START", "_initialize");
    let builder = Guest::builder(&load(runtime, &text).await, &RangeWatchBus::new())
        .host_module(module)
        .limits(Limits::default().fuel_per_call(1_000_000))
        .instantiate()
        .await;
    let guest = builder.expect("all is provided");
    call(&guest, "add", &[Val::I64(1)]).await;
}

/// A factory makes many equal guests, each with its own memory and its own watch ids.
pub async fn a_factory_makes_equal_guests(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let module = load(runtime, super::RAW_GUEST).await;
    let factory = Guest::builder(&module, &bus)
        .host_function("test", "received", |_cx, ()| Ok(0_i32))
        .factory()
        .expect("all is provided");
    let mut guests = Vec::new();
    for i in 0..50_u8 {
        let guest = factory.instantiate().await.expect("it starts");
        let reserve = |memory: &mut [u8]| {
            memory[256] = i;
            memory[52] = 1;
            memory[0]
        };
        assert_eq!(guest.with_memory(reserve).await.expect("an instance"), 0);
        call(&guest, "reserve", &[]).await;
        guest
            .with_memory(|memory| memory[0] = 1)
            .await
            .expect("an instance");
        assert_eq!(guest.n_watches(), 1);
        guests.push(guest);
    }
    assert_eq!(bus.n_subscriptions(), 50);
    drop(guests);
    assert_eq!(bus.n_subscriptions(), 0);
}

/// A guest whose memory grows by a page with each call.
const GROWING: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (memory (export "memory") 1)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\50\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\04\00\00\00\00\00\00\20\00\00\00\00\00\00\00")
    (data (i32.const 256) "\00\01w\00\01k\00\00")
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func (export "__range_watch_recv") (i32.store (i32.const 128) (i32.const 1)))
    (func (export "watch")
        (i32.store (i32.const 52) (i32.const 8)) (call $open)
        (i32.store8 (i32.const 256) (i32.const 0x77))
        (i32.store (i32.const 52) (i32.const 1)) (call $start))
    (func (export "grow") (result i32)
        (memory.grow (i32.const 1))))"#;

/// An instance above a memory bound is replaced after its call, and its watches stay, with a pool
/// and without.
pub async fn an_instance_above_its_bound_is_recycled(runtime: &dyn Runtime) {
    for pool in [None, Some((1, 1))] {
        let bus = RangeWatchBus::new();
        let n_instances = Arc::new(AtomicUsize::new(0));
        let of_hook = n_instances.clone();
        let module = load(runtime, GROWING).await;
        let builder = Guest::builder(&module, &bus)
            .limits(Limits::default().recycle_bytes(10 << 16))
            .on_instance(move |_instance| {
                of_hook.fetch_add(1, Ordering::Relaxed);
                async { Ok(()) }.boxed()
            });
        let guest = with_pool(builder, pool).instantiate().await;
        let guest = guest.expect("it starts");
        call(&guest, "watch", &[]).await;
        for turn in 0..100 {
            // From 1 to 10 pages, then from 1 again.
            let pages = call(&guest, "grow", &[]).await;
            assert_eq!(pages, [Val::I32(1 + turn % 10)]);
        }
        assert_eq!(n_instances.load(Ordering::Relaxed), 10);
        assert_eq!(guest.n_watches(), 1);
        bus.emit(7, ["k"]).expect("the bus is open");
        let n_callbacks = guest.drive_until_idle().await;
        assert_eq!(n_callbacks.expect("there is an instance"), 1);
        assert_eq!(n_instances.load(Ordering::Relaxed), 11);
    }
}

/// A guest says when a callback is due.
pub async fn a_guest_is_ready_when_a_callback_is_due(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    let mut cx = Context::from_waker(Waker::noop());
    let mut ready = Box::pin(raw.guest.ready());
    assert!(ready.poll_unpin(&mut cx).is_pending());
    raw.emit(1, "a");
    assert_eq!(ready.poll_unpin(&mut cx), Poll::Ready(()));
    assert!(raw.guest.ready().now_or_never().is_some());
    raw.drive().await;
    let mut ready = Box::pin(raw.guest.ready());
    assert!(ready.poll_unpin(&mut cx).is_pending());
    drop(raw);
    ready.await;
}

/// A host function, a session and the end of a call name the same instance, and a lost instance is
/// replaced by one of another number.
pub async fn the_host_knows_the_guest_and_the_instance_of_a_call(runtime: &dyn Runtime) {
    const TEXT: &str = r#"(module
        (import "test" "who" (func $who))
        (memory (export "memory") 1)
        (func (export "ask") (call $who))
        (func (export "trap") (call $who) unreachable))"#;
    let module = load(runtime, TEXT).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let ended = Arc::new(Mutex::new(Vec::new()));
    let make = async || {
        let (of_function, of_end) = (seen.clone(), ended.clone());
        let builder = Guest::builder(&module, &RangeWatchBus::new())
            .pool(1, 1)
            .host_function("test", "who", move |cx, ()| {
                let ids = (cx.guest_id(), cx.owner().guest_id(), cx.instance_id());
                of_function.lock().push(ids);
                Ok(())
            })
            .on_call_end(move |end| of_end.lock().push(end.instance_id()));
        builder.instantiate().await.expect("it starts")
    };
    let (one, other) = (make().await, make().await);
    assert_ne!(one.id(), other.id());
    call(&other, "ask", &[]).await;
    call(&one, "ask", &[]).await;
    let mut session = one.session().await.expect("an instance");
    let instance = session.instance_id().expect("it is there");
    drop(session);
    let trapped = one.call("trap", &[]).await;
    trapped.expect_err("it traps");
    call(&one, "ask", &[]).await;
    let seen = std::mem::take(&mut *seen.lock());
    let [of_other, first, second, third] = seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!((of_other.0, of_other.1), (other.id(), other.id()));
    assert_eq!((first, second), ((one.id(), one.id(), instance), first));
    assert_eq!((third.0, third.1), (one.id(), one.id()));
    assert!(third.2 != instance && of_other.2 != instance && of_other.2 != third.2);
    let expected = [of_other.2, instance, instance, third.2];
    assert_eq!(*ended.lock(), expected);
}
