//! The watches of all guests on a bus, as the tables of ABI.md say: the oracle for their ids,
//! deliveries and counts. Every lookup is a scan.

use std::collections::VecDeque;

use rangewatch_runtime::abi::Generation;
use rangewatch_runtime::{Emits, Limits, OwnerId};

use super::memory::Fault;

/// What the guests on a bus have done.
pub(crate) struct Model {
    pub(crate) guests: Vec<GuestModel>,
    /// Owners of all guests, in the order in which they were made.
    pub(crate) owners: Vec<OwnerModel>,
    /// Those that ever were.
    pub(crate) watches: Vec<WatchModel>,
    /// Emits in their order. Taken by the driver.
    pub(crate) emitted: Vec<Emit>,
    pub(crate) is_closed: bool,
    has_history: bool,
    head: Option<u64>,
    /// The time, for the order in which watches become ready.
    pub(crate) now: usize,
}

pub(crate) type Emit = (u64, Vec<Vec<u8>>);

pub(crate) struct GuestModel {
    pub(crate) limits: Limits,
    pub(crate) emits: Emits,
    pub(crate) generation: Generation,
}

pub(crate) struct OwnerModel {
    pub(crate) id: OwnerId,
    pub(crate) guest: usize,
    /// The owner that a group is in, and the id of the group.
    pub(crate) group_of: Option<(usize, Vec<u8>)>,
    pub(crate) is_ended: bool,
    /// Whether a batch of it is delivered.
    pub(crate) is_running: bool,
    /// Whether it has a subscription for its notices.
    has_notices: bool,
}

impl OwnerModel {
    pub(crate) fn new(id: OwnerId, guest: usize, group_of: Option<(usize, Vec<u8>)>) -> Self {
        Self {
            id,
            guest,
            group_of,
            is_ended: false,
            is_running: false,
            has_notices: false,
        }
    }
}

pub(crate) struct WatchModel {
    pub(crate) owner: usize,
    pub(crate) id: Vec<u8>,
    state: State,
    range: (Vec<u8>, Vec<u8>),
    /// The first value since the last callback was entered.
    pub(crate) pending: Option<u64>,
    /// All values that were not delivered, in generation 2.
    pub(crate) notices: VecDeque<u64>,
    pub(crate) is_running: bool,
    /// Whether its id is taken: after a stop, or the end of its owner, it is not.
    pub(crate) is_live: bool,
    /// Since when it is ready, if it is.
    pub(crate) ready_since: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Reserved,
    Open,
    Started,
}

impl WatchModel {
    fn matches(&self, keys: &[Vec<u8>]) -> bool {
        let (from, to) = &self.range;
        let holds = |key: &Vec<u8>| match to.is_empty() || from == to {
            true => key == from,
            false => from <= key && key < to,
        };
        self.is_live && self.state != State::Reserved && keys.iter().any(holds)
    }

    pub(crate) fn is_ready(&self) -> bool {
        let is_started = self.is_live && self.state == State::Started;
        is_started && self.pending.is_some() && !self.is_running
    }

    fn has_due_notices(&self) -> bool {
        self.is_live && self.state == State::Started && !self.notices.is_empty()
    }

    fn n_bytes(&self) -> usize {
        self.id.len() + self.range.0.len() + self.range.1.len()
    }
}

/// What a `stop` has done.
pub(crate) enum Stopped {
    Done,
    /// It waits for the callback of this watch.
    Waits(usize),
}

impl Model {
    pub(crate) fn new(has_history: bool) -> Self {
        Self {
            guests: Vec::new(),
            owners: Vec::new(),
            watches: Vec::new(),
            emitted: Vec::new(),
            is_closed: false,
            has_history,
            head: None,
            now: 0,
        }
    }

    /// The watches of a guest that are not stopped.
    fn of_guest(&self, guest: usize) -> impl Iterator<Item = (usize, &WatchModel)> {
        let is_of_guest = move |watch: &WatchModel| self.owners[watch.owner].guest == guest;
        (0..)
            .zip(&self.watches)
            .filter(move |(_, watch)| watch.is_live && is_of_guest(watch))
    }

    pub(crate) fn n_watches(&self, owner: usize) -> usize {
        let is_of_owner = |watch: &&WatchModel| watch.is_live && watch.owner == owner;
        self.watches.iter().filter(is_of_owner).count()
    }

    /// The subscriptions of all guests: of each watch, in generation 2 of each owner.
    pub(crate) fn n_subscriptions(&self) -> usize {
        let is_first = |watch: &&WatchModel| {
            let guest = &self.guests[self.owners[watch.owner].guest];
            watch.is_live && guest.generation == Generation::One
        };
        let owners = self.owners.iter().filter(|owner| owner.has_notices);
        self.watches.iter().filter(is_first).count() + owners.count()
    }

    /// The owners of a guest of generation 2 that have something to deliver.
    pub(crate) fn owners_due(&self, guest: usize) -> Vec<usize> {
        let is_due =
            |watch: &WatchModel| watch.has_due_notices() && !self.owners[watch.owner].is_running;
        let due = self.of_guest(guest).filter(|(_, watch)| is_due(watch));
        due.map(|(_, watch)| watch.owner).collect()
    }

    /// The watches of a guest that have something to deliver.
    pub(crate) fn ready(&self, guest: usize) -> Vec<usize> {
        let ready = self.of_guest(guest).filter(|(_, watch)| watch.is_ready());
        ready.map(|(index, _)| index).collect()
    }

    pub(crate) fn find(&self, owner: usize, id: &[u8]) -> Option<usize> {
        let is_it = |watch: &WatchModel| watch.is_live && watch.owner == owner && watch.id == id;
        self.watches.iter().position(is_it)
    }

    fn check_id(&self, owner: usize, id: &[u8]) -> Result<(), &'static str> {
        let guest = &self.guests[self.owners[owner].guest];
        if id.len() > guest.limits.max_id_bytes() {
            return Err("id too long");
        }
        if self.owners[owner].is_ended {
            return Err("Watch closed");
        }
        Ok(())
    }

    fn check_room(&self, owner: usize, n_new: usize, n_bytes: usize) -> Result<(), &'static str> {
        let guest = self.owners[owner].guest;
        let limits = &self.guests[guest].limits;
        let n_watches = self.of_guest(guest).count() + n_new;
        let used: usize = self.of_guest(guest).map(|(_, watch)| watch.n_bytes()).sum();
        let groups = self.groups(guest);
        let used = used + groups.map(|(_, (_, id))| id.len()).sum::<usize>();
        if n_new > 0 && n_watches > limits.max_watches()
            || used + n_bytes > limits.max_watch_bytes()
        {
            return Err("Watch limit reached");
        }
        Ok(())
    }

    pub(crate) fn reserve(&mut self, owner: usize, id: &[u8]) -> Result<(), &'static str> {
        self.check_id(owner, id)?;
        if self.is_closed {
            return Err("Watch closed");
        }
        if self.find(owner, id).is_some() {
            return Err("Watch exists");
        }
        self.check_room(owner, 1, id.len())?;
        self.watches.push(WatchModel {
            owner,
            id: id.to_vec(),
            state: State::Reserved,
            range: Default::default(),
            pending: None,
            notices: VecDeque::new(),
            is_running: false,
            is_live: true,
            ready_since: 0,
        });
        Ok(())
    }

    pub(crate) fn open(
        &mut self,
        owner: usize,
        [id, from, to]: [&[u8]; 3],
    ) -> Result<(), &'static str> {
        self.check_id(owner, id)?;
        if self.is_closed {
            return Err("Watch closed");
        }
        let range_bytes = from.len() + to.len();
        let watch = match self.find(owner, id) {
            Some(watch) if self.watches[watch].state != State::Reserved => {
                return Err("Watch already open");
            }
            Some(watch) => {
                self.check_room(owner, 0, range_bytes)?;
                watch
            }
            None => {
                self.check_room(owner, 1, id.len() + range_bytes)?;
                self.reserve(owner, id)?;
                self.watches.len() - 1
            }
        };
        let watch = &mut self.watches[watch];
        watch.state = State::Open;
        watch.range = (from.to_vec(), to.to_vec());
        let owner = &mut self.owners[owner];
        owner.has_notices |= self.guests[owner.guest].generation == Generation::Two;
        Ok(())
    }

    pub(crate) fn start(&mut self, owner: usize, id: &[u8]) -> Result<(), &'static str> {
        self.check_id(owner, id)?;
        let watch = self.find(owner, id).ok_or("Watch not found")?;
        let watch = &mut self.watches[watch];
        match watch.state {
            State::Reserved => Err("Watch not found"),
            State::Open => {
                watch.state = State::Started;
                watch.ready_since = self.now;
                Ok(())
            }
            State::Started => Ok(()),
        }
    }

    pub(crate) fn stop(
        &mut self,
        owner: usize,
        id: &[u8],
        is_in_recv: bool,
    ) -> Result<Stopped, &'static str> {
        self.check_id(owner, id)?;
        let index = self.find(owner, id).ok_or("Watch not found")?;
        self.forget(index);
        match self.watches[index].is_running && !is_in_recv {
            true => Ok(Stopped::Waits(index)),
            false => Ok(Stopped::Done),
        }
    }

    pub(crate) fn forget(&mut self, watch: usize) {
        self.watches[watch].is_live = false;
    }

    /// The groups of a guest that have not ended.
    fn groups(&self, guest: usize) -> impl Iterator<Item = (usize, &(usize, Vec<u8>))> {
        let is_open = move |owner: &OwnerModel| owner.guest == guest && !owner.is_ended;
        let open = (0..)
            .zip(&self.owners)
            .filter(move |(_, owner)| is_open(owner));
        open.filter_map(|(index, owner)| owner.group_of.as_ref().map(|group| (index, group)))
    }

    /// The owner that the groups of `owner` are in, and the group of this id.
    fn find_group(&self, owner: usize, id: &[u8]) -> (usize, Option<usize>) {
        let group_of = self.owners[owner].group_of.as_ref();
        let parent = group_of.map_or(owner, |(parent, _)| *parent);
        let mut groups = self.groups(self.owners[owner].guest);
        let found = groups.find(|(_, group)| (group.0, &*group.1) == (parent, id));
        (parent, found.map(|(index, _)| index))
    }

    /// The group of this id if it is open, else the owner that a new one is in.
    pub(crate) fn start_group(
        &self,
        owner: usize,
        id: &[u8],
    ) -> Result<Result<usize, usize>, &'static str> {
        let guest = self.owners[owner].guest;
        let (parent, found) = self.find_group(owner, id);
        self.check_id(parent, id)?;
        if let Some(group) = found {
            return Ok(Ok(group));
        }
        self.check_room(parent, 0, id.len())?;
        if self.groups(guest).count() == self.guests[guest].limits.max_groups() {
            return Err("Watch limit reached");
        }
        Ok(Err(parent))
    }

    /// Ends a group, and returns it.
    /// Returns the group, and how many watches it had.
    pub(crate) fn stop_group(
        &mut self,
        owner: usize,
        id: &[u8],
    ) -> Result<(usize, usize), &'static str> {
        if id.len() > self.guests[self.owners[owner].guest].limits.max_id_bytes() {
            return Err("id too long");
        }
        let group = self.find_group(owner, id).1.ok_or("Group not found")?;
        let n_watches = self.n_watches(group);
        self.end_owner(group);
        Ok((group, n_watches))
    }

    pub(crate) fn end_owner(&mut self, owner: usize) {
        for group in 0..self.owners.len() {
            let group_of = self.owners[group].group_of.as_ref();
            if group_of.is_some_and(|(parent, _)| *parent == owner) {
                self.end_owner(group);
            }
        }
        self.owners[owner].is_ended = true;
        self.owners[owner].has_notices = false;
        for watch in &mut self.watches {
            watch.is_live &= watch.owner != owner;
        }
    }

    /// Enters a callback, and returns its value.
    pub(crate) fn enter(&mut self, watch: usize) -> Option<u64> {
        let watch = &mut self.watches[watch];
        watch.is_running = true;
        watch.pending.take()
    }

    pub(crate) fn leave(&mut self, watch: usize) {
        self.watches[watch].is_running = false;
        self.watches[watch].ready_since = self.now;
    }

    /// Makes an emit, and returns how many ranges it matches: the one of the driver, which matches
    /// all, and those of watches.
    pub(crate) fn emit(&mut self, value: u64, keys: &[Vec<u8>]) -> Result<usize, Fault> {
        self.check_values([value])?;
        if self.has_history {
            self.head = Some(value);
        }
        let mut n_matched = 1;
        for watch in &mut self.watches {
            if watch.matches(keys) {
                n_matched += 1;
                let guest = self.owners[watch.owner].guest;
                if self.guests[guest].generation == Generation::Two {
                    watch.notices.push_back(value);
                } else if watch.pending.is_none() {
                    watch.pending = Some(value);
                    watch.ready_since = self.now;
                }
            }
        }
        self.emitted.push((value, keys.to_vec()));
        Ok(n_matched)
    }

    /// Makes all emits, or none of them.
    pub(crate) fn emit_all(&mut self, guest: usize, emits: Vec<Emit>) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        if self
            .check_values(emits.iter().map(|(value, _)| *value))
            .is_err()
        {
            faults.push("Emit");
        }
        let n_matched = |keys: &[Vec<u8>]| {
            let watches = self.watches.iter();
            1 + watches.filter(|watch| watch.matches(keys)).count()
        };
        let n_all: usize = emits.iter().map(|(_, keys)| n_matched(keys)).sum();
        if emits.len() > 1 && n_all > self.guests[guest].limits.max_staged_matches() {
            faults.push("StagedTooManyMatches");
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        for (value, keys) in emits {
            self.emit(value, &keys).expect("checked");
        }
        Ok(())
    }

    pub(crate) fn check_values(&self, values: impl IntoIterator<Item = u64>) -> Result<(), Fault> {
        if self.is_closed {
            return Err("Emit");
        }
        let mut head = self.head;
        for value in values {
            if !self.has_history {
                continue;
            }
            if head == Some(value) {
                return Err("EmitNotStaged");
            }
            if head > Some(value) || value == u64::MAX {
                return Err("Emit");
            }
            head = Some(value);
        }
        Ok(())
    }
}
