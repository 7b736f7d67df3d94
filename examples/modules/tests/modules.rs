//! The modules on every runtime of this build: what calls that fail, are dropped or misuse a module
//! leave behind, and the program.
#![cfg(any(feature = "wasmi", feature = "wasmtime"))]

use std::collections::BTreeSet;
use std::pin::pin;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use futures::poll;
use modules::buffers::Buffers;
use modules::kv::Kv;
use modules::{GUEST, Host, Stream};
use rangewatch::{CallError, ErrorChain, Guest, GuestBus, RangeWatchBus, Runtime, Selector};

macro_rules! on_each_runtime {
    ($($name:ident,)*) => {$(
        mod $name {
            #[cfg(feature = "wasmi")]
            #[tokio::test]
            async fn wasmi() {
                super::$name(&rangewatch::Wasmi::new()).await;
            }

            #[cfg(feature = "wasmtime")]
            #[tokio::test]
            async fn wasmtime() {
                super::$name(&rangewatch::Wasmtime::new()).await;
            }
        }
    )*};
}

on_each_runtime! {
    concurrent_transactions_wait_for_each_other,
    g39_a_call_that_is_dropped_changes_all_or_nothing,
    g39_a_store_and_a_bus_that_refuses_stay_as_they_were,
    g38_a_client_that_takes_nothing_loses_its_watch_alone,
    g30_misuse_of_the_store_is_an_error_and_undone,
    g39_a_callback_that_reports_an_error_changes_nothing,
    g30_a_guest_that_floods_fills_its_buffer_only,
}

async fn host(runtime: &dyn Runtime) -> (Host, Stream) {
    let host = Host::start(runtime, GUEST, Host::limits()).await.unwrap();
    let stream = host.connect("test");
    (host, stream)
}

async fn call(host: &Host, stream: &Stream, command: &str) -> String {
    host.call(stream, command).await.unwrap()
}

/// Fifty orders at a time on four instances: each takes from what the one before it has left.
async fn concurrent_transactions_wait_for_each_other(runtime: &dyn Runtime) {
    let limits = Host::limits().fuel_slice(100);
    let host = Host::start(runtime, GUEST, limits).await.unwrap();
    let stream = host.connect("test");
    let mut events = host.bus.subscribe(Selector::all()).events(1000).unwrap();
    call(&host, &stream, "stock north apples 40").await;
    let orders = (0..50).map(|_| call(&host, &stream, "order 1 apples"));
    let answers: BTreeSet<_> = join_all(orders).await.into_iter().collect();
    let mut expected: BTreeSet<_> = (2..=41).map(|r| format!("revision {r}")).collect();
    expected.insert("refused".to_owned());
    assert_eq!(answers, expected);
    assert_eq!(host.kv.get("stock/north/apples").unwrap(), b"0");
    host.bus.close();
    for revision in 1..=41 {
        let event = events.recv().await.unwrap();
        assert_eq!(event.value(), revision);
        for (key, change) in event.entries() {
            assert_eq!(change.client, "test");
            if let Some(order) = key.strip_prefix(b"order/") {
                assert_eq!(order, revision.to_string().as_bytes());
            }
        }
    }
    assert!(events.recv().await.is_err());
}

/// A call is dropped after each number of polls: while it waits for the store, inside of its
/// transactions, after its commit. The next one finds the store whole and no lock that is held.
async fn g39_a_call_that_is_dropped_changes_all_or_nothing(runtime: &dyn Runtime) {
    let limits = Host::limits().fuel_slice(50);
    let host = Host::start(runtime, GUEST, limits).await.unwrap();
    let stream = host.connect("test");
    call(&host, &stream, "stock north apples 1000000").await;
    let mut n_polls = 0;
    loop {
        let before = host.kv.revision();
        let mut order = pin!(host.call(&stream, "order 1 apples"));
        let mut has_returned = false;
        for _ in 0..n_polls {
            has_returned = poll!(order.as_mut()).is_ready();
            if has_returned {
                break;
            }
        }
        order.set(host.call(&stream, "list nothing")); // drops the order
        order.await.unwrap();
        assert_eq!(host.kv.revision(), before + u64::from(has_returned));
        let answer = call(&host, &stream, "order 1 apples").await;
        assert_eq!(answer, format!("revision {}", host.kv.revision()));
        let n_orders = host.kv.revision() - 1;
        let left = host.kv.get("stock/north/apples").unwrap();
        assert_eq!(left, (1_000_000 - n_orders).to_string().as_bytes());
        if has_returned {
            break;
        }
        n_polls += 1;
    }
    assert!(n_polls > 100, "{n_polls} polls are no test");
}

/// A bus that is closed refuses to publish, and the store does not commit.
async fn g39_a_store_and_a_bus_that_refuses_stay_as_they_were(runtime: &dyn Runtime) {
    let (host, stream) = host(runtime).await;
    call(&host, &stream, "stock north apples 5").await;
    host.bus.close();
    let error = host.call(&stream, "order 1 apples").await.unwrap_err();
    assert!(matches!(error, CallError::NotCommitted { .. }), "{error}");
    assert_eq!(host.kv.revision(), 1);
    assert_eq!(host.kv.get("stock/north/apples").unwrap(), b"5");
    assert_eq!(call(&host, &stream, "list order/").await, "");
}

/// The watch of a client whose buffer is full is closed; another client is not affected.
async fn g38_a_client_that_takes_nothing_loses_its_watch_alone(runtime: &dyn Runtime) {
    let (host, stream) = host(runtime).await;
    let reader = host.connect("reader");
    for stream in [&stream, &reader] {
        call(&host, stream, "watch w stock/").await;
    }
    let item = "apples".repeat(30);
    let mut n_lines = 0;
    for n in 0..400 {
        call(&host, &stream, &format!("stock north {item} {n}")).await;
        host.guest.drive_until_idle().await.unwrap();
        n_lines += reader.take().lines().count();
    }
    assert_eq!((stream.n_watches(), reader.n_watches()), (0, 1));
    assert_eq!(n_lines, 400);
    let kept = stream.take();
    assert!((60 << 10..=64 << 10).contains(&kept.len()));
    assert!(kept.ends_with('\n') && kept.starts_with("w 1: stock/north/apples"));
}

/// A guest that uses the store as it must not. Its meta page is at 16: a key and a value of one
/// byte each, a revision and a flag. That of the ABI is at 96; its callback writes and then reports
/// an error.
const MISUSE: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "kv" "begin" (func $begin))
    (import "kv" "commit" (func $commit))
    (import "kv" "abort" (func $abort))
    (import "kv" "put" (func $put))
    (memory (export "memory") 1)
    (data (i32.const 16) "\40\00\00\00\30\00\00\00\30\00\00\00\44\00\00\00\30\00\00\00\34\00\00\00\50\00\00\00\58\00\00\00")
    (data (i32.const 48) "\01\00\00\00\01\00\00\00")
    (data (i32.const 64) "k\00\00\00v")
    (data (i32.const 96) "\00\01\00\00\80\00\00\00\84\00\00\00\90\00\00\00\88\00\00\00\8c\00\00\00\b0\00\00\00")
    (data (i32.const 128) "\40\00\00\00\08\00\00\00\20\00\00\00\00\00\00\00bad")
    (data (i32.const 256) "\00\01w\00\01k\00\00")
    (func (export "__range_watch") (result i32) (i32.const 96))
    (func (export "watch") (call $open)
        (i32.store8 (i32.const 256) (i32.const 0x77))
        (i32.store (i32.const 132) (i32.const 1)) (call $start))
    (func (export "__range_watch_recv") (call $begin) (call $put) (call $commit)
        (i32.store (i32.const 140) (i32.const 3)))
    (func (export "__kv") (result i32) (i32.const 16))
    (func (export "well") (call $begin) (call $put) (call $commit))
    (func (export "commit") (call $begin) (call $put) (call $commit) (call $commit))
    (func (export "abort") (call $abort))
    (func (export "put") (call $put))
    (func (export "nested") (call $begin) (call $put) (loop (call $begin) (br 0)))
    (func (export "large") (call $begin) (loop (call $put) (br 0)))
    (func (export "length") (call $begin) (call $put)
        (i32.store (i32.const 52) (i32.const 2)) (call $put))
    (func (export "address") (call $begin) (call $put)
        (i32.store (i32.const 48) (i32.const -1))
        (i32.store (i32.const 52) (i32.const -1)) (call $put)))"#;

async fn misuse(runtime: &dyn Runtime, bus: &RangeWatchBus) -> (Guest, Kv, Arc<AtomicUsize>) {
    let (kv, n_reports) = (Kv::default(), Arc::new(AtomicUsize::new(0)));
    let (of_hook, counted) = (kv.clone(), n_reports.clone());
    let guest_bus = GuestBus::on_commit(bus, move |cx, staged| {
        Box::pin(std::future::ready(of_hook.commit(cx, staged, |_| ())))
    });
    let module = runtime.load(&wat::parse_str(MISUSE).unwrap()).await;
    let guest = Guest::builder(&module.unwrap(), &guest_bus)
        .host_module(kv.module())
        .limits(Host::limits())
        .pool(1, 1)
        .on_callback_error(move |error| {
            let error = ErrorChain::new(&error).to_string();
            assert!(error.contains("bad"), "{error}");
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .instantiate()
        .await;
    (guest.unwrap(), kv, n_reports)
}

async fn g30_misuse_of_the_store_is_an_error_and_undone(runtime: &dyn Runtime) {
    let (guest, kv, _) = misuse(runtime, &RangeWatchBus::new()).await;
    for (n, (export, expected)) in [
        ("commit", "no transaction is open"),
        ("abort", "no transaction is open"),
        ("put", "no transaction is open"),
        ("nested", "more than 16 transactions are nested"),
        ("large", "the call writes more than 262144 bytes"),
        ("length", "has a capacity of 1 bytes, which 2 bytes exceed"),
        ("address", "but its memory has 65536 bytes"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = guest.call(export, &[]).await.unwrap_err();
        let error = ErrorChain::new(&error).to_string();
        assert!(error.contains(expected), "{export}: {error}");
        assert_eq!(kv.revision(), n as u64, "{export} has changed nothing");
        guest.call("well", &[]).await.unwrap();
        assert_eq!(kv.get("k").unwrap(), b"v");
    }
}

/// Its transaction ends with it, although its instance is kept.
async fn g39_a_callback_that_reports_an_error_changes_nothing(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let (guest, kv, n_reports) = misuse(runtime, &bus).await;
    guest.call("watch", &[]).await.unwrap();
    bus.emit(1, ["k"]).unwrap();
    assert_eq!(guest.drive_until_idle().await.unwrap(), 1);
    assert_eq!((n_reports.load(Ordering::Relaxed), kv.revision()), (1, 0));
    assert_eq!(kv.get("k"), None);
    guest.call("well", &[]).await.unwrap();
    assert_eq!((kv.revision(), kv.get("k")), (1, Some(b"v".to_vec())));
}

/// A guest that appends 100 bytes a thousand times, whatever the host says.
const FLOOD: &str = r#"(module
    (import "buffers" "append" (func $append))
    (memory (export "memory") 1)
    (data (i32.const 16) "\40\00\00\00\30\00\00\00\30\00\00\00\34\00\00\00")
    (data (i32.const 48) "\64\00\00\00")
    (func (export "__buffers") (result i32) (i32.const 16))
    (func (export "flood") (local $n i32)
        (loop (call $append)
            (br_if 0 (i32.lt_u
                (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                (i32.const 1000))))))"#;

async fn g30_a_guest_that_floods_fills_its_buffer_only(runtime: &dyn Runtime) {
    let buffers = Buffers::default();
    let module = runtime.load(&wat::parse_str(FLOOD).unwrap()).await;
    let guest = Guest::builder(&module.unwrap(), &RangeWatchBus::new())
        .host_module(buffers.module())
        .instantiate()
        .await
        .unwrap();
    let (stream, other) = (guest.owner(), guest.owner());
    let (buffer, of_other) = (buffers.open(&stream), buffers.open(&other));
    for _ in 0..2 {
        let caller = guest.caller().owner(&stream);
        caller.call("flood", &[]).await.unwrap();
    }
    // Its own stream has no buffer.
    guest.call("flood", &[]).await.unwrap();
    assert_eq!((buffer.take().len(), of_other.take().len()), (65_500, 0));
}

fn program(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modules"));
    command.args(args).output().unwrap()
}

#[cfg(feature = "wasmi")]
fn stdout(args: &[&str]) -> String {
    let output = program(args);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    stdout
}

#[cfg(feature = "wasmi")]
#[test]
fn the_readme_shows_the_output() {
    let stdout = stdout(&["--runtime", "wasmi"]);
    assert!(
        include_str!("../README.md").contains(&format!("```text\n{stdout}```")),
        "README.md does not show\n{stdout}"
    );
}

#[cfg(all(feature = "wasmi", feature = "wasmtime"))]
#[test]
fn g29_both_runtimes_agree() {
    let stdout = stdout(&["--runtime", "both"]);
    assert!(stdout.ends_with("wasmi agrees with wasmtime\n"), "{stdout}");
}

#[test]
fn a_mistake_on_the_command_line_is_2() {
    for args in [&["--runtime"][..], &["--runtime", "v8"], &["both"]] {
        assert_eq!(program(args).status.code(), Some(2), "{args:?}");
    }
}
