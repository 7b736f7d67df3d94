//! Pumps on the threads of an executor, beside emitters on other threads.

use std::sync::Arc;

use integration_tests::guests;
use rangewatch::runtime::Session;
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

/// The requests of all clients together. The variable `RANGEWATCH_CASES` sets another number.
const DEFAULT_REQUESTS: usize = 5_000;

/// Each request is a session: a change and a reading of it, one of them as bytes and the other
/// through the memory of the guest. No request is lost, and no change either.
async fn g12_sessions_beside_a_pump_lose_no_request(runtime: Arc<dyn Runtime>) {
    const CLIENTS: usize = 4;
    let n_requests = std::env::var("RANGEWATCH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(DEFAULT_REQUESTS);
    let bus = RangeWatchBus::new();
    let mut changes = bus.subscribe(Selector::all()).wake().expect("valid");
    let module = runtime.load(guests::STATE_MACHINE).await.expect("it loads");
    let guest = Guest::builder(&module, &bus).instantiate().await;
    let guest = Arc::new(guest.expect("it starts"));
    guest.call("follow", &[]).await.expect("no trap");
    let pump = tokio::spawn(guest.pump());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let guest = guest.clone();
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for n in (client..n_requests).step_by(CLIENTS) {
                    revisions.push(request(&guest, n).await);
                }
                assert!(revisions.is_sorted(), "{revisions:?}");
                revisions
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for client in clients {
        revisions.extend(client.await.expect("no panic"));
    }
    revisions.sort_unstable();
    assert!(revisions.into_iter().eq(1..=n_requests));
    let span = changes.recv().await.expect("the bus is open");
    let n_changes = n_requests as u64;
    assert_eq!((span.first(), span.last()), (1, n_changes));
    assert_eq!(span.count(), n_changes);
    // The pump may still be running the last callback.
    let all_found = format!("count job/: {n_requests}");
    while apply(
        &mut guest.session().await.expect("an instance"),
        "count job/",
    )
    .await
        != all_found
    {
        tokio::task::yield_now().await;
    }
    drop(guest);
    pump.await
        .expect("no panic")
        .expect("the pump ends with its guest");
}

/// One request. Returns the revision of its change.
async fn request(guest: &Guest, n: usize) -> usize {
    let mut session = guest.session().await.expect("an instance");
    let (put, get) = (format!("put job/{n} {n}"), format!("get job/{n}"));
    let (changed, read) = match n % 2 {
        0 => (
            apply(&mut session, &put).await,
            apply_in_memory(&mut session, &get).await,
        ),
        _ => (
            apply_in_memory(&mut session, &put).await,
            apply(&mut session, &get).await,
        ),
    };
    assert_eq!(read, format!("{changed}: {n}").replacen("put", "get", 1));
    let revision = changed.strip_prefix(&format!("put job/{n} at "));
    revision
        .and_then(|revision| revision.parse().ok())
        .unwrap_or_else(|| panic!("request {n} got the answer `{changed}`"))
}

async fn apply(session: &mut Session, command: &str) -> String {
    let answer = session.call_bytes("apply", command).await;
    String::from_utf8(answer.expect("no trap")).expect("UTF-8")
}

/// As [`apply`], with calls that take numbers and a buffer in the memory of the guest.
async fn apply_in_memory(session: &mut Session, command: &str) -> String {
    let [Val::I32(mailbox)] = session.call("mailbox", &[]).await.expect("no trap")[..] else {
        panic!("`mailbox` returns an address");
    };
    let mailbox = mailbox as u32 as usize;
    let memory = session.memory().expect("the instance is there");
    memory[mailbox..][..command.len()].copy_from_slice(command.as_bytes());
    let args = [Val::I32(command.len() as i32)];
    let results = session.call("apply_mailbox", &args).await;
    let [Val::I32(n_bytes)] = results.expect("no trap")[..] else {
        panic!("`apply_mailbox` returns a length");
    };
    let memory = session.memory().expect("the instance is there");
    let answer = &memory[mailbox..][..n_bytes as usize];
    String::from_utf8(answer.to_vec()).expect("UTF-8")
}

fn on_threads(scenario: impl Future<Output = ()>) {
    let executor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("threads");
    executor.block_on(scenario);
}

/// Makes tests of scenarios: one per backend that is compiled in.
macro_rules! on_threads_and_each_backend {
    ($($name:ident,)*) => {$(
        mod $name {
            use std::sync::Arc;

            use integration_tests::within_deadline;

            #[cfg(feature = "wasmi")]
            #[test]
            fn wasmi() {
                let runtime = Arc::new(rangewatch::Wasmi::new());
                within_deadline(|| super::on_threads(super::$name(runtime)));
            }

            #[cfg(feature = "wasmtime")]
            #[test]
            fn wasmtime() {
                let runtime = Arc::new(rangewatch::Wasmtime::new());
                within_deadline(|| super::on_threads(super::$name(runtime)));
            }
        }
    )*};
}

on_threads_and_each_backend! {
    g12_a_pump_on_another_thread_misses_no_wake_up,
    g12_sessions_beside_a_pump_lose_no_request,
}
