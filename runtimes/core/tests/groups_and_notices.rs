//! Generation 2 of the guest ABI in the linker way, without an engine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::abi::{AbiError, GuestAbi, Outcome, gen1, gen2};
use rangewatch_runtime::{CallbackErrorCause, Emits, GuestBus, Limits, Owner, OwnerError, OwnerId};

const BUF: usize = 128;
const BUF_CAP: usize = 28;
const BUF_LEN: usize = 32;
const ERR: usize = 64;
const ERR_CAP: usize = 36;
const ERR_LEN: usize = 40;
const VAL: usize = 48;
const CAP: u32 = 256 << 10;

/// An instance without code.
struct Instance {
    abi: GuestAbi,
    memory: Vec<u8>,
}

type Function = fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>;

impl Instance {
    fn new(mut abi: GuestAbi) -> Self {
        let mut memory = vec![0; BUF + CAP as usize];
        let page = [BUF, BUF_CAP, BUF_LEN, ERR, ERR_CAP, ERR_LEN, VAL];
        for (slot, address) in page.into_iter().enumerate() {
            memory[4 * slot..][..4].copy_from_slice(&(address as u32).to_le_bytes());
        }
        memory[BUF_CAP..][..4].copy_from_slice(&CAP.to_le_bytes());
        memory[ERR_CAP] = 64;
        abi.attach(&memory, 0, true).unwrap();
        Self { abi, memory }
    }

    /// Calls a function and returns its work and the error text, which is empty after a success.
    fn call(&mut self, function: Function, buf: &[u8]) -> (u64, String) {
        self.memory[BUF..][..buf.len()].copy_from_slice(buf);
        self.memory[BUF_LEN..][..4].copy_from_slice(&(buf.len() as u32).to_le_bytes());
        self.memory[ERR_LEN] = 0;
        let outcome = function(&mut self.abi, &mut self.memory).unwrap();
        let text = &self.memory[ERR..][..self.memory[ERR_LEN].into()];
        (outcome.work(), String::from_utf8_lossy(text).into_owned())
    }

    /// Calls a function that succeeds and returns its work.
    fn ok(&mut self, function: Function, buf: &[u8]) -> u64 {
        let (work, text) = self.call(function, buf);
        assert_eq!(text, "");
        work
    }

    fn follow(&mut self, id: &str, from: &str, to: &str) {
        self.ok(gen2::open, &keys([id, from, to]));
        self.ok(gen2::start, id.as_bytes());
    }

    fn emit(&mut self, value: u64, keys: &[u8]) {
        self.memory[VAL..][..8].copy_from_slice(&value.to_le_bytes());
        self.ok(gen2::queue, keys);
        self.ok(gen2::flush, b"");
    }
}

fn keys<'k>(keys: impl IntoIterator<Item = &'k str>) -> Vec<u8> {
    let mut list = Vec::new();
    for key in keys {
        list.extend_from_slice(&(key.len() as u16).to_be_bytes());
        list.extend_from_slice(key.as_bytes());
    }
    list
}

/// Ends the owner when it is dropped, if there is one.
struct EndsOwner(Arc<Mutex<Option<Owner>>>);

impl Drop for EndsOwner {
    fn drop(&mut self) {
        if let Some(owner) = &*self.0.lock() {
            owner.end();
        }
    }
}

/// The last reference to the payloads of an emit is that of a queue of notices, where no watch that
/// it matched is left.
#[test]
fn g40_payloads_of_emits_that_match_no_watch_any_more_are_dropped_without_a_lock() {
    let ended = Arc::new(Mutex::new(None));
    let bus = RangeWatchBus::builder().payloads::<EndsOwner>();
    let bus = bus.build().unwrap();
    let payload = ended.clone();
    let guest_bus = GuestBus::new(&bus, move |_, _| EndsOwner(payload.clone()));
    let mut instance = Instance::new(GuestAbi::new(&guest_bus));
    instance.follow("w", "a", "");
    instance.follow("v", "b", "");
    instance.emit(1, &keys(["a"]));
    instance.ok(gen2::stop, b"w");
    let owner = instance.abi.owner();
    *ended.lock() = Some(owner.clone());
    let (done, returned) = mpsc::channel();
    thread::spawn(move || {
        let next = instance.abi.next_callback(&mut instance.memory);
        assert!(matches!(next, Ok(None)));
        done.send(instance).unwrap();
    });
    let instance = returned.recv_timeout(Duration::from_secs(60));
    assert!(instance.is_ok() && owner.is_ended(), "it waits for itself");
}

/// A guest that fills its queue with emits of many keys and then stops the watch makes the host
/// look at all of them. It does so in slices.
#[test]
fn g37_notices_of_stopped_watches_are_looked_at_in_slices() {
    let bus = RangeWatchBus::new();
    let mut instance = Instance::new(GuestAbi::new(&bus));
    instance.follow("w", "", "x");
    instance.follow("v", "x", "");
    let distinct: BTreeSet<_> = (0..16_384).map(|i| format!("{i:05x}")).collect();
    let list = keys(distinct.iter().map(String::as_str));
    let n_emits = 10;
    for value in 0..n_emits {
        instance.emit(value, &list);
    }
    instance.ok(gen2::stop, b"w");
    for _ in 1..n_emits {
        let next = instance.abi.next_callback(&mut instance.memory);
        assert!(matches!(next, Ok(None)));
        assert_eq!(instance.abi.n_ready(), 1, "it goes on later");
    }
    instance.emit(n_emits, &keys(["x"]));
    let mut next = || instance.abi.next_callback(&mut instance.memory).unwrap();
    assert!(next().or_else(next).is_some(), "nothing is lost");
}

/// The groups of an owner end with it: what was pending in them is not dropped silently.
#[test]
fn the_overflow_of_an_owner_names_the_first_value_that_its_groups_did_not_receive() {
    // One group holds its value, one has it in its queue, or has an overflow of its own.
    for (n_groups, of_group, resume) in [(0, 1, 3), (1, 1, 2), (2, 1, 2), (2, 3, 2)] {
        let bus = RangeWatchBus::new();
        let limits = Limits::default().notices(2);
        let mut instance = Instance::new(GuestAbi::with(&bus, limits, Emits::Immediate));
        let own = instance.abi.owner();
        instance.follow("w", "own", "");
        for group in ["held", "started"].into_iter().take(n_groups) {
            instance.ok(gen2::group_start, group.as_bytes());
            instance.ok(gen2::open, &keys(["w", "group", ""]));
            if group == "started" {
                instance.ok(gen2::start, b"w");
            }
        }
        instance.abi.set_owner(&own).unwrap();
        bus.emit(1, ["own"]).unwrap();
        for _ in 0..of_group {
            bus.emit(2, ["group"]).unwrap();
        }
        for value in [2, 3, 4] {
            bus.emit(value, ["own"]).unwrap();
        }
        let error = loop {
            match instance.abi.next_callback(&mut instance.memory) {
                // The bell of the owner rang first.
                Ok(callback) => drop(callback.expect("the overflow is reported")),
                Err(error) if error.owner == own.id() => break error,
                Err(_) => {}
            }
        };
        assert!(
            matches!(error.cause, CallbackErrorCause::Overflow { resume: r, .. } if r == resume),
            "{n_groups} {of_group} {error:?}"
        );
        let ended = OwnerError::Overflowed {
            owner: own.id(),
            resume,
        };
        assert_eq!(instance.abi.set_owner(&own), Err(ended));
        assert_eq!(bus.n_subscriptions(), 0);
    }
}

/// The host frees each watch of the group.
#[test]
fn g37_the_end_of_a_group_is_as_much_work_as_its_watches() {
    let bus = RangeWatchBus::new();
    let mut instance = Instance::new(GuestAbi::new(&bus));
    let mut work = |n_watches: usize| {
        instance.ok(gen2::group_start, b"g");
        for id in 0..n_watches {
            instance.ok(gen2::open, &keys([&id.to_string(), "a", ""]));
        }
        instance.ok(gen2::group_stop, b"g")
    };
    let of_none = work(0);
    assert_eq!(work(100), of_none + 100 * Outcome::UNITS_PER_ENDED_WATCH);
}

/// A linker that has not set the generation learns it from the first function that only the second
/// one has.
#[test]
fn a_watch_reserved_before_the_generation_was_known_is_one_of_generation_2() {
    let bus = RangeWatchBus::new();
    let mut instance = Instance::new(GuestAbi::new(&bus));
    for id in ["w", "v"] {
        instance.ok(gen1::reserve, id.as_bytes());
        instance.ok(gen2::open, &keys([id, "a", ""]));
    }
    instance.ok(gen2::stop, b"v");
    assert_eq!(bus.emit(1, ["a"]).unwrap().matched(), 1);
    instance.ok(gen2::start, b"w");
    let next = instance.abi.next_callback(&mut instance.memory).unwrap();
    assert!(next.is_some(), "what it held is delivered");
    instance.ok(gen2::stop, b"w");
    drop(next);
    assert_eq!(bus.emit(2, ["a"]).unwrap().matched(), 0);
}

/// A generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }
}

/// A watch of the reference implementation.
struct Expected {
    from: String,
    to: String,
    is_started: bool,
    /// The values that it has to receive, in this order.
    values: VecDeque<u64>,
}

impl Instance {
    /// The values and ids of the batch in the buffer.
    fn batch(&self) -> Vec<(u64, String)> {
        let len = u32::from_le_bytes(self.memory[BUF_LEN..][..4].try_into().unwrap());
        let mut left = &self.memory[BUF..][..len as usize];
        let number = |left: &mut &[u8], n: usize| {
            let (taken, rest) = left.split_at(n);
            *left = rest;
            taken.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
        };
        let mut notices = Vec::new();
        for _ in 0..number(&mut left, 2) {
            let value = number(&mut left, 8);
            for _ in 0..number(&mut left, 2) {
                let n_bytes = number(&mut left, 2) as usize;
                let (id, rest) = left.split_at(n_bytes);
                left = rest;
                notices.push((value, String::from_utf8(id.to_vec()).unwrap()));
            }
        }
        assert!(left.is_empty());
        notices
    }
}

/// Two instances of an owner and its groups against a reference implementation: a list of the
/// values of each watch. Each is delivered once and in order, or its id does not fit.
#[test]
fn g03_every_value_of_every_watch_is_delivered_whatever_happens_in_between() {
    const GROUPS: [&str; 3] = ["", "g", "h"];
    const IDS: [&str; 4] = ["a", "b", "long", "much-longer"];
    let mut n_batches = 0;
    for seed in 1..=300 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let bus = RangeWatchBus::new();
        let own = Owner::new(&bus, Limits::default(), Emits::Immediate);
        let mut instances = [(); 2].map(|()| Instance::new(GuestAbi::of_owner(&own)));
        let mut running = [None, None];
        let mut watches: BTreeMap<(OwnerId, &str), Expected> = BTreeMap::new();
        let mut owners: Vec<Option<OwnerId>> = vec![Some(own.id()), None, None];
        for value in 0..400 {
            // At the end all is delivered.
            let is_end = value >= 300;
            let at = random.below(2);
            let choice = if is_end { 9 } else { random.below(16) };
            let instance = &mut instances[at];
            let (group, id) = (random.below(3), IDS[random.below(4)]);
            match choice {
                0..=3 if running[at].is_none() => {
                    // Verbs run outside of a callback here.
                    instance.abi.set_owner(&own).unwrap();
                    if group > 0 {
                        instance.ok(gen2::group_start, GROUPS[group].as_bytes());
                    }
                    let owner = instance.abi.owner().id();
                    owners[group] = Some(owner);
                    let place = (owner, id);
                    match choice {
                        0 | 1 => {
                            let (from, to) =
                                [("k", "l"), ("k", ""), ("m", "a"), ("j", "k1")][random.below(4)];
                            let (_, text) = instance.call(gen2::open, &keys([id, from, to]));
                            assert_eq!(text.is_empty(), !watches.contains_key(&place));
                            watches.entry(place).or_insert_with(|| Expected {
                                from: from.to_owned(),
                                to: to.to_owned(),
                                is_started: false,
                                values: VecDeque::new(),
                            });
                        }
                        2 => {
                            let (_, text) = instance.call(gen2::start, id.as_bytes());
                            assert_eq!(text.is_empty(), watches.contains_key(&place));
                            if let Some(watch) = watches.get_mut(&place) {
                                watch.is_started = true;
                            }
                        }
                        _ => {
                            let (_, text) = instance.call(gen2::stop, id.as_bytes());
                            assert_eq!(text.is_empty(), watches.remove(&place).is_some());
                            // The other instance may run a batch that names it.
                            instance.abi = GuestAbi::of_owner(&own);
                            let memory = &instance.memory;
                            instance.abi.attach(memory, 0, true).unwrap();
                        }
                    }
                }
                4 if running[at].is_none() && random.below(4) == 0 && group > 0 => {
                    let known = owners[group].take();
                    let (_, text) = instance.call(gen2::group_stop, GROUPS[group].as_bytes());
                    assert_eq!(text.is_empty(), known.is_some());
                    watches.retain(|(owner, _), _| Some(*owner) != known);
                }
                5..=8 => {
                    let key = ["k", "k1", "x", "j"][random.below(4)];
                    bus.emit(value, [key]).unwrap();
                    for watch in watches.values_mut() {
                        let (from, to) = (&*watch.from, &*watch.to);
                        if key == from || (from <= key && key < to) {
                            watch.values.push_back(value);
                        }
                    }
                }
                9..=12 if running[at].is_none() => {
                    let cap = [2 + 10 + 2 + 4, 40, 2_000][random.below(3)] as u32;
                    instance.memory[BUF_CAP..][..4].copy_from_slice(&cap.to_le_bytes());
                    let next = instance.abi.next_callback(&mut instance.memory);
                    instance.memory[BUF_CAP..][..4].copy_from_slice(&CAP.to_le_bytes());
                    let (owner, notices) = match next {
                        Ok(None) => continue,
                        Ok(Some(callback)) => {
                            running[at] = Some(callback);
                            (instance.abi.owner().id(), instance.batch())
                        }
                        Err(error) => {
                            let id = String::from_utf8(error.id).unwrap();
                            (error.owner, vec![(error.value, id)])
                        }
                    };
                    n_batches += 1;
                    for (value, id) in notices {
                        let watch = watches
                            .iter_mut()
                            .find(|(place, _)| **place == (owner, &*id));
                        let (_, watch) = watch.expect("it is open");
                        assert!(watch.is_started);
                        assert_eq!(watch.values.pop_front(), Some(value), "{seed} {id}");
                    }
                }
                _ => {}
            }
            if (is_end || choice > 12)
                && let Some(callback) = running[at].take()
            {
                if random.below(3) == 0 {
                    // It has trapped.
                    drop(callback);
                    instances[at] = Instance::new(GuestAbi::of_owner(&own));
                } else {
                    let instance = &mut instances[at];
                    let ended = instance.abi.finish(&mut instance.memory, &callback);
                    assert_eq!(ended.unwrap(), None);
                }
            }
        }
        drop(running);
        for ((_, id), watch) in watches {
            assert!(
                !watch.is_started || watch.values.is_empty(),
                "{seed} {id} {:?}",
                watch.values
            );
        }
        assert_eq!(instances[0].abi.n_ready(), 0, "{seed}");
    }
    assert!(n_batches > 1_000, "{n_batches}");
}
