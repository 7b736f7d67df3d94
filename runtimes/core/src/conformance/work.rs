//! The work of the host, charged as fuel.

use std::fmt::Write;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use rangewatch_bus::{EventSet, KeyRange, RangeWatchBus, Selector, Seq};

use super::load;
use super::raw_guest::RawGuest;
use crate::abi::{AbiError, Outcome};
use crate::watches::notices::MAX_WORK;
use crate::{CallError, Emits, Guest, GuestBuilder, HostFunction, Limits, Runtime, TrapKind, Val};

const SLICE: u64 = Limits::DEFAULT_FUEL_SLICE;

/// A guest that calls an import again and again, and `test.tick` after each call. Its buffer of
/// 256 KiB is at 65536; `len` sets the number of bytes in it. They are zeros, except in ids.
const WORKER: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_reserve" (func $reserve))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (import "test" "tick" (func $tick))
    (import "test" "work" (func $work (param i64)))
    (import "test" "wait" (func $wait (param i64)))
    (memory (export "memory") 5)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\00\01\00\30\00\00\00\34\00\00\00\50\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\00\04\00\00\00\00\00\20\00\00\00\00\00\00\00")
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func (export "__range_watch_recv"))
    (func $len (export "len") (param $bytes i32) (i32.store (i32.const 52) (local.get $bytes)))
    (func $check (if (i32.load (i32.const 60)) (then unreachable)))
    (func (export "flush") (param $n i32)
        (loop (call $flush) (call $tick)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    ;; Emits the value of each turn.
    (func (export "emit") (param $n i32)
        (loop
            (i64.store (i32.const 64) (i64.extend_i32_u (local.get $n)))
            (call $flush)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    ;; A watch of the empty key, with an id of four bytes, from `reserve` to `stop`.
    (func (export "watch") (param $n i32)
        (i32.store16 (i32.const 65536) (i32.const 0x0400))
        (loop
            (call $len (i32.const 4))
            (call $reserve) (call $check) (call $tick)
            (call $stop) (call $check) (call $tick)
            (call $len (i32.const 10))
            (call $open) (call $check) (call $tick)
            (call $len (i32.const 4))
            (i32.store (i32.const 65536) (i32.const 0))
            (call $start) (call $check) (call $tick)
            (call $stop) (call $check) (call $tick)
            (i32.store16 (i32.const 65536) (i32.const 0x0400))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "work") (param $n i32) (param $units i64)
        (loop (call $work (local.get $units)) (call $tick)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "wait") (param $n i32) (param $units i64)
        (loop (call $wait (local.get $units)) (call $tick)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    ;; Each turn flushes so many times in a row, then runs a loop of its own.
    (func (export "flush_and_spin") (param $n i32) (param $flushes i32) (param $spins i32)
        (local $left i32)
        (loop $turn
            (call $flush)
            (if (i32.eq (local.get $flushes) (i32.const 2)) (then (call $flush)))
            (local.set $left (local.get $spins))
            (loop (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            (br_if $turn (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (call $tick))
    ;; Calls of an import with no branch between them.
    (func (export "flush_in_a_row") FLUSHES)
    (func (export "work_in_a_row") (param $units i64) WORKS))"#;

/// A guest whose export `flush` flushes 4,096 empty keys so many times, for the linker way.
pub const FLUSHER: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (memory (export "memory") 2)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\00\01\00\30\00\00\00\34\00\00\00\50\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\20\00\00\00\20\00\00\20\00\00\00\00\00\00\00")
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func (export "flush") (param $n i32)
        (loop (call $flush)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#;

/// Calls in a row.
const N_IN_A_ROW: u64 = 30;

/// The fuel that a call had left at its last tick.
pub(super) type FuelLeft = Arc<AtomicU64>;

async fn worker(
    runtime: &dyn Runtime,
    bus: &RangeWatchBus,
    configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
) -> (Guest, FuelLeft) {
    worker_of(runtime, WORKER, bus, configure).await
}

/// The worker with the imports of generation 2: what it flushes is queued before.
fn worker_2() -> String {
    let import = |name: &str| {
        format!("(import \"pantopic/wazero-range-watch\" \"__range_watch_{name}\" (func ${name}))")
    };
    WORKER
        .replace("(call $flush)", "(call $queue) (call $flush)")
        .replace(&import("flush"), &(import("queue") + &import("flush")))
        .replace("pantopic/wazero-range-watch", "pantopic/ext-range-watch")
}

async fn worker_of(
    runtime: &dyn Runtime,
    text: &str,
    bus: &RangeWatchBus,
    configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
) -> (Guest, FuelLeft) {
    let repeat = |text: &str| text.repeat(N_IN_A_ROW as usize);
    let text = text
        .replace("FLUSHES", &repeat("(call $flush)"))
        .replace("WORKS", &repeat("(call $work (local.get $units))"));
    let module = load(runtime, &text).await;
    let left = FuelLeft::default();
    let at_tick = left.clone();
    let builder = Guest::builder(&module, bus)
        .host_function("test", "tick", move |cx, ()| {
            let left = cx.fuel_left().ok_or("the engine counts fuel")?;
            at_tick.store(left, Ordering::Relaxed);
            Ok(())
        })
        .host_function("test", "work", |cx, units: u64| Ok(cx.charge(units)?))
        .host_function_async_cx("test", "wait", |cx, units: u64| {
            Box::pin(async move { Ok(cx.charge(units)?) })
        });
    let guest = configure(builder).instantiate().await;
    (guest.expect("the guest of the scenario starts"), left)
}

/// Polls a call to its end, and calls `after` after each poll.
pub(super) fn run_polls(
    guest: &Guest,
    export: &str,
    args: &[Val],
    mut after: impl FnMut(),
) -> Result<Vec<Val>, CallError> {
    let mut call = pin!(guest.call(export, args));
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let polled = call.as_mut().poll(&mut cx);
        after();
        if let Poll::Ready(results) = polled {
            return results;
        }
    }
}

/// The longest poll of a call, in units. A unit that a poll uses after its last tick counts for the
/// next one, so that this can exceed the truth by what one import costs.
pub(super) fn longest_poll(guest: &Guest, left: &FuelLeft, export: &str, args: &[Val]) -> u64 {
    let (mut before, mut longest) = (u64::MAX, 0);
    left.store(u64::MAX, Ordering::Relaxed);
    let results = run_polls(guest, export, args, || {
        let left = left.load(Ordering::Relaxed);
        longest = longest.max(before - left);
        before = left;
    });
    results.expect("there is enough fuel");
    assert!(u64::MAX - before > 10 * SLICE, "the call is long: {before}");
    longest
}

/// No poll of a guest that calls one import in a loop runs two slices, whatever the import costs.
pub async fn g37_a_poll_runs_less_than_two_slices(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let (guest, left) = worker(runtime, &bus, |builder| builder).await;
    super::call(&guest, "len", &[Val::I32(2)]).await;
    let mut report = String::new();
    let cheap = Outcome::flush_work(2, 1, 1).max(Outcome::verb_work(10));
    for (export, args, cost) in [
        ("flush", vec![Val::I32(20_000)], cheap),
        ("watch", vec![Val::I32(2_000)], cheap),
        ("work", vec![Val::I32(20_000), Val::I64(0)], 0),
        ("work", vec![Val::I32(2_000), Val::I64(5_000)], 5_000),
        ("work", vec![Val::I32(50), Val::I64(99_000)], 99_000),
        ("wait", vec![Val::I32(20_000), Val::I64(0)], 0),
        ("wait", vec![Val::I32(50), Val::I64(99_000)], 99_000),
    ] {
        let longest = longest_poll(&guest, &left, export, &args);
        // Two host functions and some instructions of the guest.
        let cost = cost + 2 * HostFunction::UNITS_PER_CALL + 100;
        if longest > 2 * SLICE + cost {
            writeln!(report, "{export} {args:?}: {longest}").expect("a string grows");
        }
    }
    assert_eq!(report, "");
}

/// The most that one flush can cost by default takes nearly a slice: two of them are a poll, also
/// where no branch of the guest lies between them.
pub async fn g37_a_poll_runs_at_most_two_of_the_largest_flushes(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let seq = || bus.last_seq().map_or(0, u64::from);
    let (guest, _) = worker(runtime, &bus, |builder| builder).await;
    let n_bytes = 2 * Limits::DEFAULT_FLUSH_KEYS;
    super::call(&guest, "len", &[Val::I32(n_bytes as i32)]).await;
    let units = Outcome::flush_work(n_bytes, Limits::DEFAULT_FLUSH_KEYS, 0);
    assert!(units <= SLICE && 3 * units > 2 * SLICE);
    for (export, args) in [("flush", vec![Val::I32(30)]), ("flush_in_a_row", vec![])] {
        let (mut before, mut most) = (seq(), 0);
        let results = run_polls(&guest, export, &args, || {
            most = most.max(seq() - before);
            before = seq();
        });
        results.expect("there is enough fuel");
        assert!((1..=2).contains(&most), "{export}: {most} in one poll");
    }
    assert_eq!(bus.last_seq().map(u64::from), Some(30 + N_IN_A_ROW));
}

/// As for generation 1: no poll runs two slices, and the largest lists take one to queue and one to
/// flush.
pub async fn g37_a_poll_of_generation_2_runs_less_than_two_slices(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let (guest, left) = worker_of(runtime, &worker_2(), &bus, |builder| builder).await;
    super::call(&guest, "len", &[Val::I32(2)]).await;
    // What a turn costs beside the import that ends the slice.
    let cost = 2 * Outcome::flush_work(2, 1, 1).max(Outcome::verb_work(10));
    for export in ["flush", "watch"] {
        let longest = longest_poll(&guest, &left, export, &[Val::I32(10_000)]);
        let most = 2 * SLICE + cost + 2 * HostFunction::UNITS_PER_CALL + 100;
        assert!(longest <= most, "{export}: {longest}");
    }
    let n_bytes = 2 * Limits::DEFAULT_FLUSH_KEYS;
    super::call(&guest, "len", &[Val::I32(n_bytes as i32)]).await;
    let seq = || bus.last_seq().map_or(0, u64::from);
    let (mut before, mut most) = (seq(), 0);
    let results = run_polls(&guest, "flush", &[Val::I32(30)], || {
        most = most.max(seq() - before);
        before = seq();
    });
    results.expect("there is enough fuel");
    assert_eq!(most, 1, "emits in one poll");
}

/// The delivery of a batch is work for the guest, which its callback pays for: three emits of a
/// thousand keys take more than 10,000 units, two do not.
pub async fn g37_a_callback_pays_for_its_batch(runtime: &dyn Runtime) {
    const FUEL: u64 = 10_000;
    let emit = Outcome::notice_work(1_000, 1);
    assert!(2 * emit + 1_500 < FUEL && FUEL < 3 * emit);
    let n_keys: Vec<_> = (0..1_000).map(|i| format!("k{i}")).collect();
    for n_emits in [2, 3] {
        let raw = receiver(runtime, Limits::default().fuel_per_call(FUEL)).await;
        raw.follow("w", "k", "l").await;
        for value in 1..=n_emits {
            raw.bus.emit(value, &n_keys).expect("the bus is open");
        }
        if n_emits == 2 {
            assert_eq!(raw.drive().await, ["1:w 2:w"]);
            assert!(raw.errors().is_empty());
        } else {
            let driven = raw.guest.drive_until_idle().await;
            driven.expect_err("its instance is gone");
            let errors = raw.errors();
            assert!(errors[0].contains("out of fuel"), "{errors:?}");
        }
    }
    // So much that a delivery is split: what one resolves is less than a slice.
    let raw = receiver(runtime, Limits::default()).await;
    raw.follow("w", "k", "l").await;
    for value in 1..=100 {
        raw.bus.emit(value, &n_keys).expect("the bus is open");
    }
    let log = raw.drive().await;
    let most = MAX_WORK / emit + 1;
    assert!(log.len() as u64 >= 100 / most, "{log:?}");
}

async fn receiver(runtime: &dyn Runtime, limits: Limits) -> RawGuest {
    RawGuest::gen2_on(runtime, &RangeWatchBus::new(), |builder| {
        builder.limits(limits)
    })
    .await
}

/// An emit is charged for each watch that it matches, also for those of one owner, which are one
/// subscription.
pub async fn g37_an_emit_is_charged_for_the_watches_of_an_owner(runtime: &dyn Runtime) {
    const N_WATCHES: u32 = 5_000;
    let bus = RangeWatchBus::new();
    let (guest, left) = worker_of(runtime, &worker_2(), &bus, |builder| builder).await;
    let mut set = EventSet::new(&bus, 10, 1 << 20).expect("the bus is open");
    for watch in 0..N_WATCHES {
        set.insert(watch, KeyRange::key(""))
            .expect("the bus is open");
    }
    super::call(&guest, "len", &[Val::I32(2)]).await;
    super::call(&guest, "flush", &[Val::I32(1)]).await;
    let used = u64::MAX - left.load(Ordering::Relaxed);
    let matches = u64::from(N_WATCHES) * Outcome::UNITS_PER_MATCH;
    assert!(used > matches, "{used} units");
}

/// Work and instructions of the guest count together, in whatever order they come.
pub async fn g37_work_and_instructions_share_a_slice(runtime: &dyn Runtime) {
    // A turn of the loop is some units of fuel, a different number on each engine.
    const N_TURNS: u64 = 20;
    let bus = RangeWatchBus::new();
    let seq = || bus.last_seq().map_or(0, u64::from);
    let (guest, left) = worker(runtime, &bus, |builder| builder).await;
    let spin = [Val::I32(1), Val::I32(1), Val::I32(1_000)];
    super::call(&guest, "flush_and_spin", &spin).await;
    let per_turn = (u64::MAX - left.load(Ordering::Relaxed)) / 1_000;
    let n_bytes = 2 * Limits::DEFAULT_FLUSH_KEYS;
    super::call(&guest, "len", &[Val::I32(n_bytes as i32)]).await;
    for (n_flushes, spin_units, most_flushes) in [(1, 60_000, 1), (2, 90_000, 2)] {
        let spins = spin_units / per_turn;
        let args = [N_TURNS, n_flushes, spins].map(|arg| Val::I32(arg as i32));
        let (mut before, mut most, mut n_polls) = (seq(), 0, 0);
        let results = run_polls(&guest, "flush_and_spin", &args, || {
            most = most.max(seq() - before);
            before = seq();
            n_polls += 1;
        });
        results.expect("there is enough fuel");
        assert!(most <= most_flushes, "{most} flushes in one poll");
        let units = u64::MAX - left.load(Ordering::Relaxed);
        assert!(
            n_polls * 2 * SLICE >= units,
            "{units} units in {n_polls} polls"
        );
    }
}

/// Synchronous host functions yield too where no branch of the guest lies between them.
pub async fn g37_host_functions_in_a_row_yield(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let (guest, _) = worker(runtime, &bus, |builder| builder).await;
    let mut n_polls = 0;
    let args = [Val::I64(99_000)];
    let results = run_polls(&guest, "work_in_a_row", &args, || n_polls += 1);
    results.expect("there is enough fuel");
    assert!(n_polls >= N_IN_A_ROW / 2, "{n_polls} polls");
}

/// The work of the host counts for the fuel of a call, on every engine the same.
pub async fn g37_work_uses_the_fuel_of_a_call(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let limits = Limits::default().fuel_per_call(1_000_000);
    let n_bytes = 2 * Limits::DEFAULT_FLUSH_KEYS as i32;
    for (export, args, max_emits) in [
        ("flush", vec![Val::I32(1_000)], 15),
        ("work", vec![Val::I32(11), Val::I64(99_000)], 0),
        ("wait", vec![Val::I32(11), Val::I64(99_000)], 0),
        ("work", vec![Val::I32(1), Val::I64(-1)], 0),
    ] {
        let before = bus.last_seq().map_or(0, u64::from);
        let (guest, _) = worker(runtime, &bus, |builder| builder.limits(limits.clone())).await;
        super::call(&guest, "len", &[Val::I32(n_bytes)]).await;
        let error = guest.call(export, &args).await;
        let Err(CallError::Trap {
            kind: TrapKind::OutOfFuel,
            ..
        }) = error
        else {
            panic!("{export} {args:?}: {error:?}");
        };
        let n_emits = bus.last_seq().map_or(0, u64::from) - before;
        assert!(n_emits <= max_emits, "{export}: {n_emits} emits");
    }
    let (guest, left) = worker(runtime, &bus, |builder| builder.limits(limits)).await;
    super::call(&guest, "work", &[Val::I32(9), Val::I64(99_000)]).await;
    let left = left.load(Ordering::Relaxed);
    assert!(left <= 1_000_000 - 9 * 99_000, "{left} units are left");
}

/// What the staged emits of a call match is bounded, so that a guest cannot hold the lock of the
/// bus: 300 emits to 300 watches of its own are 90,000.
pub async fn g37_the_matches_of_a_commit_are_bounded(runtime: &dyn Runtime) {
    const N: usize = 300;
    let bus = RangeWatchBus::new();
    let _subs: Vec<_> = (0..N)
        .map(|_| bus.subscribe(Selector::key("")).wake())
        .collect();
    for (n_emits, is_refused) in [(Limits::DEFAULT_STAGED_MATCHES / N, false), (N, true)] {
        let (guest, _) = worker(runtime, &bus, |builder| builder.emits(Emits::Staged)).await;
        super::call(&guest, "len", &[Val::I32(2)]).await;
        let before = bus.last_seq();
        let result = guest.call("emit", &[Val::I32(n_emits as i32)]).await;
        assert_eq!(
            bus.last_seq().map(Seq::into),
            if is_refused {
                before.map(Seq::into)
            } else {
                Some(n_emits as u64)
            }
        );
        match result {
            Ok(_) => assert!(!is_refused),
            Err(CallError::Refused { source, .. }) => assert_eq!(
                source,
                AbiError::StagedTooManyMatches {
                    max_matches: Limits::DEFAULT_STAGED_MATCHES
                }
            ),
            Err(error) => panic!("{error}"),
        }
    }
}
