//! Memory of a guest's watches: what one takes, and what is freed.

#![expect(
    unsafe_code,
    reason = "an allocator that counts can be written in no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::abi::{AbiError, Generation, GuestAbi, Outcome, gen1};
use rangewatch_runtime::{Emits, Limits};

/// The system's allocator, counting per thread: tests on other threads do not disturb the count.
struct Counting;

thread_local! {
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
    static MOST_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// A thread that is ending is not counted.
fn count(bytes: isize) {
    let _ = LIVE_BYTES.try_with(|live| {
        live.set(live.get() + bytes);
        MOST_BYTES.with(|most| most.set(most.get().max(live.get())));
    });
}

// SAFETY: every call is passed on to the system's allocator as it is, and counting does not
// allocate: the counter is initialized by a constant and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, and the block came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The ABI of a guest of which there is the memory alone: the meta page at address 0, then its
/// variables and the buffer.
struct WithoutEngine {
    abi: GuestAbi,
    memory: Vec<u8>,
}

const BUF: usize = 128;
const BUF_CAP: usize = 28;
const BUF_LEN: usize = 32;
const ERR: usize = 64;
const ERR_CAP: usize = 36;
const ERR_LEN: usize = 40;
const VAL: usize = 44;

impl WithoutEngine {
    fn new(bus: &RangeWatchBus) -> Self {
        let mut guest = Self {
            abi: GuestAbi::with(bus, Limits::default().watches(N_WATCHES), Emits::Immediate),
            memory: vec![0; 512],
        };
        let page = [BUF, BUF_CAP, BUF_LEN, ERR, ERR_CAP, ERR_LEN, VAL];
        for (slot, address) in page.into_iter().enumerate() {
            guest.write_u32(4 * slot, address);
        }
        guest.write_u32(BUF_CAP, 256);
        guest.write_u32(ERR_CAP, 64);
        guest.abi.attach(&guest.memory, 0, true).unwrap();
        guest
    }

    fn write_u32(&mut self, address: usize, value: usize) {
        self.memory[address..][..4].copy_from_slice(&(value as u32).to_le_bytes());
    }

    fn call(
        &mut self,
        function: impl FnOnce(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>,
        buf: &[u8],
    ) {
        self.memory[BUF..][..buf.len()].copy_from_slice(buf);
        self.write_u32(BUF_LEN, buf.len());
        let outcome = function(&mut self.abi, &mut self.memory).unwrap();
        assert!(outcome.state().is_ready());
        assert_eq!(self.memory[ERR_LEN], 0, "the function wrote an error text");
    }

    /// Opens a watch whose id has 8 bytes, of a range whose bounds have 32.
    fn open(&mut self, i: usize) {
        let keys = [
            format!("{i:08}"),
            format!("/registry/pods/ns-0042/p{i:07}a"),
            format!("/registry/pods/ns-0042/p{i:07}c"),
        ];
        let list: Vec<u8> = keys
            .iter()
            .flat_map(|key| [&(key.len() as u16).to_be_bytes(), key.as_bytes()].concat())
            .collect();
        self.call(gen1::open, &list);
    }

    fn start(&mut self, i: usize) {
        self.call(gen1::start, format!("{i:08}").as_bytes());
    }

    fn stop(&mut self, i: usize) {
        self.call(gen1::stop, format!("{i:08}").as_bytes());
    }
}

/// By how many bytes what this thread holds has grown.
fn grown(action: impl FnOnce()) -> isize {
    let live = LIVE_BYTES.get();
    action();
    LIVE_BYTES.get() - live
}

const N_WATCHES: usize = 100_000;

/// Bytes of a watch, its subscription and its share of all tables.
const MAX_OPENED: isize = 404;
const MAX_STARTED: isize = 531;

#[test]
fn a_watch_takes_some_hundred_bytes() {
    let bus = RangeWatchBus::new();
    let mut guest = WithoutEngine::new(&bus);
    let opened = grown(|| (0..N_WATCHES).for_each(|i| guest.open(i)));
    let started = opened + grown(|| (0..N_WATCHES).for_each(|i| guest.start(i)));
    let [opened, started] = [opened, started].map(|bytes| bytes / N_WATCHES as isize);
    assert!(opened <= MAX_OPENED, "open: {opened} bytes");
    assert!(started <= MAX_STARTED, "started: {started} bytes");
}

#[test]
fn g23_what_a_hundred_thousand_stopped_watches_used_is_freed() {
    let bus = RangeWatchBus::new();
    let mut guest = WithoutEngine::new(&bus);
    for n_started in [0, N_WATCHES] {
        let left = grown(|| {
            (0..N_WATCHES).for_each(|i| guest.open(i));
            (0..n_started).for_each(|i| guest.start(i));
            (0..N_WATCHES).for_each(|i| guest.stop(i));
        });
        assert!(left < 32 << 10, "{left} bytes are left");
    }
    assert_eq!(bus.n_subscriptions(), 0);
}

#[test]
fn g23_what_stopped_watches_used_is_freed_while_some_stay() {
    let bus = RangeWatchBus::new();
    let mut guest = WithoutEngine::new(&bus);
    let grown = grown(|| {
        for i in 0..N_WATCHES {
            guest.open(i);
            guest.start(i);
        }
        (0..N_WATCHES)
            .filter(|i| i % 1_000 != 0)
            .for_each(|i| guest.stop(i));
    });
    assert!(grown < 150_000, "{grown} bytes for a hundred watches");
    // Those that stay deliver.
    bus.emit(7, ["/registry/pods/ns-0042/p0099000b"]).unwrap();
    let callback = guest.abi.next_callback(&mut guest.memory).unwrap();
    let callback = callback.expect("the watch stays");
    assert_eq!((callback.id(), callback.value()), (&b"00099000"[..], 7));
}

/// As [`MAX_STARTED`], in generation 2.
const MAX_WITH_NOTICES: isize = 400;

#[test]
fn a_watch_of_generation_2_takes_some_hundred_bytes_and_leaves_none() {
    const N: usize = 10_000;
    let bus = RangeWatchBus::new();
    let mut guest = WithoutEngine::new(&bus);
    guest.abi.set_generation(Generation::Two);
    // What an owner takes.
    guest.open(N);
    let taken = grown(|| {
        (0..N).for_each(|i| guest.open(i));
        (0..N).for_each(|i| guest.start(i));
    });
    let each = taken / N as isize;
    assert!(each <= MAX_WITH_NOTICES, "{each} bytes");
    let stopped = grown(|| (0..N).for_each(|i| guest.stop(i)));
    assert!(taken + stopped < 32 << 10, "{} are left", taken + stopped);
}

#[test]
fn g38_a_hundred_thousand_owners_leave_no_memory() {
    owners_leave_no_memory(Generation::One, 100_000);
}

#[test]
fn g38_ten_thousand_owners_of_generation_2_leave_no_memory() {
    owners_leave_no_memory(Generation::Two, 10_000);
}

fn owners_leave_no_memory(generation: Generation, n_owners: usize) {
    let bus = RangeWatchBus::new();
    let mut guest = WithoutEngine::new(&bus);
    guest.abi.set_generation(generation);
    let own = guest.abi.owner();
    let mut cycle = |i: usize| {
        let owner = own.of_same_guest();
        guest.abi.set_owner(&owner).unwrap();
        guest.open(2 * i);
        guest.open(2 * i + 1);
        guest.start(2 * i);
        if i.is_multiple_of(10) {
            let key = format!("/registry/pods/ns-0042/p{:07}b", 2 * i);
            assert_eq!(bus.emit(7, [key]).unwrap().matched(), 1);
        }
        match i % 2 {
            0 => owner.end(),
            _ => drop(owner),
        }
        guest.abi.set_owner(&own).unwrap();
        assert_eq!((guest.abi.n_ready(), bus.n_subscriptions()), (0, 0));
    };
    // Tables that keep the memory of some entries.
    (0..100).for_each(&mut cycle);
    let left = grown(|| (100..n_owners).for_each(&mut cycle));
    assert!(left < 1_024, "{left} bytes are left");
}

#[test]
fn g30_an_open_of_very_many_keys_takes_no_memory_of_the_host() {
    const N_KEYS: usize = 1 << 20;
    let bus = RangeWatchBus::new();
    let mut guest = WithoutEngine::new(&bus);
    // Zeros: keys of no bytes.
    guest.memory.resize(BUF + 2 * N_KEYS, 0);
    guest.memory[BUF..].fill(0);
    guest.write_u32(BUF_CAP, 2 * N_KEYS);
    guest.write_u32(BUF_LEN, 2 * N_KEYS);
    let before = LIVE_BYTES.get();
    MOST_BYTES.set(before);
    let opened = gen1::open(&mut guest.abi, &mut guest.memory);
    let taken = MOST_BYTES.get() - before;
    let refused = AbiError::OpenKeys { n_keys: 4 };
    assert_eq!(opened.unwrap_err(), refused);
    assert!(taken < 1_024, "{taken} bytes");
}
