//! The numbers and names of the guest ABI and of the functions that pass bytes: those of generation
//! 1, which generation 2 has too, and in [`gen2`] what only that has.
//!
//! Every import of [`IMPORT_MODULE`] and `__range_watch_recv` is `() -> ()`; arguments travel
//! through buffers in the guest's memory, whose addresses the host reads once from the **meta
//! page**: seven little-endian `u32`, in this order:
//!
//! | slot | points to | type |
//! |---|---|---|
//! | 0 | buffer | [`BUF_BYTES`] bytes |
//! | 1 | capacity of the buffer | `u32` |
//! | 2 | length of what the buffer holds | `u32` |
//! | 3 | error text | [`ERR_BYTES`] bytes |
//! | 4 | capacity of the error text | `u32` |
//! | 5 | length of the error text, 0 for no error | `u32` |
//! | 6 | value | `u64` |
//!
//! A key list is a repetition of a big-endian `u16` length and that many bytes.
//!
//! The imports of [`IMPORT_MODULE_IO`] take addresses, offsets and lengths as parameters and need
//! no meta page.

pub mod gen2;

/// The module of the imports that emit and watch.
pub const IMPORT_MODULE: &str = "pantopic/wazero-range-watch";
/// Import: emits the key list in the buffer with the value.
pub const IMPORT_FLUSH: &str = "__range_watch_flush";
/// Import: reserves the id in the buffer.
pub const IMPORT_RESERVE: &str = "__range_watch_reserve";
/// Import: opens a watch; the buffer is a key list of id, from, to.
pub const IMPORT_OPEN: &str = "__range_watch_open";
/// Import: starts the watch whose id is in the buffer.
pub const IMPORT_START: &str = "__range_watch_start";
/// Import: stops the watch whose id is in the buffer.
pub const IMPORT_STOP: &str = "__range_watch_stop";

/// The imports of [`IMPORT_MODULE`].
pub const IMPORTS: [&str; 5] = [
    IMPORT_FLUSH,
    IMPORT_RESERVE,
    IMPORT_OPEN,
    IMPORT_START,
    IMPORT_STOP,
];

/// The module of the imports that pass the input and the output of a call.
pub const IMPORT_MODULE_IO: &str = "rangewatch_io";
/// Import `() -> i32`: returns the length of the input of this call in bytes.
pub const IMPORT_INPUT_LEN: &str = "input_len";
/// Import `(ptr: i32, offset: i32, len: i32) -> i32`: copies the input from `offset` on to `ptr`,
/// `len` bytes or fewer, and returns how many. One call copies at most [`MAX_INPUT_READ_BYTES`].
pub const IMPORT_INPUT_READ: &str = "input_read";
/// Import `(ptr: i32, len: i32) -> ()`: appends `len` bytes at `ptr` to the output of this call.
pub const IMPORT_OUTPUT_WRITE: &str = "output_write";

/// Export: returns the address of the meta page.
pub const EXPORT_META: &str = "__range_watch";
/// Export: delivers the value to the watch whose id is in the buffer.
pub const EXPORT_RECV: &str = "__range_watch_recv";

/// Capacity of the buffer in bytes; also the longest id that [`reserve`](crate::reserve) takes.
pub const BUF_BYTES: usize = 16_384;
/// Capacity of the error text in bytes. A longer text is truncated.
pub const ERR_BYTES: usize = 1_024;
/// Bytes that the length of a key takes in a key list.
pub const KEY_PREFIX_BYTES: usize = 2;
/// The longest key in bytes, inclusive: what fits into the buffer alone.
pub const MAX_KEY_BYTES: usize = BUF_BYTES - KEY_PREFIX_BYTES;
/// The most bytes, inclusive, that id, from and to of one [`open`](crate::open) may have together.
pub const MAX_OPEN_BYTES: usize = BUF_BYTES - 3 * KEY_PREFIX_BYTES;
/// The most bytes, inclusive, that one call of [`IMPORT_INPUT_READ`] copies.
pub const MAX_INPUT_READ_BYTES: usize = 1 << 20;

/// Error text of the host: the id is reserved, open or started.
pub const WATCH_EXISTS: &str = "Watch exists";
/// Error text of the host: the id is free, or not in a state that the call starts from.
pub const WATCH_NOT_FOUND: &str = "Watch not found";
/// Error text of the host: the id is open or started.
pub const WATCH_ALREADY_OPEN: &str = "Watch already open";
/// Error text of the host: the watch, its bus or its group has ended.
pub const WATCH_CLOSED: &str = "Watch closed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_written_abi() {
        assert_eq!(MAX_KEY_BYTES, 16_382);
        assert_eq!(MAX_OPEN_BYTES, 16_378);
    }

    /// The names that a source links, in order.
    fn linked(source: &str) -> std::vec::Vec<&str> {
        let lines = source.lines().map(str::trim);
        let names =
            lines.filter_map(|line| line.strip_prefix("#[link_name = \"")?.split('"').next());
        names.collect()
    }

    /// Attributes take literals only, so `wasm.rs` and the files below it repeat the names.
    #[test]
    fn attributes_of_the_wasm_side_use_these_names() {
        let wasm = include_str!("wasm.rs");
        let (macros, of_bytes) = wasm.split_once("use imports;").expect("the macro");
        assert_eq!(linked(macros), IMPORTS[1..]);
        let link = |module| std::format!("#[link(wasm_import_module = \"{module}\")]");
        assert!(of_bytes.contains(&link(IMPORT_MODULE_IO)));
        let names = [IMPORT_INPUT_LEN, IMPORT_INPUT_READ, IMPORT_OUTPUT_WRITE];
        assert_eq!(linked(of_bytes), names);
        let call = |module, send| std::format!("\nsuper::imports!({module:?}, {send:?});\n");
        let first = include_str!("wasm/gen1.rs");
        assert!(first.ends_with(&call(IMPORT_MODULE, IMPORT_FLUSH)));
        let second = include_str!("wasm/gen2.rs");
        assert!(second.contains(&call(gen2::IMPORT_MODULE, gen2::IMPORT_QUEUE)));
        assert!(second.contains(&link(gen2::IMPORT_MODULE)));
        let of_macro = |name: &&str| *name == gen2::IMPORT_QUEUE || IMPORTS[1..].contains(name);
        let only_second = gen2::IMPORTS.into_iter().filter(|name| !of_macro(name));
        assert!(only_second.eq(linked(second)));
        for name in [EXPORT_META, EXPORT_RECV] {
            let export = std::format!("#[unsafe(export_name = \"{name}\")]");
            assert!(wasm.contains(&export), "{name}");
        }
        assert_eq!(wasm.matches("export_name").count(), 2);
    }
}
