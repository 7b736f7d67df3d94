//! A guest that only emits. An emit that the SDK refuses traps, except in [`emit_big`].

use rangewatch_guest::{self as watch, Error};

/// Emitted.
pub const OK: i32 = 0;
/// A key does not fit; nothing was emitted.
pub const TOO_LONG: i32 = 5;

/// Emits `test-100` and `test-200` with the revision as the value.
#[unsafe(no_mangle)]
pub extern "C" fn apply(revision: u64) {
    must(watch::emit(revision, ["test-100", "test-200"]));
}

/// Emits the one key `test-<n>`, `n` with at least three digits.
#[unsafe(no_mangle)]
pub extern "C" fn emit_key(value: u64, n: u32) {
    must(watch::emit(value, [format!("test-{n:03}")]));
}

/// Emits `n_keys` keys, `key-<first>` and following, with eight digits each.
#[unsafe(no_mangle)]
pub extern "C" fn emit_range(value: u64, first: u32, n_keys: u32) {
    let keys = (0..n_keys).map(|n| format!("key-{:08}", first.wrapping_add(n)));
    must(watch::emit(value, keys));
}

/// Emits the key `small` and one key of `n_bytes` bytes, all `b`; at most 16382 fit. Returns [`OK`]
/// or [`TOO_LONG`].
#[unsafe(no_mangle)]
pub extern "C" fn emit_big(value: u64, n_bytes: u32) -> i32 {
    code(watch::emit(
        value,
        ["small".into(), vec![b'b'; n_bytes as usize]],
    ))
}

/// Emits one key of no bytes.
#[unsafe(no_mangle)]
pub extern "C" fn emit_empty_key(value: u64) {
    must(watch::emit(value, [""]));
}

/// Emits no key at all, which reaches no host.
#[unsafe(no_mangle)]
pub extern "C" fn emit_nothing(value: u64) {
    must(watch::emit(value, [""; 0]));
}

fn code(result: Result<(), Error>) -> i32 {
    match result {
        Ok(()) => OK,
        Err(Error::TooLong { .. }) => TOO_LONG,
        Err(_) => -1,
    }
}

fn must(result: Result<(), Error>) {
    if result.is_err() {
        std::process::abort();
    }
}
