//! A guest of generation 2 that a script drives: queued emits, groups, and batches of notices.
//!
//! Ids, groups and keys are small numbers: `a`, `b`, .. are the ids, `A`, `B`, .. the groups, and
//! `ka`, `kb`, .. the keys. Every verb returns one of the [`codes`]. What the handler receives is
//! recorded on the instance that it runs on; what it does beyond that is set with [`set_mode`].

use std::cell::{Cell, RefCell};

use codes::code;
use rangewatch_guest::Selector;
use rangewatch_guest::gen2::{self as watch, Batch};

/// What the handler does after it has recorded the batch.
pub mod modes {
    /// Nothing.
    pub const NOTHING: i32 = 0;
    /// Queues `ka` with the value of the last notice plus one, and flushes, in the next `arg`
    /// batches only.
    pub const EMIT: i32 = 1;
    /// Stops the watch `arg`.
    pub const STOP: i32 = 2;
    /// Selects the group `arg`, and opens (as [`open`](super::open)) and starts the watch 0 there.
    pub const FOLLOW_IN_GROUP: i32 = 3;
    /// Reports the error `the guest fails on purpose`.
    pub const FAIL: i32 = 4;
    /// Has a verb fail (stops a group that does not exist) and reports no error.
    pub const FAIL_INSIDE: i32 = 5;
    /// Panics with the text `the guest panics on purpose`.
    pub const PANIC: i32 = 6;
}

thread_local! {
    static RECEIVED: RefCell<Vec<(u64, i32)>> = const { RefCell::new(Vec::new()) };
    static N_BATCHES: Cell<i32> = const { Cell::new(0) };
    static MODE: Cell<(i32, i32)> = const { Cell::new((modes::NOTHING, 0)) };
    static LAST_CODE: Cell<i32> = const { Cell::new(codes::OK) };
}

/// Registers the handler; a host calls it once on every instance.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    register();
}

/// Registers the handler, which succeeds once per instance.
#[unsafe(no_mangle)]
pub extern "C" fn register() -> i32 {
    code(watch::try_receive(on_batch))
}

/// Queues the key.
#[unsafe(no_mangle)]
pub extern "C" fn queue(value: u64, key: i32) -> i32 {
    code(watch::queue(value, [name("k", key)]))
}

/// Queues `n` keys of 1,000 bytes, all `k`.
#[unsafe(no_mangle)]
pub extern "C" fn queue_long(value: u64, n: u32) -> i32 {
    let key = [b'k'; 1_000];
    code(watch::queue(value, (0..n).map(|_| key)))
}

/// Emits what was queued.
#[unsafe(no_mangle)]
pub extern "C" fn flush() -> i32 {
    code(watch::flush())
}

/// Drops what was queued.
#[unsafe(no_mangle)]
pub extern "C" fn clear() -> i32 {
    code(watch::clear())
}

/// Reserves the id.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(id: i32) -> i32 {
    code(watch::reserve(name("", id)))
}

/// Opens every key that begins with `k`.
#[unsafe(no_mangle)]
pub extern "C" fn open(id: i32) -> i32 {
    code(watch::open(name("", id), Selector::prefix("k")))
}

/// Opens exactly the key.
#[unsafe(no_mangle)]
pub extern "C" fn open_key(id: i32, key: i32) -> i32 {
    let key = Selector::key(name("k", key));
    code(watch::open(name("", id), key))
}

/// Opens the keys from one, inclusive, to another, exclusive.
#[unsafe(no_mangle)]
pub extern "C" fn open_range(id: i32, from: i32, to: i32) -> i32 {
    code(watch::open(name("", id), name("k", from)..name("k", to)))
}

/// Starts the watch.
#[unsafe(no_mangle)]
pub extern "C" fn start(id: i32) -> i32 {
    code(watch::start(name("", id)))
}

/// Stops the watch.
#[unsafe(no_mangle)]
pub extern "C" fn stop(id: i32) -> i32 {
    code(watch::stop(name("", id)))
}

/// Opens (as [`open`]) and starts the watch; the first error ends it.
#[unsafe(no_mangle)]
pub extern "C" fn follow(id: i32) -> i32 {
    match open(id) {
        codes::OK => start(id),
        code => code,
    }
}

/// Selects the group, in which there is nothing else to do in this call.
#[unsafe(no_mangle)]
pub extern "C" fn group_start(group: i32) -> i32 {
    code(watch::group_start(group_name(group)))
}

/// Ends the group.
#[unsafe(no_mangle)]
pub extern "C" fn group_stop(group: i32) -> i32 {
    code(watch::group_stop(group_name(group)))
}

/// Selects a group whose id has `n_bytes` bytes, all `G`.
#[unsafe(no_mangle)]
pub extern "C" fn group_start_long(n_bytes: u32) -> i32 {
    code(watch::group_start(vec![b'G'; n_bytes as usize]))
}

/// Selects the group, and [follows](follow) there; the first error ends it.
#[unsafe(no_mangle)]
pub extern "C" fn follow_in(group: i32, id: i32) -> i32 {
    match group_start(group) {
        codes::OK => follow(id),
        code => code,
    }
}

/// Selects the group, and stops the watch there; the first error ends it.
#[unsafe(no_mangle)]
pub extern "C" fn stop_in(group: i32, id: i32) -> i32 {
    match group_start(group) {
        codes::OK => stop(id),
        code => code,
    }
}

/// Sets what the handler does on this instance from now on, one of [`modes`].
#[unsafe(no_mangle)]
pub extern "C" fn set_mode(mode: i32, arg: i32) {
    MODE.set((mode, arg));
}

/// How many batches this instance has had.
#[unsafe(no_mangle)]
pub extern "C" fn n_batches() -> i32 {
    N_BATCHES.get()
}

/// How many ids the notices of all batches had.
#[unsafe(no_mangle)]
pub extern "C" fn n_received() -> i32 {
    RECEIVED.with_borrow(Vec::len) as i32
}

/// The number of the id with this index, from 0, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn received_id(index: i32) -> i32 {
    received(index).map_or(-1, |(_, id)| id)
}

/// The value of the notice that had the id with this index, from 0, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn received_value(index: i32) -> i64 {
    received(index).map_or(-1, |(value, _)| value as i64)
}

/// What the verbs of the last mode that called one returned inside the handler.
#[unsafe(no_mangle)]
pub extern "C" fn last_code() -> i32 {
    LAST_CODE.get()
}

/// Forgets the batches.
#[unsafe(no_mangle)]
pub extern "C" fn forget() {
    RECEIVED.with_borrow_mut(Vec::clear);
    N_BATCHES.set(0);
}

fn on_batch(batch: Batch<'_>) -> Result<(), &'static str> {
    N_BATCHES.set(N_BATCHES.get() + 1);
    for notice in batch {
        for id in notice.ids() {
            RECEIVED.with_borrow_mut(|all| all.push((notice.value(), number(id))));
        }
    }
    let (mode, arg) = MODE.get();
    match mode {
        modes::EMIT if arg > 0 => {
            MODE.set((mode, arg - 1));
            let last = received(n_received() - 1).map_or(0, |(value, _)| value);
            queue(last.wrapping_add(1), 0);
            LAST_CODE.set(flush());
        }
        modes::STOP => LAST_CODE.set(stop(arg)),
        modes::FOLLOW_IN_GROUP => LAST_CODE.set(follow_in(arg, 0)),
        modes::FAIL => return Err("the guest fails on purpose"),
        modes::FAIL_INSIDE => LAST_CODE.set(group_stop(25)),
        modes::PANIC => panic!("the guest panics on purpose"),
        _ => {}
    }
    Ok(())
}

fn received(index: i32) -> Option<(u64, i32)> {
    RECEIVED.with_borrow(|all| all.get(usize::try_from(index).ok()?).copied())
}

fn name(start: &str, n: i32) -> Vec<u8> {
    [start.as_bytes(), &[b'a' + n as u8]].concat()
}

fn group_name(n: i32) -> [u8; 1] {
    [b'A' + n as u8]
}

/// The number of an id, or -1 for one that is not of this guest.
fn number(id: &[u8]) -> i32 {
    match id {
        [letter] => i32::from(*letter) - i32::from(b'a'),
        _ => -1,
    }
}
