//! A guest that a script drives through every state of a watch.
//!
//! Ids are small numbers, `w<n>` to the host. Every verb returns one of the [`codes`].
//! What the handler receives is recorded on the instance that it runs on; what it does beyond that
//! is set with [`set_mode`].

use std::cell::{Cell, RefCell};

use codes::code;
use rangewatch_guest::{self as watch, Selector};

/// What the handler does after it has recorded the delivery.
pub mod modes {
    /// Nothing.
    pub const NOTHING: i32 = 0;
    /// Emits `test-100` with the value plus one, in the next `arg` deliveries only.
    pub const EMIT: i32 = 1;
    /// Stops the watch that it is called for.
    pub const STOP_ITSELF: i32 = 2;
    /// Stops the watch `arg`.
    pub const STOP_OTHER: i32 = 3;
    /// Reserves, opens (as [`open`](super::open)) and starts the watch `arg`.
    pub const START_ANOTHER: i32 = 4;
    /// Reports the error `the watcher fails on purpose`.
    pub const FAIL: i32 = 5;
    /// Traps.
    pub const TRAP: i32 = 6;
    /// Never returns.
    pub const SPIN: i32 = 7;
    /// Has a verb fail (starts a watch that does not exist) and reports no error.
    pub const FAIL_INSIDE: i32 = 8;
    /// Reports an error of `arg` bytes, all `e`.
    pub const FAIL_LONG: i32 = 9;
    /// Panics with the text `the watcher panics on purpose`.
    pub const PANIC: i32 = 10;
}

thread_local! {
    static RECEIVED: RefCell<Vec<(i32, u64)>> = const { RefCell::new(Vec::new()) };
    static MODE: Cell<(i32, i32)> = const { Cell::new((modes::NOTHING, 0)) };
    static LAST_CODE: Cell<i32> = const { Cell::new(codes::OK) };
}

/// Registers the handler; a host calls it once on every instance.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    register();
}

/// Registers the handler, which succeeds once per instance and then returns
/// [`codes::HANDLER_EXISTS`].
#[unsafe(no_mangle)]
pub extern "C" fn register() -> i32 {
    code(watch::try_receive(on_delivery))
}

/// Reserves the id.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(id: i32) -> i32 {
    code(watch::reserve(name(id)))
}

/// Opens the range `test-100` to `test-300`.
#[unsafe(no_mangle)]
pub extern "C" fn open(id: i32) -> i32 {
    open_range(id, 100, 300)
}

/// Opens the range `test-<from>` to `test-<to>`, with at least three digits each.
#[unsafe(no_mangle)]
pub extern "C" fn open_range(id: i32, from: u32, to: u32) -> i32 {
    code(watch::open(name(id), key(from)..key(to)))
}

/// Opens exactly the key `test-<n>`.
#[unsafe(no_mangle)]
pub extern "C" fn open_key(id: i32, n: u32) -> i32 {
    code(watch::open(name(id), Selector::key(key(n))))
}

/// Opens every key that begins with `test-`.
#[unsafe(no_mangle)]
pub extern "C" fn open_prefix(id: i32) -> i32 {
    code(watch::open(name(id), Selector::prefix("test-")))
}

/// Opens exactly the empty key.
#[unsafe(no_mangle)]
pub extern "C" fn open_empty_key(id: i32) -> i32 {
    code(watch::open(name(id), Selector::key("")))
}

/// Opens every key; the SDK returns [`codes::UNBOUNDED`].
#[unsafe(no_mangle)]
pub extern "C" fn open_all(id: i32) -> i32 {
    code(watch::open(name(id), Selector::All))
}

/// Opens the single key `b` under an id of `n_bytes` bytes, all `i`; at most 16377 fit.
#[unsafe(no_mangle)]
pub extern "C" fn open_big(n_bytes: u32) -> i32 {
    code(watch::open(
        vec![b'i'; n_bytes as usize],
        Selector::key("b"),
    ))
}

/// Starts the watch.
#[unsafe(no_mangle)]
pub extern "C" fn start(id: i32) -> i32 {
    code(watch::start(name(id)))
}

/// Stops the watch.
#[unsafe(no_mangle)]
pub extern "C" fn stop(id: i32) -> i32 {
    code(watch::stop(name(id)))
}

/// Reserves, opens (as [`open`]) and starts the watch; the first error ends it.
#[unsafe(no_mangle)]
pub extern "C" fn follow(id: i32) -> i32 {
    for verb in [reserve, open, start] {
        let code = verb(id);
        if code != codes::OK {
            return code;
        }
    }
    codes::OK
}

/// Emits `test-<n>`, so that one guest can do both.
#[unsafe(no_mangle)]
pub extern "C" fn emit(value: u64, n: u32) -> i32 {
    code(watch::emit(value, [key(n)]))
}

/// Emits `test-<first>` and the keys with 100 and 200 more, with the same value, `n` times.
#[unsafe(no_mangle)]
pub extern "C" fn emit_loop(value: u64, n: u32, first: u32) -> i32 {
    let keys = [key(first), key(first + 100), key(first + 200)];
    for _ in 0..n {
        let code = code(watch::emit(value, &keys));
        if code != codes::OK {
            return code;
        }
    }
    codes::OK
}

/// Sets what the handler does on this instance from now on, one of [`modes`].
#[unsafe(no_mangle)]
pub extern "C" fn set_mode(mode: i32, arg: i32) {
    MODE.set((mode, arg));
}

/// How many deliveries this instance has had.
#[unsafe(no_mangle)]
pub extern "C" fn n_received() -> i64 {
    RECEIVED.with_borrow(|all| all.len() as i64)
}

/// The value of the last delivery, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn last_value() -> i64 {
    received_value(n_received() as i32 - 1)
}

/// The id of the delivery with this index, from 0, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn received_id(index: i32) -> i32 {
    received(index).map_or(-1, |(id, _)| id)
}

/// The value of the delivery with this index, from 0, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn received_value(index: i32) -> i64 {
    received(index).map_or(-1, |(_, value)| value as i64)
}

/// What the verbs of the last mode that called one returned inside the handler.
#[unsafe(no_mangle)]
pub extern "C" fn last_code() -> i32 {
    LAST_CODE.get()
}

/// Forgets the deliveries.
#[unsafe(no_mangle)]
pub extern "C" fn clear() {
    RECEIVED.with_borrow_mut(Vec::clear);
}

fn on_delivery(name: &[u8], value: u64) -> Result<(), String> {
    let id = number(name);
    RECEIVED.with_borrow_mut(|all| all.push((id, value)));
    let (mode, arg) = MODE.get();
    match mode {
        modes::EMIT if arg > 0 => {
            MODE.set((mode, arg - 1));
            LAST_CODE.set(emit(value.wrapping_add(1), 100));
        }
        modes::STOP_ITSELF => LAST_CODE.set(stop(id)),
        modes::STOP_OTHER => LAST_CODE.set(stop(arg)),
        modes::START_ANOTHER => LAST_CODE.set(follow(arg)),
        modes::FAIL => return Err("the watcher fails on purpose".into()),
        modes::TRAP => trap(),
        modes::SPIN => loop {
            std::hint::spin_loop();
        },
        modes::FAIL_INSIDE => LAST_CODE.set(code(watch::start("no such watch"))),
        modes::FAIL_LONG => return Err("e".repeat(arg.max(0) as usize)),
        modes::PANIC => panic!("the watcher panics on purpose"),
        _ => {}
    }
    Ok(())
}

#[cfg(target_arch = "wasm32")]
fn trap() {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn trap() {
    std::process::abort()
}

fn received(index: i32) -> Option<(i32, u64)> {
    RECEIVED.with_borrow(|all| all.get(usize::try_from(index).ok()?).copied())
}

fn name(id: i32) -> String {
    format!("w{id}")
}

/// The number of an id, or -1 for one that is not of this guest.
fn number(name: &[u8]) -> i32 {
    let digits = name
        .strip_prefix(b"w")
        .and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(-1)
}

fn key(n: u32) -> String {
    format!("test-{n:03}")
}
