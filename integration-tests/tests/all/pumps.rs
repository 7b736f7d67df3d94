//! Pumps on the threads of an executor, beside emitters on other threads.

use std::sync::Arc;

use integration_tests::{guests, within_deadline};
use rangewatch::{Guest, RangeWatchBus, Runtime, Selector, Val};

/// A guest watches what another guest emits, each on threads of the executor. No emit is missed,
/// whatever the interleaving of emits and callbacks.
async fn g12_a_pump_on_another_thread_misses_no_wake_up(runtime: Arc<dyn Runtime>) {
    let bus = RangeWatchBus::new();
    let watcher = runtime.load(guests::WATCHER).await.expect("it loads");
    let watcher = Guest::builder(&watcher, &bus)
        .instantiate()
        .await
        .expect("it starts");
    let emitter = runtime.load(guests::EMITTER).await.expect("it loads");
    let emitter = Guest::builder(&emitter, &bus)
        .instantiate()
        .await
        .expect("it starts");
    watcher
        .call("follow", &[Val::I32(1)])
        .await
        .expect("no trap");
    let mut all = bus.subscribe(Selector::all()).wake().expect("valid");
    let pump = tokio::spawn(watcher.pump());
    let emitting = tokio::spawn(async move {
        for revision in 1..=2_000 {
            emitter
                .call("apply", &[Val::I64(revision)])
                .await
                .expect("no trap");
        }
    });
    emitting.await.expect("no panic");
    let span = all.recv().await.expect("the bus is open");
    assert_eq!((span.first(), span.last(), span.count()), (1, 2_000, 2_000));
    // Waits for a delivery after each emit. A delivery may belong to an earlier emit, except the
    // last one.
    for value in 2_001..=2_200 {
        let before = read(&watcher, "n_received").await;
        bus.emit(value, ["test-100"]).expect("the bus is open");
        while read(&watcher, "n_received").await == before {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(read(&watcher, "last_value").await, 2_200);
    drop(watcher);
    pump.await
        .expect("no panic")
        .expect("the pump ends with its guest");
    assert_eq!(bus.n_subscriptions(), 1, "only ours is left");
}

async fn read(guest: &Guest, export: &str) -> i64 {
    match guest.call(export, &[]).await.expect("no trap")[..] {
        [Val::I64(value)] => value,
        ref other => panic!("{export} gave {other:?}"),
    }
}

fn run(runtime: Arc<dyn Runtime>) {
    let executor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("threads");
    executor.block_on(g12_a_pump_on_another_thread_misses_no_wake_up(runtime));
}

#[cfg(feature = "wasmi")]
#[test]
fn g12_a_pump_on_another_thread_misses_no_wake_up_on_wasmi() {
    within_deadline(|| run(Arc::new(rangewatch::Wasmi::new())));
}

#[cfg(feature = "wasmtime")]
#[test]
fn g12_a_pump_on_another_thread_misses_no_wake_up_on_wasmtime() {
    within_deadline(|| run(Arc::new(rangewatch::Wasmtime::new())));
}
