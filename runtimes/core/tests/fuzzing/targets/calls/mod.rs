//! Sequences of calls of the ABI over arbitrary memory, without an engine: two instances of one
//! guest and one of another share a bus. Each result, the memory after each call, each emit, each
//! callback and the counts are compared with those of the [model](super::model).

mod bytes;
mod callbacks;
mod emits;
mod expected;
mod instance;
mod operation;
mod verbs;

use rangewatch_bus::{EventSubscription, History, RangeWatchBus, Selector};
use rangewatch_runtime::abi::{Generation, GuestAbi};
use rangewatch_runtime::{Emits, Limits, Owner};

use self::instance::{Instance, InstanceState};
use self::verbs::Verb;
use super::input::Input;
use super::memory;
use super::model::{GuestModel, Model, OwnerModel};

/// The most operations of an input: each costs some scans of the model.
const MAX_OPERATIONS: usize = 300;

/// The address of the meta page.
const PAGE: u32 = 16;

/// Makes the calls that `input` encodes, with a meta page as a guest sets it up.
pub(crate) fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mut calls = Calls::new(&mut input, |input| {
        let mut memory = vec![0; 1_024];
        // In a small buffer a batch of notices is continued.
        let buf_cap: u32 = input.choose(&[512, 512, 512, 20]);
        let page = [256_u32, 48, 52, 128, 56, 60, 64];
        for (slot, address) in page.into_iter().enumerate() {
            memory[PAGE as usize + 4 * slot..][..4].copy_from_slice(&address.to_le_bytes());
        }
        memory[48..52].copy_from_slice(&buf_cap.to_le_bytes());
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

    fn end_owners(&mut self) {
        for owner in 0..self.owners.len() {
            self.owners[owner].end();
            self.model.end_owner(owner);
        }
    }
}
