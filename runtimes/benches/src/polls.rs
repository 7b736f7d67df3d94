//! The longest poll of a call: how long a guest holds the thread of its executor.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use futures::executor::block_on;
use rangewatch_bench_harness::{Clock, Effort, Report, at_most, nanos, quantile};
use rangewatch_bus::{RangeWatchBus, Selector};
use rangewatch_runtime::{Emits, Guest, Limits, Module, Runtime, Val};
use rangewatch_wasi::Wasi;

use crate::engine::{ENGINES, metered};

/// The goal for each poll, in nanoseconds.
const GOAL: f64 = 5e6;

const N_SAMPLES: usize = 9;

/// A guest whose exports call one import so many times. The keys and ids are at 256 KiB.
const GUEST: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_reserve" (func $reserve))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (import "rangewatch_io" "input_read" (func $read (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 64)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\00\04\00\30\00\00\00\34\00\00\00\50\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\00\04\00\00\00\00\00\20\00\00\00\00\00\00\00")
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func (export "loop") (param $n i32)
        (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "flush") (param $n i32)
        (loop (call $flush)
            (i64.store (i32.const 64) (i64.add (i64.load (i32.const 64)) (i64.const 1)))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "reserve") (param $n i32)
        (loop (call $reserve) (if (i32.load (i32.const 60)) (then unreachable))
            (call $stop) (if (i32.load (i32.const 60)) (then unreachable))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "read") (local $n i32)
        (local.set $n (i32.const 100))
        (loop (drop (call $read (i32.const 262144) (i32.const 0) (i32.const 0x100000)))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "clock") (param $n i32)
        (loop (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 8)))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "write") (param $n i32)
        (i32.store (i32.const 0) (i32.const 262144))
        (i32.store (i32.const 4) (i32.const 524288))
        (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "random") (param $n i32)
        (loop (drop (call $random (i32.const 262144) (i32.const 524288)))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#;

const BUF: usize = 256 << 10;
const BUF_LEN: usize = 52;

/// A call whose polls are measured.
struct Row {
    name: &'static str,
    export: &'static str,
    n: i32,
    /// What the guest's buffer holds.
    buf: Vec<u8>,
    emits: Emits,
    /// The subscriptions that match each emit.
    n_matched: usize,
}

fn rows() -> Vec<Row> {
    // The largest flush: both limits are met.
    let keys: Vec<u8> = (0..Limits::DEFAULT_FLUSH_KEYS as u64)
        .flat_map(|n| {
            let mut key = [0; 16];
            key[1] = 14;
            key[8..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            key
        })
        .collect();
    let row = |name, export, n| Row {
        name,
        export,
        n,
        buf: Vec::new(),
        emits: Emits::Immediate,
        n_matched: 0,
    };
    vec![
        row("its own instructions", "loop", 1_000_000),
        Row {
            buf: keys.clone(),
            ..row("flushes of 16,384 keys of 14 bytes", "flush", 10)
        },
        Row {
            buf: keys,
            emits: Emits::Staged,
            ..row("the commit of 16,384 keys", "flush", 1)
        },
        Row {
            buf: vec![0, 0],
            n_matched: 16_384,
            ..row("flushes of a key that 16,384 watches match", "flush", 20)
        },
        Row {
            buf: vec![0; usize::from(u16::MAX)],
            ..row(
                "`reserve` and `stop` of ids of 65,535 bytes",
                "reserve",
                200,
            )
        },
        row("`input_read` of 1 MiB", "read", 0),
        row("`clock_time_get`", "clock", 20_000),
        row("`fd_write` of 512 KiB", "write", 50),
        row("`random_get` of 512 KiB", "random", 50),
    ]
}

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "The longest poll of a call, with the default limits and slices: how long a guest holds the \
         thread of its\nexecutor, in processor time. The call repeats what the row says; the median \
         of nine calls.\n",
    );
    let mut columns = vec!["a guest that repeats"];
    columns.extend(ENGINES);
    report.table(&columns);
    let wasm = wat::parse_str(GUEST).expect("the text is well formed");
    let modules = metered().map(|engine| load(&*engine, &wasm));
    for row in rows() {
        let mut cells = vec![row.name.to_owned()];
        for module in &modules {
            let mut samples: Vec<_> = (0..effort.samples(N_SAMPLES))
                .map(|_| longest_poll(module, &row))
                .collect();
            cells.push(at_most(quantile(&mut samples, 0.5), GOAL, nanos));
        }
        report.cells(&cells);
    }
}

fn load(engine: &dyn Runtime, wasm: &[u8]) -> Module {
    block_on(engine.load(wasm)).expect("the module is valid")
}

/// The longest poll of one call of a new guest, in nanoseconds.
fn longest_poll(module: &Module, row: &Row) -> f64 {
    let bus = RangeWatchBus::new();
    let subscriptions: Vec<_> = (0..row.n_matched)
        .map(|_| bus.subscribe(Selector::key("")).wake().expect("valid"))
        .collect();
    let builder = Guest::builder(module, &bus)
        .wasi(Wasi::builder().build().expect("nothing is configured"))
        .emits(row.emits);
    let guest = block_on(builder.instantiate()).expect("it needs nothing else");
    let mut session = block_on(guest.session()).expect("an instance");
    let memory = session.memory().expect("no call has failed");
    memory[BUF..][..row.buf.len()].copy_from_slice(&row.buf);
    memory[BUF_LEN..][..4].copy_from_slice(&(row.buf.len() as u32).to_le_bytes());
    let call = async {
        match row.export {
            "read" => drop(
                session
                    .call_bytes("read", vec![0; 1 << 20])
                    .await
                    .expect("no trap"),
            ),
            export => drop(
                session
                    .call(export, &[Val::I32(row.n)])
                    .await
                    .expect("no trap"),
            ),
        }
    };
    let mut call = pin!(call);
    let mut cx = Context::from_waker(Waker::noop());
    let (mut longest, mut polled) = (0.0, Poll::Pending);
    while polled.is_pending() {
        let time = Clock::Thread.time(|| polled = call.poll_unpin(&mut cx));
        longest = f64::max(longest, time.as_nanos() as f64);
    }
    drop(subscriptions);
    longest
}
