//! The operations of an input, and those of the host.

use super::super::input::Input;
use super::super::memory;
use super::Calls;
use super::instance::InstanceState;
use super::verbs::Verb;

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

impl Calls {
    pub(super) fn operation(&mut self, input: &mut Input<'_>) {
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
    pub(super) fn replace(&mut self, i: usize) {
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
}

/// Some keys, at least one.
fn some_keys(input: &mut Input<'_>) -> Vec<&'static [u8]> {
    (0..=input.below(6)).map(|_| input.choose(&KEYS)).collect()
}
