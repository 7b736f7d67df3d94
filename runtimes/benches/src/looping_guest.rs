//! The guest of the benchmarks: loops around the functions of the ABI.

use futures::executor::block_on;
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::{Emits, Guest, Module, Runtime, Val};

/// The key that hot watches match.
pub const HOT: &[u8] = b"/registry/jobs/aaaaaaaa";
/// A key whose eight letters the guest replaces by random ones.
const COLD: &[u8] = b"/registry/pods/aaaaaaaa";

const BUF: usize = 1 << 16;
const BUF_BYTES: usize = 1 << 16;
/// The variables of the guest, in the order of the meta page, which is at address 16.
const VARIABLES: [usize; 7] = [BUF, BUF_CAP, BUF_LEN, ERR, ERR_CAP, ERR_LEN, VAL];
const BUF_CAP: usize = 48;
const BUF_LEN: usize = 52;
const ERR_CAP: usize = 56;
const ERR_LEN: usize = 60;
const VAL: usize = 64;
const ERR: usize = 1024;

/// The bytes of a key in a list: its length and itself.
const STRIDE: usize = 2 + COLD.len();
/// The letters of the first key of a list.
const LETTERS: usize = BUF + STRIDE - 8;
/// The arguments of `open`: an id of eight letters, and two keys with one more letter.
const ID: usize = BUF + 2;
const FROM_LETTERS: usize = ID + 8 + STRIDE - 8;
const TO_LETTERS: usize = FROM_LETTERS + STRIDE + 1;

/// The first key of the list that [`LoopingGuest::emit`] flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstKey {
    /// As the others: of random letters, so that no watch matches it.
    Cold,
    /// The one that hot watches match.
    Hot,
}

/// A guest written from the specification of the ABI, in the text format.
///
/// It emits random keys: eight letters of sixteen after a common prefix. Its watches hold ranges
/// that lie between such keys, random too, and the hot ones the range of the one hot key.
#[derive(Debug)]
pub struct LoopingGuest {
    guest: Guest,
    n_watches: usize,
}

impl LoopingGuest {
    /// Compiles the guest.
    #[must_use]
    pub fn module(runtime: &dyn Runtime) -> Module {
        let wasm = wat::parse_str(wat()).expect("the text is well formed");
        block_on(runtime.load(&wasm)).expect("the module is valid")
    }

    /// An instance on a bus. Each flush is emitted at once.
    #[must_use]
    pub fn new(module: &Module, bus: &RangeWatchBus) -> Self {
        let builder = Guest::builder(module, bus).emits(Emits::Immediate);
        let guest = block_on(builder.instantiate()).expect("it needs nothing but the ABI");
        Self {
            guest,
            n_watches: 0,
        }
    }

    /// Opens `n` watches whose ranges hold none of the random keys.
    pub fn open_cold(&mut self, n: usize) {
        self.open(n, "open_cold", [COLD, b"a", COLD, b"c"]);
    }

    /// Opens `n` watches of the hot key.
    pub fn open_hot(&mut self, n: usize) {
        self.open(n, "open_hot", [HOT, b"", HOT, b"a"]);
    }

    fn open(&mut self, n: usize, export: &str, [from, from_end, to, to_end]: [&[u8]; 4]) {
        if n == 0 {
            return;
        }
        let range = [[from, from_end].concat(), [to, to_end].concat()];
        self.write(&[b"........", &range[0], &range[1]]);
        self.call(export, &[self.n_watches, self.n_watches + n]);
        self.n_watches += n;
    }

    /// Starts all watches.
    pub fn start_all(&mut self) {
        if self.n_watches > 0 {
            self.call("start", &[0, self.n_watches]);
        }
    }

    /// Stops all watches.
    pub fn stop_all(&mut self) {
        if self.n_watches > 0 {
            self.call("stop", &[0, self.n_watches]);
            self.n_watches = 0;
        }
    }

    /// Runs the callbacks that are due and returns their number.
    pub fn drive(&self) -> usize {
        block_on(self.guest.drive_until_idle()).expect("there is an instance")
    }

    /// Puts `n_keys` keys into the buffer.
    pub fn write_keys(&self, first: FirstKey, n_keys: usize) {
        let mut keys = vec![COLD; n_keys];
        if first == FirstKey::Hot {
            keys[0] = HOT;
        }
        self.write(&keys);
    }

    fn write(&self, keys: &[&[u8]]) {
        let mut list = Vec::new();
        for key in keys {
            list.extend((key.len() as u16).to_be_bytes());
            list.extend(*key);
        }
        let write = |memory: &mut [u8]| {
            memory[BUF..][..list.len()].copy_from_slice(&list);
            memory[BUF_LEN..][..4].copy_from_slice(&(list.len() as u32).to_le_bytes());
        };
        block_on(self.guest.with_memory(write)).expect("there is an instance");
    }

    /// Flushes the keys of the buffer `n` times as they are.
    pub fn flush(&self, n: u64) {
        self.call("flush", &[n as usize]);
    }

    /// Flushes the `n_keys` keys of the buffer `n` times, each time with other random letters. A
    /// hot key stays.
    pub fn emit(&self, n: u64, first: FirstKey, n_keys: usize) {
        self.call("emit", &[n as usize, first as usize, n_keys]);
    }

    /// As [`emit`](Self::emit), without the flushes.
    pub fn shuffle(&self, n: u64, first: FirstKey, n_keys: usize) {
        self.call("shuffle", &[n as usize, first as usize, n_keys]);
    }

    /// Calls the export that does nothing.
    pub fn empty(&self) {
        self.call("empty", &[]);
    }

    fn call(&self, export: &str, args: &[usize]) {
        let mut vals = [Val::I32(0); 3];
        for (val, arg) in vals.iter_mut().zip(args) {
            *val = Val::I32(i32::try_from(*arg).expect("a batch has fewer operations"));
        }
        let call = self.guest.call(export, &vals[..args.len()]);
        block_on(call).expect("it returns");
    }
}

fn wat() -> String {
    let page: String = VARIABLES.map(le).concat();
    let (buf_cap, err_cap) = (le(BUF_BYTES), le(1024));
    format!(
        r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (memory (export "memory") 2)
    (data (i32.const 16) "{page}")
    (data (i32.const {BUF_CAP}) "{buf_cap}")
    (data (i32.const {ERR_CAP}) "{err_cap}")
    (global $random (mut i32) (i32.const 0x92d68ca2))

    ;; A letter for each half of a byte.
    (func $letters (param $bits i32) (result i64) (local $x i64)
        (local.set $x (i64.extend_i32_u (local.get $bits)))
        (local.set $x (i64.and (i64.const 0x0000ffff0000ffff)
            (i64.or (local.get $x) (i64.shl (local.get $x) (i64.const 16)))))
        (local.set $x (i64.and (i64.const 0x00ff00ff00ff00ff)
            (i64.or (local.get $x) (i64.shl (local.get $x) (i64.const 8)))))
        (local.set $x (i64.and (i64.const 0x0f0f0f0f0f0f0f0f)
            (i64.or (local.get $x) (i64.shl (local.get $x) (i64.const 4)))))
        (i64.add (local.get $x) (i64.const 0x6161616161616161)))

    ;; The next number of an xorshift generator.
    (func $next (result i32) (local $x i32)
        (local.set $x (global.get $random))
        (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 13))))
        (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 17))))
        (local.set $x (i32.xor (local.get $x) (i32.shl (local.get $x) (i32.const 5))))
        (global.set $random (local.get $x))
        (local.get $x))

    ;; Different letters for different watches.
    (func $id (param $i i32) (result i64)
        (call $letters (i32.mul (local.get $i) (i32.const 0x9e3779b1))))

    ;; A function has written an error text, or none.
    (func $check (if (i32.load (i32.const {ERR_LEN})) (then unreachable)))

    (func $replace (param $first i32) (param $n_keys i32) (local $at i32)
        (local.set $at
            (i32.add (i32.const {LETTERS}) (i32.mul (local.get $first) (i32.const {STRIDE}))))
        (local.set $n_keys
            (i32.add (i32.const {LETTERS}) (i32.mul (local.get $n_keys) (i32.const {STRIDE}))))
        (block $done
            (loop $again
                (br_if $done (i32.ge_u (local.get $at) (local.get $n_keys)))
                (i64.store align=1 (local.get $at) (call $letters (call $next)))
                (local.set $at (i32.add (local.get $at) (i32.const {STRIDE})))
                (br $again))))

    (func (export "__range_watch") (result i32) i32.const 16)
    (func (export "__range_watch_recv"))
    (func (export "empty"))
    (func (export "flush") (param $n i32)
        (loop $again
            call $flush
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "emit") (param $n i32) (param $first i32) (param $n_keys i32)
        (loop $again
            (call $replace (local.get $first) (local.get $n_keys))
            call $flush
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "shuffle") (param $n i32) (param $first i32) (param $n_keys i32)
        (loop $again
            (call $replace (local.get $first) (local.get $n_keys))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "open_cold") (param $i i32) (param $end i32)
        (loop $again
            (i64.store align=1 (i32.const {ID}) (call $id (local.get $i)))
            (i64.store align=1 (i32.const {FROM_LETTERS}) (call $id (local.get $i)))
            (i64.store align=1 (i32.const {TO_LETTERS}) (call $id (local.get $i)))
            call $open
            call $check
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $end)))))
    (func (export "open_hot") (param $i i32) (param $end i32)
        (loop $again
            (i64.store align=1 (i32.const {ID}) (call $id (local.get $i)))
            call $open
            call $check
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $end)))))
    (func (export "start") (param $i i32) (param $end i32)
        (i32.store (i32.const {BUF_LEN}) (i32.const 8))
        (loop $again
            (i64.store align=1 (i32.const {BUF}) (call $id (local.get $i)))
            call $start
            call $check
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $end)))))
    (func (export "stop") (param $i i32) (param $end i32)
        (i32.store (i32.const {BUF_LEN}) (i32.const 8))
        (loop $again
            (i64.store align=1 (i32.const {BUF}) (call $id (local.get $i)))
            call $stop
            call $check
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $end))))))"#
    )
}

/// A number of four bytes, as a string of the text format.
fn le(number: usize) -> String {
    let bytes = (number as u32).to_le_bytes();
    bytes.map(|byte| format!("\\{byte:02x}")).concat()
}
