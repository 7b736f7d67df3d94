//! The limits of one guest.

use std::time::Duration;

use rangewatch_wasi::WorkMeter;

/// Bounds on one guest: fuel and time of a call, memory, emits, watches.
///
/// The defaults keep a broken guest from harming its host, and leave room for an ordinary one.
/// Fuel is counted in the engine's units, about one per wasm instruction; the same number is a
/// different amount of work on each engine.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Limits;
///
/// let limits = Limits::default().fuel_per_call(50_000_000).memory_bytes(64 << 20).watches(100);
/// assert_eq!(limits.max_memory_bytes(), 67_108_864);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    fuel_per_call: Option<u64>,
    fuel_slice: u64,
    memory_bytes: usize,
    table_elements: usize,
    watches: usize,
    watch_bytes: usize,
    flush_keys: usize,
    flush_bytes: usize,
    staged_keys: usize,
    staged_bytes: usize,
    staged_matches: usize,
    output_bytes: usize,
    notices: usize,
    notice_bytes: usize,
    guest_notice_bytes: usize,
    groups: usize,
    recycle_bytes: Option<usize>,
    key_bytes: usize,
    id_bytes: usize,
    wall_time: Option<Duration>,
}

impl Limits {
    /// Fuel of one slice unless set: about a tenth of a millisecond of compiled code, some
    /// milliseconds of interpreted code. Without slices a guest that loops would block an
    /// executor thread.
    pub const DEFAULT_FUEL_SLICE: u64 = WorkMeter::DEFAULT_SLICE;
    /// Bytes of linear memory unless set: 256 MiB. A guest could otherwise take 4 GiB.
    pub const DEFAULT_MEMORY_BYTES: usize = 256 << 20;
    /// Elements per table unless set. A table element costs the host 8 to 16 bytes.
    pub const DEFAULT_TABLE_ELEMENTS: usize = 1 << 20;
    /// Tables of one instance. Each may hold [`table_elements`](Self::table_elements).
    pub const MAX_TABLES: usize = 4;
    /// Bytes of a key and of an id at most, and unless set: what a key list can hold.
    pub const MAX_KEY_BYTES: usize = u16::MAX as usize;
    /// Keys of one flush unless set: twice what a buffer of the SDKs, of 16 KiB, can hold.
    pub const DEFAULT_FLUSH_KEYS: usize = 16_384;
    /// Bytes of one flush unless set: 256 KiB, where the SDKs use buffers of 16 KiB.
    pub const DEFAULT_FLUSH_BYTES: usize = 256 << 10;
    /// Keys that a call may stage unless set. They are looked up and delivered under the lock of
    /// the bus.
    pub const DEFAULT_STAGED_KEYS: usize = 16_384;
    /// Bytes that a call may stage unless set: 4 MiB. They are copied when the call returns.
    pub const DEFAULT_STAGED_BYTES: usize = 4 << 20;
    /// Subscriptions that the emits of a call may match in all unless set. Without this limit a
    /// guest that matches all of its own watches with each of thousands of emits holds the lock of
    /// the bus for minutes.
    pub const DEFAULT_STAGED_MATCHES: usize = 65_536;
    /// Subscriptions that the emits of one flush may match in all, if it has several: a flush of
    /// [generation 2](crate::abi::gen2).
    pub const MAX_FLUSH_MATCHES: usize = 16_384;
    /// Pending notices of one owner unless set. Each takes some ten bytes and shares the keys of
    /// its emit.
    pub const DEFAULT_NOTICES: usize = 4_096;
    /// Bytes of the pending notices of one owner unless set: 4 MiB, what a call may stage.
    pub const DEFAULT_NOTICE_BYTES: usize = 4 << 20;
    /// Bytes of the pending notices of all owners of a guest unless set: 32 MiB, what eight owners
    /// may have. A guest opens groups itself, and each of them may otherwise have 4 MiB pending.
    pub const DEFAULT_GUEST_NOTICE_BYTES: usize = 32 << 20;
    /// Groups of one guest unless set. A guest opens them itself, and each costs the host a queue.
    pub const DEFAULT_GROUPS: usize = 64;
    /// Bytes that a call with bytes may return unless set: 1 MiB.
    pub const DEFAULT_OUTPUT_BYTES: usize = 1 << 20;
    /// Bytes of the ids and ranges of all watches together unless set: 64 MiB.
    pub const DEFAULT_WATCH_BYTES: usize = 64 << 20;
    /// Watches of one guest unless set. Each costs the host some hundred bytes and its id, and an
    /// emit that matches all of them costs one unit of work for each.
    pub const DEFAULT_WATCHES: usize = 16_384;

    /// Fuel of the start section unless [`fuel_per_call`](Self::fuel_per_call) says otherwise. An
    /// interpreter cannot suspend a start section: an endless loop in it would block the thread.
    pub const DEFAULT_START_FUEL: u64 = 1_000_000_000;

    /// Fuel that one call may use, the start section and `_initialize` included; a call that needs
    /// more ends as [`TrapKind::OutOfFuel`](crate::TrapKind::OutOfFuel). Unlimited unless set.
    ///
    /// A callback of [generation 2](crate::abi::gen2) also pays for its delivery, before the guest
    /// runs: up to [one slice](Self::DEFAULT_FUEL_SLICE). A lower limit can lose a guest in a
    /// burst.
    #[must_use]
    pub fn fuel_per_call(mut self, fuel: u64) -> Self {
        self.fuel_per_call = Some(fuel);
        self
    }

    /// Fuel between two points where the guest yields to the executor. Zero counts as one.
    #[must_use]
    pub fn fuel_slice(mut self, fuel: u64) -> Self {
        self.fuel_slice = fuel.max(1);
        self
    }

    /// Bytes that the linear memory may hold. Growing beyond fails inside the guest (`memory.grow`
    /// returns -1); a module that starts larger is not instantiated.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Elements that each table may hold.
    #[must_use]
    pub fn table_elements(mut self, elements: usize) -> Self {
        self.table_elements = elements;
        self
    }

    /// Watches that the guest may hold at once, in all states together. A verb beyond that fails
    /// inside the guest, with the error text `Watch limit reached`.
    #[must_use]
    pub fn watches(mut self, watches: usize) -> Self {
        self.watches = watches;
        self
    }

    /// Bytes that the ids and ranges of all watches may have together. A verb beyond that fails as
    /// one beyond [`watches`](Self::watches).
    #[must_use]
    pub fn watch_bytes(mut self, bytes: usize) -> Self {
        self.watch_bytes = bytes;
        self
    }

    /// Bytes of each key that the guest emits. A flush with a longer one traps.
    #[must_use]
    pub fn key_bytes(mut self, bytes: usize) -> Self {
        self.key_bytes = bytes.min(Self::MAX_KEY_BYTES);
        self
    }

    /// Bytes of the id of each watch. A verb with a longer one fails inside the guest, with the
    /// error text `id too long`.
    #[must_use]
    pub fn id_bytes(mut self, bytes: usize) -> Self {
        self.id_bytes = bytes.min(Self::MAX_KEY_BYTES);
        self
    }

    /// Time that one call may run, by the [timer](crate::GuestBuilder::timer) of the guest, waits
    /// included. A call that runs longer ends as
    /// [`CallError::TimedOut`](crate::CallError::TimedOut) at the next slice or wait. The time in a
    /// commit hook does not count. Unlimited unless set.
    #[must_use]
    pub fn wall_time(mut self, time: Duration) -> Self {
        self.wall_time = Some(time);
        self
    }

    /// Keys that one flush may hold. A flush of more traps.
    #[must_use]
    pub fn flush_keys(mut self, keys: usize) -> Self {
        self.flush_keys = keys;
        self
    }

    /// Bytes of keys, with their lengths, that one flush may hold. A larger one traps.
    #[must_use]
    pub fn flush_bytes(mut self, bytes: usize) -> Self {
        self.flush_bytes = bytes;
        self
    }

    /// Keys that one call may stage when emits are [staged](crate::Emits::Staged). A flush beyond
    /// that traps.
    #[must_use]
    pub fn staged_keys(mut self, keys: usize) -> Self {
        self.staged_keys = keys;
        self
    }

    /// Bytes of keys, and 8 for each key and each emit, that one call may stage when emits are
    /// [staged](crate::Emits::Staged). A flush beyond that traps.
    #[must_use]
    pub fn staged_bytes(mut self, bytes: usize) -> Self {
        self.staged_bytes = bytes;
        self
    }

    /// Subscriptions that the emits of one call may match, added up over its emits, when emits are
    /// [staged](crate::Emits::Staged). Those of a call that match more are
    /// [refused](crate::CallError::Refused). A single emit is not bounded: raise this where a call
    /// emits many values, each to many subscriptions.
    #[must_use]
    pub fn staged_matches(mut self, matches: usize) -> Self {
        self.staged_matches = matches;
        self
    }

    /// Bytes that one [call with bytes](crate::Guest::call_bytes) may return. A guest that writes
    /// more traps.
    #[must_use]
    pub fn output_bytes(mut self, bytes: usize) -> Self {
        self.output_bytes = bytes;
        self
    }

    /// Notices of [generation 2](crate::abi::gen2) that one owner may have pending: emits that
    /// match a watch of it, and as many times again a value that a watch holds before it is
    /// started. An owner with more ends, and the embedder receives
    /// [`CallbackErrorCause::Overflow`](crate::CallbackErrorCause::Overflow). Zero counts as one.
    #[must_use]
    pub fn notices(mut self, notices: usize) -> Self {
        self.notices = notices.max(1);
        self
    }

    /// Bytes of the pending notices of one owner: all keys of each emit, and 8 for each key and
    /// each emit; of the notices of a watch that was started, its id for each. An owner with more
    /// ends as with [`notices`](Self::notices). Zero counts as one.
    #[must_use]
    pub fn notice_bytes(mut self, bytes: usize) -> Self {
        self.notice_bytes = bytes.max(1);
        self
    }

    /// Bytes of the pending notices of all owners of a guest together, its groups included, counted
    /// as [`notice_bytes`](Self::notice_bytes) counts them. The owner whose notices would exceed
    /// it ends as with [`notices`](Self::notices), whichever owners have the others pending; these
    /// go on. Zero counts as one.
    #[must_use]
    pub fn guest_notice_bytes(mut self, bytes: usize) -> Self {
        self.guest_notice_bytes = bytes.max(1);
        self
    }

    /// Groups that a guest of [generation 2](crate::abi::gen2) may have open, over all of its
    /// owners. `group_start` of one more fails inside the guest, with the error text `Watch limit
    /// reached`.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Recycles instances: one whose linear memory has more than `bytes` at the end of a call is
    /// dropped, and another is made when it is needed. For guests whose memory grows with each
    /// call, as with a collector that never frees. What the guest kept in its memory is lost; its
    /// watches stay, also those of a guest of one instance. An instance of
    /// [generation 2](crate::abi::gen2) that has queued what it has not flushed is kept until it
    /// has. Off unless set.
    #[must_use]
    pub fn recycle_bytes(mut self, bytes: usize) -> Self {
        self.recycle_bytes = Some(bytes);
        self
    }

    /// The bound on the fuel of one call, if any.
    #[must_use]
    pub fn max_fuel_per_call(&self) -> Option<u64> {
        self.fuel_per_call
    }

    /// The bound on the fuel of the start section.
    #[must_use]
    pub fn start_fuel(&self) -> u64 {
        self.fuel_per_call.unwrap_or(Self::DEFAULT_START_FUEL)
    }

    /// The fuel of one slice, at least 1.
    #[must_use]
    pub fn max_fuel_slice(&self) -> u64 {
        self.fuel_slice
    }

    /// The bound on linear memory, in bytes.
    #[must_use]
    pub fn max_memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The bound on each table, in elements.
    #[must_use]
    pub fn max_table_elements(&self) -> usize {
        self.table_elements
    }

    /// The bound on the bytes of all watches.
    #[must_use]
    pub fn max_watch_bytes(&self) -> usize {
        self.watch_bytes
    }

    /// The bound on the bytes of a key.
    #[must_use]
    pub fn max_key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// The bound on the bytes of an id.
    #[must_use]
    pub fn max_id_bytes(&self) -> usize {
        self.id_bytes
    }

    /// The bound on the time of one call, if any.
    #[must_use]
    pub fn max_wall_time(&self) -> Option<Duration> {
        self.wall_time
    }

    /// The bound on the keys of one flush.
    #[must_use]
    pub fn max_flush_keys(&self) -> usize {
        self.flush_keys
    }

    /// The bound on the bytes of one flush.
    #[must_use]
    pub fn max_flush_bytes(&self) -> usize {
        self.flush_bytes
    }

    /// The bound on the keys that one call stages.
    #[must_use]
    pub fn max_staged_keys(&self) -> usize {
        self.staged_keys
    }

    /// The bound on the bytes that one call stages.
    #[must_use]
    pub fn max_staged_bytes(&self) -> usize {
        self.staged_bytes
    }

    /// The bound on the subscriptions that the emits of one call match.
    #[must_use]
    pub fn max_staged_matches(&self) -> usize {
        self.staged_matches
    }

    /// The bound on the bytes that one call returns.
    #[must_use]
    pub fn max_output_bytes(&self) -> usize {
        self.output_bytes
    }

    /// The bound on the pending notices of an owner, at least 1.
    #[must_use]
    pub fn max_notices(&self) -> usize {
        self.notices
    }

    /// The bound on the bytes of the pending notices of an owner, at least 1.
    #[must_use]
    pub fn max_notice_bytes(&self) -> usize {
        self.notice_bytes
    }

    /// The bound on the bytes of the pending notices of a guest, at least 1.
    #[must_use]
    pub fn max_guest_notice_bytes(&self) -> usize {
        self.guest_notice_bytes
    }

    /// The bound on the groups of a guest.
    #[must_use]
    pub fn max_groups(&self) -> usize {
        self.groups
    }

    /// The bytes of memory above which an instance is recycled, if any.
    #[must_use]
    pub fn max_recycle_bytes(&self) -> Option<usize> {
        self.recycle_bytes
    }

    /// The bound on watches.
    #[must_use]
    pub fn max_watches(&self) -> usize {
        self.watches
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_per_call: None,
            fuel_slice: Self::DEFAULT_FUEL_SLICE,
            memory_bytes: Self::DEFAULT_MEMORY_BYTES,
            table_elements: Self::DEFAULT_TABLE_ELEMENTS,
            watches: Self::DEFAULT_WATCHES,
            watch_bytes: Self::DEFAULT_WATCH_BYTES,
            flush_keys: Self::DEFAULT_FLUSH_KEYS,
            flush_bytes: Self::DEFAULT_FLUSH_BYTES,
            staged_keys: Self::DEFAULT_STAGED_KEYS,
            staged_bytes: Self::DEFAULT_STAGED_BYTES,
            staged_matches: Self::DEFAULT_STAGED_MATCHES,
            output_bytes: Self::DEFAULT_OUTPUT_BYTES,
            notices: Self::DEFAULT_NOTICES,
            notice_bytes: Self::DEFAULT_NOTICE_BYTES,
            guest_notice_bytes: Self::DEFAULT_GUEST_NOTICE_BYTES,
            groups: Self::DEFAULT_GROUPS,
            recycle_bytes: None,
            key_bytes: Self::MAX_KEY_BYTES,
            id_bytes: Self::MAX_KEY_BYTES,
            wall_time: None,
        }
    }
}
