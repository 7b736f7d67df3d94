//! A hundred hostile guests beside ten good ones, all on one thread.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use rangewatch::runtime::Session;
use rangewatch::{Guest, Limits, Module, RangeWatchBus, Runtime, Val, Wasi};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

/// The guest of this scenario, good and hostile: `be` says how it ends its calls and callbacks.
const GUEST: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "test" "seen" (func $seen (param i64)))
    (memory (export "memory") 1)
    (global $be (mut i32) (i32.const 0))
    (global $calls (mut i64) (i64.const 0))
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\00\50\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\40\00\00\00\00\00\00\00\04\00\00\00\00\00\00")
    (func (export "__range_watch") (result i32) i32.const 16)
    (func (export "be") (param i32) (global.set $be (local.get 0)))
    (func (export "open") call $open)
    (func (export "start") call $start)
    (func (export "act") (result i64)
        (call $misbehave)
        (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
        (global.get $calls))
    (func (export "__range_watch_recv")
        (call $seen (i64.load (i32.const 64)))
        (call $misbehave))
    (func $misbehave
        (if (i32.eq (global.get $be) (i32.const 1)) (then (loop (br 0))))
        (if (i32.eq (global.get $be) (i32.const 2)) (then unreachable))
        ;; An error text that is longer than its buffer, and a key list that is cut short.
        (if (i32.eq (global.get $be) (i32.const 3)) (then
            (i32.store (i32.const 60) (i32.const -1))
            (i32.store (i32.const 52) (i32.const 1))
            (call $flush)))
        ;; Emits of 5,461 keys of one zero byte, into its own range.
        (if (i32.eq (global.get $be) (i32.const 4)) (then
            (i32.store (i32.const 52) (i32.const 16383))
            (loop $flood
                (i64.store (i32.const 64) (i64.add (i64.load (i32.const 64)) (i64.const 1)))
                (call $flush)
                (br $flood))))
        (if (i32.eq (global.get $be) (i32.const 5)) (then (call $exit (i32.const 1))))
        (if (i32.eq (global.get $be) (i32.const 6)) (then (call $exit (i32.const 0))))
        ;; Takes all memory that it gets, and ends its own watch.
        (if (i32.eq (global.get $be) (i32.const 7)) (then
            (loop $grow (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
            (memory.fill (i32.const 65536) (i32.const 1)
                (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 65536)))
            (call $stop)
            (unreachable)))))"#;

const BUF: usize = 256;
const BUF_LEN: usize = 52;

/// How a guest is hostile: loop, trap, lie, flood, exit, exit with success, take memory.
const WAYS: std::ops::RangeInclusive<i32> = 1..=7;
const N_HOSTILE: usize = 100;
const N_GOOD: usize = 10;

/// The polls of hostile tasks between an emit and its delivery to a good guest, or between the
/// beginning and the return of a call of one. Each hostile guest has two tasks, and none may be
/// polled three times while a good guest waits. Each poll is at most two slices of fuel, which
/// tests of `g37` and `g33` hold.
const MAX_POLLS_BETWEEN: usize = 2 * 2 * N_HOSTILE;

const FUEL_SLICE: u64 = 5_000;

/// The rounds of a run; the variable `RANGEWATCH_CROWD_SECONDS` asks for more.
const MIN_ROUNDS: u64 = 30;

/// A key list.
fn list(keys: &[&[u8]]) -> Vec<u8> {
    let mut list = Vec::new();
    for key in keys {
        let len = u16::try_from(key.len()).expect("a short key");
        list.extend(len.to_be_bytes());
        list.extend(*key);
    }
    list
}

/// Opens and starts the watch `w` of a range.
async fn follow(session: &mut Session, from: &[u8], to: &[u8]) {
    for (verb, buf) in [("open", list(&[b"w", from, to])), ("start", b"w".to_vec())] {
        let memory = session.memory().expect("the instance is there");
        memory[BUF..][..buf.len()].copy_from_slice(&buf);
        memory[BUF_LEN..][..4].copy_from_slice(&(buf.len() as u32).to_le_bytes());
        session.call(verb, &[]).await.expect("no trap");
    }
}

/// Counts the polls of a hostile task.
struct Counted<F> {
    future: Pin<Box<F>>,
    polls: Arc<AtomicUsize>,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.future.poll_unpin(cx)
    }
}

/// The memory of this process, in bytes; 0 on systems that have no such file.
fn resident_bytes() -> usize {
    let Ok(text) = std::fs::read_to_string("/proc/self/statm") else {
        return 0;
    };
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    4096 * pages.unwrap_or(0_usize)
}

/// A guest that is hostile in calls and callbacks. Its instances are lost all the time.
async fn hostile(module: &Module, bus: &RangeWatchBus, way: i32) -> Guest {
    let builder = Guest::builder(module, bus)
        .limits(
            Limits::default()
                .fuel_slice(FUEL_SLICE)
                .fuel_per_call(10 * FUEL_SLICE)
                .memory_bytes(8 << 16),
        )
        .wasi_with(|| Ok(Wasi::builder().build()?))
        .host_function("test", "seen", |_cx, _value: i64| Ok(()))
        .on_callback_error(|_error| {})
        .pool(1, 1)
        .on_instance(move |session| {
            async move {
                // The watch is still there, unless it was stopped.
                follow(session, b"", b"\xff").await;
                session.call("be", &[Val::I32(way)]).await?;
                // The keys of a flood.
                session.memory()?[BUF..][..16_383]
                    .as_chunks_mut::<3>()
                    .0
                    .fill([0, 1, 0]);
                Ok(())
            }
            .boxed()
        });
    builder.instantiate().await.expect("it starts")
}

/// A delivery to a good guest.
struct Seen {
    guest: usize,
    value: i64,
    polls: usize,
}

async fn crowd(runtime: Arc<dyn Runtime>) {
    let seconds = std::env::var("RANGEWATCH_CROWD_SECONDS");
    let seconds = seconds.ok().and_then(|seconds| seconds.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let bus = RangeWatchBus::new();
    let hostile_bus = RangeWatchBus::new();
    let wasm = wat::parse_str(GUEST).expect("the text is well formed");
    let module = runtime.load(&wasm).await.expect("it loads");
    let polls = Arc::new(AtomicUsize::new(0));
    let (seen, mut all_seen) = unbounded_channel();
    let mut good = Vec::new();
    for number in 0..N_GOOD {
        let (seen, polls) = (seen.clone(), polls.clone());
        let builder = Guest::builder(&module, &bus)
            .limits(Limits::default().fuel_slice(FUEL_SLICE))
            .wasi(Wasi::builder().build().expect("nothing can fail"))
            .host_function("test", "seen", move |_cx, value: i64| {
                let polls = polls.load(Ordering::Relaxed);
                seen.send(Seen {
                    guest: number,
                    value,
                    polls,
                })?;
                Ok(())
            });
        let guest = builder.instantiate().await.expect("it starts");
        let key = [b"good/", &[number as u8][..]].concat();
        follow(&mut guest.session().await.expect("one"), &key, b"").await;
        good.push((key, Arc::new(guest)));
    }
    let mut enemies = Vec::new();
    for (number, way) in (0..N_HOSTILE).zip(WAYS.cycle()) {
        // Half of them share the bus of the good ones.
        let bus = if number % 2 == 0 { &bus } else { &hostile_bus };
        enemies.push(Arc::new(hostile(&module, bus, way).await));
    }
    let tasks = LocalSet::new();
    for (_, guest) in &good {
        tasks.spawn_local(guest.pump());
    }
    for guest in &enemies {
        tasks.spawn_local(Counted {
            future: Box::pin(guest.pump()),
            polls: polls.clone(),
        });
        let guest = guest.clone();
        let future = async move {
            loop {
                // Each way but the last exit loses the instance.
                let _ = guest.call("act", &[]).await;
                tokio::task::yield_now().await;
            }
        };
        tasks.spawn_local(Counted {
            future: Box::pin(future),
            polls: polls.clone(),
        });
    }
    let n_rounds = tasks
        .run_until(rounds(
            until,
            [&bus, &hostile_bus],
            &good,
            &polls,
            &mut all_seen,
        ))
        .await;
    assert!(n_rounds >= MIN_ROUNDS);
    assert!(all_seen.try_recv().is_err(), "a delivery is repeated");
    drop(tasks);
    drop((good, enemies));
    assert_eq!(bus.n_subscriptions() + hostile_bus.n_subscriptions(), 0);
}

#[expect(clippy::print_stderr, reason = "the figures of a long run")]
fn report(figures: &str) {
    eprintln!("{figures}");
}

/// Emits to each good guest and to all hostile ones, calls each good guest, and waits for all
/// deliveries and returns, until it is time. Returns the number of rounds.
async fn rounds(
    until: Instant,
    [bus, hostile_bus]: [&RangeWatchBus; 2],
    good: &[(Vec<u8>, Arc<Guest>)],
    polls: &Arc<AtomicUsize>,
    all_seen: &mut UnboundedReceiver<Seen>,
) -> u64 {
    let mut warm_bytes = 0;
    let mut latest = 0;
    let mut most_bytes = 0;
    for round in 1.. {
        let value = round;
        let before = polls.load(Ordering::Relaxed);
        let keys: Vec<_> = good.iter().map(|(key, _)| key).collect();
        bus.emit(value, &keys).expect("the bus is open");
        hostile_bus
            .emit(value, ["hostile"])
            .expect("the bus is open");
        let calls = good.iter().map(async |(_, guest)| {
            let results = guest.call("act", &[]).await.expect("a good call returns");
            (results, polls.load(Ordering::Relaxed))
        });
        let calls = futures::future::join_all(calls).await;
        for (results, after) in calls {
            // No call was lost or made twice.
            assert_eq!(results, [Val::I64(value as i64)]);
            latest = latest.max(after - before);
        }
        let mut n_seen = [0; N_GOOD];
        for _ in 0..N_GOOD {
            let seen = all_seen.recv().await.expect("the guests are there");
            assert_eq!(seen.value, value as i64);
            n_seen[seen.guest] += 1;
            latest = latest.max(seen.polls - before);
        }
        assert_eq!(n_seen, [1; N_GOOD]);
        assert!(
            latest <= MAX_POLLS_BETWEEN,
            "a good guest waited for {latest} polls of hostile tasks"
        );
        let bytes = resident_bytes();
        if round <= MIN_ROUNDS / 2 {
            warm_bytes = warm_bytes.max(bytes);
        } else {
            most_bytes = most_bytes.max(bytes);
        }
        if round >= MIN_ROUNDS && Instant::now() >= until {
            let growth = most_bytes.saturating_sub(warm_bytes);
            report(&format!(
                "{round} rounds, {} polls of hostile tasks, the latest delivery after {latest} of \
                 them; {} MiB, {} KiB more at the end",
                polls.load(Ordering::Relaxed),
                warm_bytes >> 20,
                growth >> 10,
            ));
            assert!(growth < 32 << 20, "the process grew by {growth} bytes");
            return round;
        }
    }
    unreachable!("the rounds do not end by themselves")
}

macro_rules! on_each_engine {
    ($($feature:literal $name:ident: $engine:expr;)*) => {$(
        #[cfg(feature = $feature)]
        #[test]
        fn $name() {
            let executor = tokio::runtime::Builder::new_current_thread().build();
            executor.expect("a thread is enough").block_on(crowd(Arc::new($engine)));
        }
    )*};
}

on_each_engine! {
    "wasmi" g30_good_guests_on_wasmi_do_not_notice_hostile_ones: rangewatch::Wasmi::new();
    "wasmtime" g30_good_guests_on_wasmtime_do_not_notice_hostile_ones: rangewatch::Wasmtime::new();
}
