//! Notices of generation 2 without an engine: many threads, and the work of one delivery.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::future::{Either, select};
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::abi::{AbiError, GuestAbi, Outcome, gen2};
use rangewatch_runtime::{Emits, Limits, Owner};

const BUF: usize = 128;

/// An instance of a guest of which there is the memory alone.
struct Instance {
    abi: GuestAbi,
    memory: Vec<u8>,
}

impl Instance {
    fn new(owner: &Owner, buf_cap: u32) -> Self {
        let mut memory = vec![0; 8_192];
        // buf, buf_cap, buf_len, err, err_cap, err_len, val.
        for (slot, address) in [BUF as u32, 28, 32, 64, 36, 40, 44].into_iter().enumerate() {
            memory[4 * slot..][..4].copy_from_slice(&address.to_le_bytes());
        }
        memory[28..32].copy_from_slice(&buf_cap.to_le_bytes());
        memory[36] = 32;
        let mut abi = GuestAbi::of_owner(owner);
        abi.attach(&memory, 0, true).unwrap();
        Self { abi, memory }
    }

    /// Calls an import and waits for its outcome. Returns its error text.
    fn call(
        &mut self,
        import: fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>,
        buf: &[u8],
    ) -> String {
        self.memory[BUF..][..buf.len()].copy_from_slice(buf);
        self.memory[32..36].copy_from_slice(&(buf.len() as u32).to_le_bytes());
        while import(&mut self.abi, &mut self.memory)
            .unwrap()
            .state()
            .is_pending()
        {
            block_on(std::future::poll_fn(|cx| self.abi.poll_ready(cx)));
        }
        let len = usize::from(self.memory[40]);
        String::from_utf8_lossy(&self.memory[64..][..len]).into_owned()
    }

    fn open(&mut self, id: &str, from: &str, to: &str) -> String {
        let mut list = Vec::new();
        for key in [id, from, to] {
            list.extend((key.len() as u16).to_be_bytes());
            list.extend(key.as_bytes());
        }
        self.call(gen2::open, &list)
    }

    /// The notices of the next callback, with one line for each watch: its id and the value.
    fn receive(&mut self) -> Option<Vec<(String, u64)>> {
        let callback = self.abi.next_callback(&mut self.memory).unwrap()?;
        let len = u32::from_le_bytes(self.memory[32..36].try_into().unwrap()) as usize;
        let mut buf = &self.memory[BUF..][..len];
        let mut take = |n: usize| {
            let (taken, rest) = buf.split_at(n);
            buf = rest;
            taken
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let mut notices = Vec::new();
        for _ in 0..take(2) {
            let value = take(8);
            for _ in 0..take(2) {
                // Ids of this test are one byte.
                assert_eq!(take(2), 1);
                notices.push((char::from(take(1) as u8).to_string(), value));
            }
        }
        self.abi.finish(&mut self.memory, &callback).unwrap();
        Some(notices)
    }
}

fn owner(bus: &RangeWatchBus, limits: Limits) -> Owner {
    Owner::new(bus, limits, Emits::Immediate)
}

/// Two instances receive while two threads emit and a third one opens, starts and stops a watch:
/// the one that stays receives every value once and in order, and the other one those of its time.
#[test]
fn g02_concurrent_emits_are_delivered_once_and_in_order() {
    const N_EMITS: u64 = 20_000;
    let bus = RangeWatchBus::new();
    let owner = owner(&bus, Limits::default().notices(1 << 20));
    let mut first = Instance::new(&owner, 200);
    assert_eq!(first.open("w", "k", "l"), "");
    assert_eq!(first.call(gen2::start, b"w"), "");
    let received = Arc::new(Mutex::new(Vec::new()));
    let is_done = Arc::new(AtomicBool::new(false));
    let receivers: Vec<_> = (0..2)
        .map(|_| {
            let (owner, received, is_done) = (owner.clone(), received.clone(), is_done.clone());
            thread::spawn(move || {
                let mut instance = Instance::new(&owner, 200);
                while !is_done.load(Ordering::Relaxed) {
                    // Under the lock: the batches of an owner follow each other, the entries of
                    // this list have to.
                    let mut received = received.lock().unwrap();
                    match instance.receive() {
                        Some(notices) => received.extend(notices),
                        None => thread::yield_now(),
                    }
                }
            })
        })
        .collect();
    // The order of the emits: an emit and its entry are one step.
    let emitted = Arc::new(Mutex::new(Vec::new()));
    let emitters: Vec<_> = (0..2_u64)
        .map(|thread| {
            let (bus, emitted) = (bus.clone(), emitted.clone());
            thread::spawn(move || {
                for i in 0..N_EMITS {
                    let value = thread * N_EMITS + i;
                    let seq = bus.emit(value, ["k"]).unwrap().seq();
                    emitted.lock().unwrap().push((seq, value));
                }
            })
        })
        .collect();
    let mut n_cycles = 0;
    while emitters.iter().any(|emitter| !emitter.is_finished()) {
        assert_eq!(first.open("v", "k", "l"), "");
        assert_eq!(first.call(gen2::start, b"v"), "");
        assert_eq!(first.call(gen2::stop, b"v"), "");
        n_cycles += 1;
    }
    for emitter in emitters {
        emitter.join().unwrap();
    }
    let n_of_w = || {
        let received = received.lock().unwrap();
        received.iter().filter(|(id, _)| id == "w").count() as u64
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while n_of_w() < 2 * N_EMITS {
        assert!(Instant::now() < deadline, "{} were received", n_of_w());
        thread::yield_now();
    }
    is_done.store(true, Ordering::Relaxed);
    for receiver in receivers {
        receiver.join().unwrap();
    }
    let mut emitted = emitted.lock().unwrap();
    emitted.sort_unstable();
    let position: std::collections::HashMap<u64, usize> = emitted
        .iter()
        .enumerate()
        .map(|(position, (_, value))| (*value, position))
        .collect();
    let received = received.lock().unwrap();
    let of = |watch: &str| -> Vec<usize> {
        let of_watch = received.iter().filter(|(id, _)| id == watch);
        of_watch.map(|(_, value)| position[value]).collect()
    };
    assert!(of("w").iter().copied().eq(0..2 * N_EMITS as usize));
    assert!(of("v").is_sorted_by(|a, b| a < b), "{n_cycles} cycles");
    assert_eq!(owner.n_watches(), 1);
}

/// A waiting consumer is woken by each value, beside a watch that only holds.
#[test]
fn g12_a_waiting_instance_is_woken_by_each_notice() {
    let bus = RangeWatchBus::new();
    let owner = owner(&bus, Limits::default());
    let mut instance = Instance::new(&owner, 4_096);
    assert_eq!(instance.open("w", "k", "l"), "");
    assert_eq!(instance.call(gen2::start, b"w"), "");
    // The owner keeps the bus open.
    let emitter = thread::spawn(move || {
        for value in 0..2_000 {
            bus.emit(value, ["k"]).unwrap();
            if value % 16 == 0 {
                thread::yield_now();
            }
        }
    });
    let mut next = 0;
    while next < 2_000 {
        let ready = std::pin::pin!(instance.abi.ready());
        let late = std::pin::pin!(timeout());
        match block_on(select(ready, late)) {
            Either::Left(_) => {}
            Either::Right(_) => panic!("not woken after {next} values"),
        }
        for (_, value) in instance.receive().unwrap_or_default() {
            assert_eq!(value, next);
            next += 1;
        }
    }
    emitter.join().unwrap();
}

/// Resolves long after a wake-up has come.
async fn timeout() {
    use rangewatch_bus::timer::{ThreadTimer, Timer};
    ThreadTimer.sleep(Duration::from_secs(60)).await;
}

/// One delivery resolves a bounded number of emits: a caller that runs others meanwhile is not held
/// up, and nothing is lost.
#[test]
fn g33_a_delivery_resolves_a_bounded_number_of_emits() {
    let bus = RangeWatchBus::new();
    let owner = owner(&bus, Limits::default());
    let mut instance = Instance::new(&owner, 4_096);
    assert_eq!(instance.open("h", "h", "i"), "");
    assert_eq!(instance.open("w", "k", "l"), "");
    assert_eq!(instance.call(gen2::start, b"w"), "");
    for value in 0..2_000 {
        bus.emit(value, ["h"]).unwrap();
    }
    bus.emit(2_000, ["k"]).unwrap();
    let mut n_empty = 0;
    let received = loop {
        assert_eq!(instance.abi.n_ready(), 1);
        match instance.receive() {
            Some(received) => break received,
            None => n_empty += 1,
        }
    };
    assert_eq!(received, [("w".to_owned(), 2_000)]);
    assert!((2..20).contains(&n_empty), "{n_empty} deliveries");
    assert_eq!(instance.call(gen2::start, b"h"), "");
    let mut values = Vec::new();
    while let Some(received) = instance.receive() {
        values.extend(received.into_iter().map(|(_, value)| value));
    }
    assert!(values.into_iter().eq(0..2_000));
}
