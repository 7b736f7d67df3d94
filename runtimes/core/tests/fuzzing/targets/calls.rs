//! Sequences of calls of the ABI over arbitrary memory, without an engine: two instances of one
//! guest and one of another share a bus. Each result, the memory after each call, each emit, each
//! callback and the counts are compared with those of the [model](super::model).

use std::task::{Context, Waker};

use rangewatch_bus::{EventSubscription, History, RangeWatchBus, Selector};
use rangewatch_runtime::abi::{AbiError, Callback, Generation, GuestAbi, Outcome, gen1, gen2, io};
use rangewatch_runtime::{CallbackError, CallbackErrorCause, Emits, Limits, Owner};

use super::input::Input;
use super::memory::{self, Fault, Page};
use super::model::{Emit, GuestModel, Model, OwnerModel, Stopped};

/// The most operations of an input: each costs some scans of the model.
const MAX_OPERATIONS: usize = 300;

/// The address of the meta page.
const PAGE: u32 = 16;

const IDS: [&[u8]; 7] = [b"", b"v", b"w", b"ww", b"\0\x01", b"seven77", b"nine99999"];

const KEYS: [&[u8]; 9] = [
    b"",
    b"a",
    b"b",
    b"ab",
    b"a\0",
    b"c",
    b"\xff",
    b"\xff\xff",
    b"aaaaaaaaaaaaa",
];

/// Makes the calls that `input` encodes, with a meta page as a guest sets it up.
pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mut calls = Calls::new(&mut input, |_| {
        let mut memory = vec![0; 1_024];
        let page = [256_u32, 48, 52, 128, 56, 60, 64];
        for (slot, address) in page.into_iter().enumerate() {
            memory[PAGE as usize + 4 * slot..][..4].copy_from_slice(&address.to_le_bytes());
        }
        memory[48..52].copy_from_slice(&512_u32.to_le_bytes());
        memory[56..60].copy_from_slice(&64_u32.to_le_bytes());
        (memory, PAGE)
    });
    calls.run(&mut input);
}

/// Makes the calls that `input` encodes, over an arbitrary memory with an arbitrary meta page.
pub(crate) fn run_over_any_page(input: &[u8]) {
    let mut input = Input::new(input);
    let mut calls = Calls::new(&mut input, |input| {
        let len = input.choose(&[0, 27, 28, 48, 64, 100, 300, 700]);
        let pattern = input.bytes(40);
        let mut memory: Vec<u8> = pattern.iter().copied().cycle().take(len).collect();
        memory.resize(len, 0);
        let page = match input.below(8) {
            0 => input.u32(),
            1 => (len as u32).wrapping_sub(28 - input.below(3) as u32),
            _ => input.below(len.saturating_sub(27).max(1)) as u32,
        };
        let slots: Vec<u32> = (0..7).map(|_| input.address(len)).collect();
        for (at, value) in (0..).map(|slot| page.wrapping_add(4 * slot)).zip(&slots) {
            // Ignored where it is outside.
            let _ = memory::write(&mut memory, at, &value.to_le_bytes());
        }
        for capacity in [slots[1], slots[4]] {
            let bytes = u32::from(input.byte()).to_le_bytes();
            let _ = memory::write(&mut memory, capacity, &bytes);
        }
        (memory, page)
    });
    calls.run(&mut input);
}

/// One instance, and what is known of it.
struct Instance {
    guest: usize,
    abi: GuestAbi,
    memory: Vec<u8>,
    /// The address of its page, unless it is not attached.
    page_at: Option<u32>,
    /// The page, once it was read.
    page: Option<Page>,
    can_receive: bool,
    owner: usize,
    state: InstanceState,
    /// The text of the host that a report is compared with.
    host_text: Vec<u8>,
    staged: Vec<Emit>,
    /// What was queued and not yet flushed, and the bytes of its lists.
    gathered: Vec<Emit>,
    gathered_bytes: usize,
    /// The group that is selected.
    group: Option<usize>,
    input: Vec<u8>,
    output: Option<Vec<u8>>,
}

enum InstanceState {
    Idle,
    /// In the callback of a watch.
    Receiving(Callback, usize),
    /// In a batch of an owner, of these watches.
    ReceivingBatch(Callback, usize, Vec<usize>),
    /// In a `stop` that waits for the callback of a watch.
    Stopping(usize),
}

/// How a call should end. Of several faults any may be the one that is reported.
enum Expected {
    Traps(Vec<Fault>),
    Returns { work: usize, value: i32 },
    Waits { work: usize },
}

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Reserve,
    Open,
    Start,
    Stop,
}

struct Calls {
    bus: RangeWatchBus,
    events: EventSubscription,
    instances: Vec<Instance>,
    owners: Vec<Owner>,
    model: Model,
    /// The memory of a new instance, and the address of its page.
    fresh: (Vec<u8>, u32),
}

impl Calls {
    fn new(input: &mut Input<'_>, memory: impl FnOnce(&mut Input<'_>) -> (Vec<u8>, u32)) -> Self {
        let options = input.byte();
        let has_history = options & 1 != 0;
        let bus = match has_history {
            true => RangeWatchBus::builder()
                .history(History::events(100))
                .build(),
            false => Ok(RangeWatchBus::new()),
        };
        let bus = bus.expect("valid bounds");
        let events = bus.subscribe(Selector::all()).events(1_000);
        let mut calls = Self {
            events: events.expect("a valid capacity"),
            bus,
            instances: Vec::new(),
            owners: Vec::new(),
            model: Model::new(has_history),
            fresh: memory(input),
        };
        for guest in 0..2 {
            let limits = match options >> 1 & 1 << guest {
                0 => Limits::default(),
                _ => Limits::default()
                    .watches(4)
                    .watch_bytes(24)
                    .id_bytes(7)
                    .key_bytes(4)
                    .flush_keys(4)
                    .flush_bytes(20)
                    .staged_keys(6)
                    .staged_bytes(100)
                    .staged_matches(9)
                    .output_bytes(20),
            };
            let emits = match options >> 3 & 1 << guest {
                0 => Emits::Immediate,
                _ => Emits::Staged,
            };
            let owner = Owner::new(&calls.bus, limits.clone(), emits);
            let generation = match options >> 7 {
                1 if guest == 0 => Generation::Two,
                _ => Generation::One,
            };
            calls.model.guests.push(GuestModel {
                limits,
                emits,
                generation,
            });
            calls.add_owner(owner, guest);
        }
        for guest in [0, 0, 1] {
            let instance = calls.instance(guest, options & 1 << 5 == 0, options & 1 << 6 == 0);
            calls.instances.push(instance);
        }
        calls
    }

    fn add_owner(&mut self, owner: Owner, guest: usize) {
        self.model
            .owners
            .push(OwnerModel::new(owner.id(), guest, None));
        self.owners.push(owner);
    }

    /// A new instance of a guest.
    fn instance(&self, guest: usize, is_attached: bool, can_receive: bool) -> Instance {
        let (memory, page_at) = self.fresh.clone();
        let mut instance = Instance {
            guest,
            abi: GuestAbi::of_owner(&self.owners[guest]),
            memory,
            page_at: None,
            page: None,
            can_receive: false,
            owner: guest,
            state: InstanceState::Idle,
            host_text: Vec::new(),
            staged: Vec::new(),
            gathered: Vec::new(),
            gathered_bytes: 0,
            group: None,
            input: Vec::new(),
            output: None,
        };
        if is_attached {
            instance.attach(page_at, can_receive);
        }
        instance
    }

    fn run(&mut self, input: &mut Input<'_>) {
        let mut n_left = MAX_OPERATIONS;
        while !input.is_empty() && n_left > 0 {
            n_left -= 1;
            self.model.now += 1;
            self.operation(input);
            self.check();
        }
        self.end(input.below(2) == 0);
    }

    fn operation(&mut self, input: &mut Input<'_>) {
        let i = input.below(self.instances.len());
        let operation = input.below(27);
        match &self.instances[i].state {
            // The engine is inside of the call.
            InstanceState::Stopping(_) => match operation {
                0 => self.replace(i),
                _ => self.stop_again(i),
            },
            _ => match operation {
                0 => self.replace(i),
                1 => self.flush(i),
                2..=4 => {
                    let keys = some_keys(input);
                    let value = self.value(input);
                    self.instances[i].put(&memory::list(&keys));
                    self.instances[i].put_value(value);
                    self.flush(i);
                }
                5..=7 => {
                    let keys = [input.choose(&IDS), input.choose(&KEYS), input.choose(&KEYS)];
                    self.instances[i].put(&memory::list(&keys));
                    self.verb(i, Verb::Open);
                }
                8..=13 => {
                    let verbs = [Verb::Start, Verb::Stop, Verb::Reserve];
                    let verb = verbs[(operation - 8) / 2];
                    self.instances[i].put(input.choose(&IDS));
                    self.verb(i, verb);
                }
                14 => {
                    let verbs = [Verb::Start, Verb::Stop, Verb::Reserve, Verb::Open];
                    self.verb(i, input.choose(&verbs));
                }
                15 => {
                    let len = self.instances[i].memory.len();
                    let (at, bytes) = (input.address(len), input.bytes(12));
                    let _ = memory::write(&mut self.instances[i].memory, at, &bytes);
                }
                16 => self.instances[i].put(&input.bytes(30)),
                17..=19 => self.deliver_or_finish(i),
                20 => self.instances[i].report(input),
                21 => self.bytes(i, input),
                22 if self.is_second(i) && input.below(2) == 0 => match input.below(8) {
                    0 => self.clear(i),
                    1 => self.flush_gathered(i),
                    2 | 3 => self.queue(i),
                    4 => {
                        self.instances[i].put(input.choose(&IDS));
                        self.group(i, false);
                    }
                    _ => {
                        if self.owners.len() < 12 {
                            self.instances[i].put(input.choose(&IDS));
                            self.group(i, true);
                        }
                    }
                },
                22 => match input.below(2) {
                    0 => self.commit(i),
                    _ => self.instances[i].discard(),
                },
                23 => {
                    let owner = input.below(self.owners.len());
                    self.set_owner(i, owner);
                }
                24 => {
                    let owner = input.below(self.owners.len());
                    if self.model.owners[owner].group_of.is_none() {
                        self.owners[owner].end();
                        self.model.end_owner(owner);
                    }
                }
                25 => {
                    if self.owners.len() < 6 {
                        let guest = self.instances[i].guest;
                        let owner = self.owners[guest].of_same_guest();
                        self.add_owner(owner, guest);
                    }
                }
                _ => {
                    let (keys, value) = (some_keys(input), self.value(input));
                    self.emit(value, &keys);
                }
            },
        }
    }

    /// A value: often the next one, so that a bus with history accepts it.
    fn value(&self, input: &mut Input<'_>) -> u64 {
        match input.below(8) {
            0 => u64::MAX - u64::from(input.byte()),
            1 => u64::from(input.byte()),
            2 => 0,
            _ => {
                let head = self.bus.head().unwrap_or(0);
                head.saturating_add(1 + input.below(2) as u64)
            }
        }
    }

    /// An emit of the host.
    fn emit(&mut self, value: u64, keys: &[&[u8]]) {
        let emitted = self.bus.emit_slices(value, keys);
        let keys: Vec<_> = keys.iter().map(|key| key.to_vec()).collect();
        let expected = self.model.emit(value, &keys).ok();
        assert_eq!(emitted.ok().map(|emitted| emitted.n_ranges()), expected);
    }

    /// Drops an instance, as after a trap, and makes another.
    fn replace(&mut self, i: usize) {
        let old = &mut self.instances[i];
        let (guest, can_receive) = (old.guest, old.can_receive);
        match std::mem::replace(&mut old.state, InstanceState::Idle) {
            InstanceState::Receiving(callback, watch) => {
                drop(callback);
                self.model.leave(watch);
            }
            InstanceState::ReceivingBatch(callback, owner, watches) => {
                drop(callback);
                self.leave_batch(owner, &watches);
            }
            _ => {}
        }
        self.instances[i] = self.instance(guest, true, can_receive);
    }

    /// Checks how a call ended, and the memory after it. After a trap the instance is replaced.
    fn check_end(
        &mut self,
        i: usize,
        what: &str,
        ended: Result<Outcome, AbiError>,
        expected: &Expected,
        memory: &[u8],
    ) {
        assert!(self.instances[i].memory == memory, "{what}: {ended:?}");
        match (ended, expected) {
            (Err(error), Expected::Traps(faults)) => {
                let fault = fault(&error);
                assert!(
                    faults.contains(&&*fault),
                    "{what}: {error:?}, not {faults:?}"
                );
                self.replace(i);
            }
            (Ok(outcome), Expected::Returns { work, value }) => {
                assert!(outcome.state().is_ready(), "{what} waits");
                assert_eq!(outcome.work(), *work as u64, "{what}");
                assert_eq!(outcome.result(), *value, "{what}");
            }
            (Ok(outcome), Expected::Waits { work }) => {
                assert!(outcome.state().is_pending(), "{what} does not wait");
                assert_eq!(outcome.work(), *work as u64, "{what}");
            }
            (Ok(outcome), Expected::Traps(faults)) => panic!("{what}: {outcome:?}, not {faults:?}"),
            (Err(error), _) => panic!("{what}: {error:?}"),
        }
    }

    fn is_second(&self, i: usize) -> bool {
        let guest = self.instances[i].guest;
        self.model.guests[guest].generation == Generation::Two
    }

    /// The owner that the instance runs under.
    fn namespace(&self, i: usize) -> usize {
        let instance = &self.instances[i];
        match (&instance.group, &instance.state) {
            (Some(group), _) => *group,
            (None, InstanceState::Receiving(_, watch)) => self.model.watches[*watch].owner,
            (None, InstanceState::ReceivingBatch(_, owner, _)) => *owner,
            (None, _) => instance.owner,
        }
    }

    fn leave_batch(&mut self, owner: usize, watches: &[usize]) {
        self.model.owners[owner].is_running = false;
        for watch in watches {
            self.model.leave(*watch);
        }
    }

    fn flush(&mut self, i: usize) {
        if self.is_second(i) {
            self.queue(i);
            // An instance that trapped is a new one, which has queued nothing.
            return self.flush_gathered(i);
        }
        let expected = self.expect_flush(i).unwrap_or_else(Expected::Traps);
        let instance = &mut self.instances[i];
        let before = instance.memory.clone();
        let ended = gen1::flush(&mut instance.abi, &mut instance.memory);
        self.check_end(i, "flush", ended, &expected, &before);
    }

    fn expect_flush(&mut self, i: usize) -> Result<Expected, Vec<Fault>> {
        let instance = &mut self.instances[i];
        let page = instance.page()?;
        let buf = page.buf(&instance.memory)?;
        if buf.is_empty() {
            return Ok(Expected::Returns {
                work: 100,
                value: 0,
            });
        }
        let guest = &self.model.guests[instance.guest];
        let limits = &guest.limits;
        let mut faults = Vec::new();
        let (keys, is_whole) = memory::keys(&buf);
        if buf.len() > limits.max_flush_bytes() {
            faults.push("FlushTooLarge");
        }
        if !is_whole {
            faults.push("KeysCutShort");
        }
        if keys.len() > limits.max_flush_keys() {
            faults.push("FlushTooManyKeys");
        }
        if keys.iter().any(|key| key.len() > limits.max_key_bytes()) {
            faults.push("KeyTooLong");
        }
        let value = page.val(&instance.memory);
        faults.extend(value.err());
        let Ok(value) = value else {
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let n_matched = match guest.emits {
            Emits::Staged => {
                instance.stage(value, &keys, limits)?;
                0
            }
            _ => self.model.emit(value, &keys).map_err(|fault| vec![fault])?,
        };
        Ok(Expected::Returns {
            work: 100 + buf.len() / 16 + 4 * keys.len() + n_matched,
            value: 0,
        })
    }

    fn queue(&mut self, i: usize) {
        let expected = self.expect_queue(i).unwrap_or_else(Expected::Traps);
        let instance = &mut self.instances[i];
        let before = instance.memory.clone();
        let ended = gen2::queue(&mut instance.abi, &mut instance.memory);
        self.check_end(i, "queue", ended, &expected, &before);
    }

    fn expect_queue(&mut self, i: usize) -> Result<Expected, Vec<Fault>> {
        let instance = &mut self.instances[i];
        let page = instance.page()?;
        let buf = page.buf(&instance.memory)?;
        let limits = &self.model.guests[instance.guest].limits;
        let (keys, is_whole) = memory::keys(&buf);
        let gathered = instance.gathered.iter();
        let n_keys = keys.len() + gathered.map(|(_, keys)| keys.len()).sum::<usize>();
        let mut faults = Vec::new();
        if buf.len() + instance.gathered_bytes > limits.max_flush_bytes() {
            faults.push("FlushTooLarge");
        }
        if !is_whole {
            faults.push("KeysCutShort");
        }
        if n_keys > limits.max_flush_keys() {
            faults.push("FlushTooManyKeys");
        }
        if keys.iter().any(|key| key.len() > limits.max_key_bytes()) {
            faults.push("KeyTooLong");
        }
        let value = page.val(&instance.memory);
        faults.extend(value.err());
        match value {
            Ok(value) if faults.is_empty() => {
                let expected = Expected::Returns {
                    work: 100 + buf.len() / 16 + 4 * keys.len(),
                    value: 0,
                };
                if !keys.is_empty() {
                    append(&mut instance.gathered, value, &keys);
                    instance.gathered_bytes += buf.len();
                }
                Ok(expected)
            }
            _ => Err(faults),
        }
    }

    fn flush_gathered(&mut self, i: usize) {
        let expected = self
            .expect_flush_gathered(i)
            .unwrap_or_else(Expected::Traps);
        let instance = &mut self.instances[i];
        let before = instance.memory.clone();
        let ended = gen2::flush(&mut instance.abi, &mut instance.memory);
        self.check_end(i, "flush", ended, &expected, &before);
    }

    fn expect_flush_gathered(&mut self, i: usize) -> Result<Expected, Vec<Fault>> {
        let instance = &mut self.instances[i];
        let n_bytes = std::mem::take(&mut instance.gathered_bytes);
        let gathered = std::mem::take(&mut instance.gathered);
        let guest = &self.model.guests[instance.guest];
        let n_keys: usize = gathered.iter().map(|(_, keys)| keys.len()).sum();
        let mut n_ranges = 0;
        if gathered.is_empty() {
            return Ok(Expected::Returns {
                work: 100,
                value: 0,
            });
        }
        if guest.emits == Emits::Staged {
            for (value, keys) in gathered {
                instance.stage(value, &keys, &guest.limits)?;
            }
        } else {
            let values = gathered.iter().map(|(value, _)| *value);
            self.model
                .check_values(values)
                .map_err(|fault| vec![fault])?;
            for (value, keys) in gathered {
                n_ranges += self.model.emit(value, &keys).expect("checked");
            }
        }
        Ok(Expected::Returns {
            work: 100 + n_bytes / 16 + 4 * n_keys + n_ranges,
            value: 0,
        })
    }

    fn clear(&mut self, i: usize) {
        let instance = &mut self.instances[i];
        instance.gathered.clear();
        instance.gathered_bytes = 0;
        let before = instance.memory.clone();
        let ended = gen2::clear(&mut instance.abi, &mut instance.memory);
        let expected = Expected::Returns {
            work: 100,
            value: 0,
        };
        self.check_end(i, "clear", ended, &expected, &before);
    }

    /// Opens or selects a group, or ends one.
    fn group(&mut self, i: usize, is_start: bool) {
        let mut memory = self.instances[i].memory.clone();
        let mut opened_in = None;
        let expected = self.expect_group(i, is_start, &mut memory, &mut opened_in);
        let expected = expected.unwrap_or_else(Expected::Traps);
        let instance = &mut self.instances[i];
        let (what, ended) = match is_start {
            true => (
                "group_start",
                gen2::group_start(&mut instance.abi, &mut instance.memory),
            ),
            false => (
                "group_stop",
                gen2::group_stop(&mut instance.abi, &mut instance.memory),
            ),
        };
        if let Some(group_of) = opened_in {
            let guest = instance.guest;
            instance.group = Some(self.owners.len());
            let owner = instance.abi.owner();
            let model = OwnerModel::new(owner.id(), guest, Some(group_of));
            self.model.owners.push(model);
            self.owners.push(owner);
        }
        self.check_end(i, what, ended, &expected, &memory);
    }

    fn expect_group(
        &mut self,
        i: usize,
        is_start: bool,
        memory: &mut [u8],
        opened_in: &mut Option<(usize, Vec<u8>)>,
    ) -> Result<Expected, Vec<Fault>> {
        let page = self.instances[i].page()?;
        let buf = page.buf(memory)?;
        let owner = self.namespace(i);
        let mut n_ended = 0;
        let result = match is_start {
            true => self
                .model
                .start_group(owner, &buf)
                .map(|group| match group {
                    Ok(group) => self.instances[i].group = Some(group),
                    Err(parent) => *opened_in = Some((parent, buf.clone())),
                }),
            false => self.model.stop_group(owner, &buf).map(|(group, n)| {
                n_ended = n;
                if self.instances[i].group == Some(group) {
                    self.instances[i].group = None;
                }
            }),
        };
        let text = result.err().unwrap_or_default();
        let n_bytes = match text {
            "id too long" => 0,
            _ => buf.len(),
        };
        let written = page.write_err(memory, text).map_err(|fault| vec![fault])?;
        self.instances[i].host_text = written;
        Ok(Expected::Returns {
            work: 200 + n_bytes / 16 + 4 * n_ended,
            value: 0,
        })
    }

    fn verb(&mut self, i: usize, verb: Verb) {
        let mut memory = self.instances[i].memory.clone();
        let (expected, waits_for) = match self.expect_verb(i, verb, &mut memory) {
            Ok((work, None)) => (Expected::Returns { work, value: 0 }, None),
            Ok((work, waits_for)) => (Expected::Waits { work }, waits_for),
            Err(faults) => (Expected::Traps(faults), None),
        };
        let instance = &mut self.instances[i];
        let is_first = self.model.guests[instance.guest].generation == Generation::One;
        let function = match verb {
            Verb::Reserve if is_first => gen1::reserve,
            Verb::Open if is_first => gen1::open,
            Verb::Start if is_first => gen1::start,
            Verb::Stop if is_first => gen1::stop,
            Verb::Reserve => gen2::reserve,
            Verb::Open => gen2::open,
            Verb::Start => gen2::start,
            Verb::Stop => gen2::stop,
        };
        if let Some(watch) = waits_for {
            instance.state = InstanceState::Stopping(watch);
        }
        let ended = function(&mut instance.abi, &mut instance.memory);
        self.check_end(i, verb.name(), ended, &expected, &memory);
    }

    /// The work of a verb, and the watch whose callback it waits for. Writes its text to `memory`.
    fn expect_verb(
        &mut self,
        i: usize,
        verb: Verb,
        memory: &mut [u8],
    ) -> Result<(usize, Option<usize>), Vec<Fault>> {
        let instance = &mut self.instances[i];
        let page = instance.page()?;
        let mut faults = Vec::new();
        if verb == Verb::Start && !instance.can_receive {
            faults.push("NoRecv");
        }
        let buf = page.buf(memory);
        let buf = buf.map_err(|more| [&faults[..], &more].concat())?;
        let (keys, is_whole) = memory::keys(&buf);
        if verb == Verb::Open {
            if !is_whole {
                faults.push("KeysCutShort");
            }
            if keys.len() != 3 {
                faults.push("OpenKeys");
            }
            if !is_whole && keys.len() == 3 {
                // What follows the third key is a fourth one that is cut short.
                faults.push("OpenKeys");
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let is_in_recv = matches!(
            instance.state,
            InstanceState::Receiving(..) | InstanceState::ReceivingBatch(..)
        );
        let owner = self.namespace(i);
        let mut waits_for = None;
        let result = match verb {
            Verb::Reserve => self.model.reserve(owner, &buf),
            Verb::Open => self.model.open(owner, [&keys[0], &keys[1], &keys[2]]),
            Verb::Start => self.model.start(owner, &buf),
            Verb::Stop => self.model.stop(owner, &buf, is_in_recv).map(|stopped| {
                if let Stopped::Waits(watch) = stopped {
                    waits_for = Some(watch);
                }
            }),
        };
        let text = result.err().unwrap_or_default();
        let n_bytes = match text {
            "id too long" if verb != Verb::Open => 0,
            _ => buf.len(),
        };
        let written = page.write_err(memory, text).map_err(|fault| vec![fault])?;
        self.instances[i].host_text = written;
        Ok((200 + n_bytes / 16, waits_for))
    }

    /// Makes another attempt of a `stop` that waits.
    fn stop_again(&mut self, i: usize) {
        let instance = &mut self.instances[i];
        let InstanceState::Stopping(watch) = instance.state else {
            return;
        };
        let is_running = self.model.watches[watch].is_running;
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(instance.abi.poll_ready(&mut cx).is_pending(), is_running);
        let expected = match is_running {
            true => Expected::Waits { work: 0 },
            false => Expected::Returns { work: 0, value: 0 },
        };
        let memory = instance.memory.clone();
        let ended = gen1::stop(&mut instance.abi, &mut instance.memory);
        if !is_running {
            instance.state = InstanceState::Idle;
        }
        self.check_end(i, "stop, again", ended, &expected, &memory);
    }

    /// Enters the next callback on an idle instance, or ends the one that it is in.
    fn deliver_or_finish(&mut self, i: usize) {
        match std::mem::replace(&mut self.instances[i].state, InstanceState::Idle) {
            InstanceState::Receiving(callback, watch) => {
                let owner = self.model.watches[watch].owner;
                self.finish(i, callback, owner, &[watch]);
            }
            InstanceState::ReceivingBatch(callback, owner, watches) => {
                self.finish(i, callback, owner, &watches);
                self.model.owners[owner].is_running = false;
            }
            InstanceState::Idle => _ = self.deliver(i),
            state => self.instances[i].state = state,
        }
    }

    /// Enters the next callback. Returns whether there was one.
    fn deliver(&mut self, i: usize) -> bool {
        if self.is_second(i) {
            return self.deliver_batch(i);
        }
        let instance = &mut self.instances[i];
        let ready = self.model.ready(instance.guest);
        // The page is read when a callback is due.
        let page = match ready.is_empty() {
            true => Err(Vec::new()),
            false => instance.page(),
        };
        let mut memory = instance.memory.clone();
        let delivered = instance.abi.next_callback(&mut instance.memory);
        let (id, value) = match &delivered {
            Ok(None) => {
                assert!(ready.is_empty(), "a callback is due");
                return false;
            }
            Ok(Some(callback)) => (callback.id().to_vec(), callback.value()),
            Err(error) => (error.id.clone(), error.value),
        };
        let oldest = ready
            .iter()
            .map(|&watch| self.model.watches[watch].ready_since);
        let oldest = oldest.min().expect("no callback is due");
        // Without a callback that was entered the owner is not known.
        let owner = delivered.is_ok().then(|| instance.abi.owner());
        let is_it = |&&watch: &&usize| {
            let watch = &self.model.watches[watch];
            watch.id == id
                && watch.pending == Some(value)
                && owner
                    .as_ref()
                    .is_none_or(|owner| *owner == self.owners[watch.owner])
        };
        let candidates: Vec<_> = ready.iter().filter(is_it).copied().collect();
        let Some(&watch) = candidates.first() else {
            panic!("{id:?} = {value} is not due");
        };
        if candidates.len() == 1 {
            assert_eq!(
                self.model.watches[watch].ready_since, oldest,
                "not the oldest"
            );
        }
        self.model.enter(watch);
        let expected = page.and_then(|page| {
            let delivered = page.deliver(&mut memory, &id, value);
            delivered.map_err(|fault| vec![fault])
        });
        assert!(instance.memory == memory, "{delivered:?}");
        match (delivered, expected) {
            (Ok(Some(callback)), Ok(())) => {
                assert_eq!(instance.abi.watch_id(), Some(&*id));
                instance.state = InstanceState::Receiving(callback, watch);
                instance.host_text.clear();
            }
            (Err(CallbackError { cause, .. }), Err(faults)) => {
                let CallbackErrorCause::Abi(error) = cause else {
                    panic!("{cause:?}");
                };
                assert!(
                    faults.contains(&&*fault(&error)),
                    "{error:?}, not {faults:?}"
                );
                assert_eq!(instance.abi.watch_id(), None);
                self.model.leave(watch);
                // Which of several it was is not known.
                if candidates.len() > 1 {
                    self.end_owners();
                }
            }
            (delivered, expected) => panic!("{delivered:?}, not {expected:?}"),
        }
        true
    }

    /// Enters the callback of a batch. Returns whether there was one.
    fn deliver_batch(&mut self, i: usize) -> bool {
        let due = self.model.owners_due(self.instances[i].guest);
        let instance = &mut self.instances[i];
        let page = match due.is_empty() {
            // It is read when there is something to look for.
            true => instance.page.ok_or_else(Vec::new),
            false => instance.page(),
        };
        let before = instance.memory.clone();
        let callback = match instance.abi.next_callback(&mut instance.memory) {
            Ok(Some(callback)) => callback,
            Ok(None) => {
                assert!(due.is_empty(), "a batch is due");
                return false;
            }
            // A notice is lost: which one is not known.
            Err(CallbackError { cause, .. }) => {
                assert!(matches!(cause, CallbackErrorCause::Abi(_)), "{cause:?}");
                self.instances[i].group = None;
                self.end_owners();
                return true;
            }
        };
        let page = page.expect("it was written to");
        if page.overlaps(&before) {
            // The batch cannot be read.
            drop(callback);
            self.end_owners();
            self.replace(i);
            return true;
        }
        let memory = &instance.memory;
        let bytes = page.buf(memory).expect("a batch");
        // What may change: the buffer and two numbers.
        let mut unchanged = memory.clone();
        for (at, n) in [
            (page.buf, page.capacity(&before).expect("inside")),
            (page.buf_len, 4),
            (page.err_len, 4),
        ] {
            let old = memory::read(&before, at, n).expect("inside").to_vec();
            memory::write(&mut unchanged, at, &old).expect("inside");
        }
        assert!(unchanged == before, "a batch changes other memory");
        let notices = memory::batch(&bytes).expect("a batch");
        assert_eq!(callback.n_notices(), notices.len());
        assert_eq!(instance.abi.watch_id(), None);
        let id = instance.abi.owner().id();
        let owner = self.model.owners.iter().position(|owner| owner.id == id);
        let owner = owner.expect("a known owner");
        assert!(!self.model.owners[owner].is_running, "two batches at once");
        assert!(due.contains(&owner) || notices.is_empty(), "nothing is due");
        let mut watches = Vec::new();
        for (value, ids) in notices {
            assert!(!ids.is_empty());
            for id in ids {
                let watch = self.model.find(owner, &id).expect("a live watch");
                let next = self.model.watches[watch].notices.pop_front();
                assert_eq!(next, Some(value), "{id:?}");
                self.model.watches[watch].is_running = true;
                watches.push(watch);
            }
        }
        self.model.owners[owner].is_running = true;
        let instance = &mut self.instances[i];
        instance.state = InstanceState::ReceivingBatch(callback, owner, watches);
        instance.host_text.clear();
        instance.group = None;
        true
    }

    fn end_owners(&mut self) {
        for owner in 0..self.owners.len() {
            self.owners[owner].end();
            self.model.end_owner(owner);
        }
    }

    /// Ends a callback that returned.
    fn finish(&mut self, i: usize, callback: Callback, owner: usize, watches: &[usize]) {
        let instance = &mut self.instances[i];
        let mut memory = instance.memory.clone();
        let report = instance.page().and_then(|page| {
            let report = page.take_report(&mut memory, &instance.host_text);
            report.map_err(|fault| vec![fault])
        });
        let is_ended = self.model.owners[owner].is_ended;
        instance.group = None;
        let staged = std::mem::take(&mut instance.staged);
        let expected = match report {
            Ok(None) => match self.model.emit_all(instance.guest, staged) {
                Ok(()) => Ok(None),
                Err(faults) => Err(faults),
            },
            // The report of an owner that has ended is dropped.
            Ok(Some(_)) if is_ended => Ok(None),
            report => report,
        };
        if !matches!(expected, Ok(None)) {
            watches.iter().for_each(|watch| self.model.forget(*watch));
        }
        let instance = &mut self.instances[i];
        let ended = instance.abi.finish(&mut instance.memory, &callback);
        drop(callback);
        watches.iter().for_each(|watch| self.model.leave(*watch));
        assert!(instance.memory == memory, "{ended:?}");
        match (ended, expected) {
            (Ok(text), Ok(expected)) => {
                let expected = expected.as_deref().map(String::from_utf8_lossy);
                match (text, expected) {
                    (None, None) => {}
                    (Some(text), Some(expected)) => assert!(text.ends_with(&*expected)),
                    other => panic!("{other:?}"),
                }
            }
            (Err(error), Err(faults)) => {
                assert!(
                    faults.contains(&&*fault(&error)),
                    "{error:?}, not {faults:?}"
                );
            }
            (ended, expected) => panic!("{ended:?}, not {expected:?}"),
        }
    }

    /// One of the functions of a call with bytes, or its begin or end.
    fn bytes(&mut self, i: usize, input: &mut Input<'_>) {
        let operation = input.below(6);
        let Instance { abi, memory, .. } = &mut self.instances[i];
        match operation {
            0 => {
                let bytes = input.bytes(40);
                abi.begin_bytes(bytes.clone());
                self.instances[i].input = bytes;
                self.instances[i].output = Some(Vec::new());
            }
            1 => {
                let output = abi.end_bytes();
                assert_eq!(output, self.instances[i].output.take().unwrap_or_default());
                self.instances[i].input.clear();
            }
            2 => {
                let (before, ended) = (memory.clone(), io::input_len(abi, memory));
                let value = self.instances[i].input.len() as i32;
                let expected = Expected::Returns { work: 100, value };
                self.check_end(i, "input_len", ended, &expected, &before);
            }
            3 | 4 => {
                let ptr = input.address(memory.len());
                let offset = input.choose(&[0, 1, 5, 39, 40, -1, i32::MAX]);
                let len = input.choose(&[0, 1, 7, 40, -1, i32::MIN]);
                let mut after = memory.clone();
                let ended = io::input_read(abi, memory, ptr as i32, offset, len);
                let rest = self.instances[i].input.iter().skip(offset as u32 as usize);
                let copied: Vec<u8> = rest.take(len as u32 as usize).copied().collect();
                let expected = match memory::write(&mut after, ptr, &copied) {
                    Err(fault) => Expected::Traps(vec![fault]),
                    Ok(()) => Expected::Returns {
                        work: 100 + copied.len() / 16,
                        value: copied.len() as i32,
                    },
                };
                self.check_end(i, "input_read", ended, &expected, &after);
            }
            _ => {
                let ptr = input.address(memory.len());
                let len = input.choose(&[0, 1, 7, 20, 21, u32::MAX]);
                let (before, ended) = (
                    memory.clone(),
                    io::output_write(abi, memory, ptr as i32, len as i32),
                );
                let expected = self.expect_output(i, &before, ptr, len);
                let expected = expected.unwrap_or_else(Expected::Traps);
                self.check_end(i, "output_write", ended, &expected, &before);
            }
        }
    }

    fn expect_output(
        &mut self,
        i: usize,
        memory: &[u8],
        ptr: u32,
        len: u32,
    ) -> Result<Expected, Vec<Fault>> {
        let instance = &mut self.instances[i];
        let max_bytes = self.model.guests[instance.guest].limits.max_output_bytes();
        let mut faults = Vec::new();
        let bytes = memory::read(memory, ptr, len);
        faults.extend(bytes.err());
        match &mut instance.output {
            None => faults.push("NoOutput"),
            Some(output) if output.len() as u64 + u64::from(len) > max_bytes as u64 => {
                faults.push("OutputTooLarge");
            }
            Some(output) if faults.is_empty() => output.extend(bytes.unwrap_or_default()),
            Some(_) => {}
        }
        match faults.is_empty() {
            true => Ok(Expected::Returns {
                work: 100 + len as usize / 16,
                value: 0,
            }),
            false => Err(faults),
        }
    }

    /// Commits what was staged, as after a call that returned.
    fn commit(&mut self, i: usize) {
        let instance = &mut self.instances[i];
        let staged = std::mem::take(&mut instance.staged);
        let expected = self.model.emit_all(instance.guest, staged);
        match (instance.abi.commit(), expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(faults)) => {
                assert!(
                    faults.contains(&&*fault(&error)),
                    "{error:?}, not {faults:?}"
                );
            }
            (ended, expected) => panic!("{ended:?}, not {expected:?}"),
        }
    }

    fn set_owner(&mut self, i: usize, owner: usize) {
        let instance = &mut self.instances[i];
        let set = instance.abi.set_owner(&self.owners[owner]);
        let model = &self.model.owners[owner];
        assert_eq!(
            set.is_ok(),
            model.guest == instance.guest && !model.is_ended
        );
        if set.is_ok() {
            instance.owner = owner;
            instance.group = None;
        }
    }

    /// Compares what can be seen from outside.
    fn check(&mut self) {
        for (value, keys) in std::mem::take(&mut self.model.emitted) {
            let event = self.events.try_recv().expect("an emit");
            assert_eq!(event.value(), value);
            assert!(event.keys().eq(keys), "{event:?}");
        }
        assert!(self.events.try_recv().is_err(), "an emit of no call");
        assert_eq!(self.bus.n_subscriptions(), 1 + self.model.n_subscriptions());
        for (owner, model) in (0..).zip(&self.model.owners) {
            assert_eq!(self.owners[owner].n_watches(), self.model.n_watches(owner));
            assert_eq!(self.owners[owner].is_ended(), model.is_ended);
        }
        for (i, instance) in self.instances.iter().enumerate() {
            let owner = self.namespace(i);
            assert_eq!(instance.abi.owner().id(), self.model.owners[owner].id);
            let n_ready = instance.abi.n_ready();
            if self.is_second(i) {
                let is_due = !self.model.owners_due(instance.guest).is_empty();
                assert!(n_ready > 0 || !is_due, "no batch is ready");
            } else {
                assert_eq!(n_ready, self.model.ready(instance.guest).len());
            }
            assert_eq!(instance.abi.n_staged(), instance.staged.len());
        }
    }

    /// Ends what runs, delivers what is due, and drops everything.
    fn end(&mut self, is_closed: bool) {
        for i in 0..self.instances.len() {
            self.replace(i);
        }
        self.check();
        if is_closed {
            self.bus.close();
            self.model.is_closed = true;
        }
        for i in 0..self.instances.len() {
            self.model.now += 1;
            while self.deliver(i) {
                self.replace(i);
            }
            if self.model.is_closed {
                for verb in [Verb::Reserve, Verb::Open] {
                    self.verb(i, verb);
                }
                self.flush(i);
            }
        }
        self.instances.clear();
        self.owners.clear();
        assert_eq!(self.bus.n_subscriptions(), 1);
    }
}

impl Instance {
    fn attach(&mut self, page_at: u32, can_receive: bool) {
        let attached = self.abi.attach(&self.memory, page_at, can_receive);
        self.page_at = Some(page_at);
        self.can_receive = can_receive;
        let expected = self.page();
        match attached {
            Ok(()) => assert!(!matches!(expected, Err(faults) if faults != ["PageNotSet"])),
            Err(error) => assert_eq!(expected.err(), Some(vec![&*fault(&error)])),
        }
    }

    /// The page, which is read until all of its addresses are set.
    fn page(&mut self) -> Result<Page, Vec<Fault>> {
        let page = match (self.page, self.page_at) {
            (Some(page), _) => Ok(page),
            (None, Some(at)) => Page::read(&self.memory, at),
            (None, None) => Err("NotAttached"),
        };
        self.page = page.ok();
        page.map_err(|fault| vec![fault])
    }

    /// Fills the buffer as a guest does, if there is room.
    fn put(&mut self, bytes: &[u8]) {
        if let Some(page) = self.page {
            let _ = memory::write(&mut self.memory, page.buf, bytes);
            let len = bytes.len() as u32;
            let _ = memory::write(&mut self.memory, page.buf_len, &len.to_le_bytes());
        }
    }

    fn put_value(&mut self, value: u64) {
        if let Some(page) = self.page {
            let _ = memory::write(&mut self.memory, page.val, &value.to_le_bytes());
        }
    }

    /// Writes an error text of the guest.
    fn report(&mut self, input: &mut Input<'_>) {
        if let Some(page) = self.page {
            let text: &[u8] = input.choose(&[b"broken", b"Watch exists", b"\xff\0", b""]);
            let len = match input.below(4) {
                0 => u32::from(input.byte()),
                _ => text.len() as u32,
            };
            let _ = memory::write(&mut self.memory, page.err, text);
            let _ = memory::write(&mut self.memory, page.err_len, &len.to_le_bytes());
        }
    }

    fn stage(&mut self, value: u64, keys: &[Vec<u8>], limits: &Limits) -> Result<(), Vec<Fault>> {
        let mut staged = self.staged.clone();
        append(&mut staged, value, keys);
        let mut faults = Vec::new();
        let n_keys: usize = staged.iter().map(|(_, keys)| keys.len()).sum();
        if n_keys > limits.max_staged_keys() {
            faults.push("StagedTooManyKeys");
        }
        let key_bytes: usize = staged.iter().flat_map(|(_, keys)| keys).map(Vec::len).sum();
        if key_bytes + 8 * (n_keys + staged.len()) > limits.max_staged_bytes() {
            faults.push("StagedFull");
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        self.staged = staged;
        Ok(())
    }

    /// Drops what was staged, as after a call that failed.
    fn discard(&mut self) {
        assert_eq!(self.abi.discard(), self.staged.len());
        self.staged.clear();
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Open => "open",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// Adds keys to the last emit if it has the same value.
fn append(emits: &mut Vec<Emit>, value: u64, keys: &[Vec<u8>]) {
    match emits.last_mut() {
        Some((last, held)) if *last == value => held.extend_from_slice(keys),
        _ => emits.push((value, keys.to_vec())),
    }
}

/// Some keys, at least one.
fn some_keys(input: &mut Input<'_>) -> Vec<&'static [u8]> {
    (0..=input.below(6)).map(|_| input.choose(&KEYS)).collect()
}

/// The name of the variant.
fn fault(error: &AbiError) -> String {
    let text = format!("{error:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
