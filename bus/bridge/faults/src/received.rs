//! What a subscription receives, verified by the checker of the bus.

use bytes::Bytes;
use rangewatch_bus::{Event, RecvError, Selector, Seq, Span};
use rangewatch_checker::{Checker, Delivery, Log};

use crate::{FIRST, Machine};

/// Records what one subscription receives, with the keys that begin with a prefix, and verifies it
/// against the emits of the state machine.
///
/// The checker is given the emits of the machine, and not those of a bus: what holds was kept from
/// the writers through the log to the subscription. The place of an emit in the log is its value.
#[derive(Debug)]
pub struct Received {
    machine: Machine,
    prefix: &'static str,
    /// Everything up to this value was received, or reported as missed.
    position: u64,
    /// Events that were reported as missed, directly before the next one.
    missed: u64,
    recorded: Recorded,
}

/// What was received since the last verification.
#[derive(Debug)]
struct Recorded {
    checker: Checker,
    log: Log,
    n_deliveries: usize,
    /// The emits from this value on are needed for the verification.
    first: u64,
    /// And up to this value, or the position.
    last: u64,
}

/// What the checker has of a payload: whether it is that of the machine. Hashes of the large ones
/// would take the time of everything else.
const AS_EMITTED: u64 = 0;
const OTHER: u64 = 1;

/// A verification takes as long as there are deliveries and emits between them.
const N_DELIVERIES_AT_ONCE: usize = 1000;

impl Received {
    /// A subscription that begins after `position`.
    #[must_use]
    pub fn new(machine: Machine, prefix: &'static str, position: u64) -> Self {
        let position = position.max(FIRST - 1);
        Self {
            machine,
            prefix,
            position,
            missed: 0,
            recorded: Recorded::after(prefix, position),
        }
    }

    /// Everything up to this value was received, or reported as missed.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Whether nothing that it has to receive is left up to `value`.
    #[must_use]
    pub fn has_reached(&self, value: u64) -> bool {
        !self.machine.emits(self.prefix, self.position + 1..=value)
    }

    /// An event was received.
    ///
    /// # Errors
    ///
    /// If what was recorded breaks a guarantee.
    pub fn event(&mut self, event: &Event<Bytes>) -> Result<(), String> {
        let value = event.value();
        let missed = std::mem::take(&mut self.missed);
        if missed > 0 {
            self.record(RecvError::Lagged(missed), value);
        }
        let payloads = event.entries().map(|(key, payload)| {
            let key = str::from_utf8(key).unwrap_or_default();
            match self.machine.payload(value, key) == *payload {
                true => AS_EMITTED,
                false => OTHER,
            }
        });
        let delivery = Delivery::Event {
            seq: place(value)?,
            value,
            keys: event.keys().map(Into::into).collect(),
            payloads: payloads.collect(),
        };
        self.record(delivery, value);
        self.recorded.first = self.recorded.first.min(value);
        self.position = self.position.max(value);
        self.verify_many()
    }

    /// A progress mark was received.
    ///
    /// # Errors
    ///
    /// If what was recorded breaks a guarantee.
    pub fn progress(&mut self, value: u64) -> Result<(), String> {
        if self.missed == 0 {
            self.record(Delivery::Progress(value), value);
            self.position = self.position.max(value);
        }
        self.verify_many()
    }

    /// So many events were reported as missed.
    pub const fn lagged(&mut self, n: u64) {
        self.missed += n;
    }

    /// A span was received.
    ///
    /// # Errors
    ///
    /// If what was recorded breaks a guarantee.
    pub fn span(&mut self, span: &Span) -> Result<(), String> {
        if span.is_conservative() {
            // The log may have begun another epoch, with lower values.
            return self.continue_after(span.last());
        }
        let delivery = Delivery::Span {
            first_seq: place(span.first())?,
            last_seq: place(span.last())?,
            first: span.first(),
            last: span.last(),
            count: span.count(),
            is_conservative: false,
        };
        self.record(delivery, span.last());
        self.position = self.position.max(span.last());
        self.verify_many()
    }

    /// The subscription has ended because its queue was full. It is continued.
    ///
    /// # Errors
    ///
    /// If what was recorded breaks a guarantee.
    pub fn disconnected(&mut self, resume: u64) -> Result<(), String> {
        self.record(RecvError::Disconnected { resume }, resume);
        self.continue_after(self.position)
    }

    /// Everything below `floor` was reported as missed.
    ///
    /// # Errors
    ///
    /// If what was recorded breaks a guarantee.
    pub fn compacted(&mut self, floor: u64) -> Result<(), String> {
        self.continue_after(floor.saturating_sub(1))
    }

    /// Verifies what was recorded, and begins again with what is recorded next.
    ///
    /// # Errors
    ///
    /// If it breaks a guarantee.
    pub fn verify(&mut self) -> Result<(), String> {
        let next = Recorded::after(self.prefix, self.position);
        let Recorded {
            checker,
            first,
            last,
            ..
        } = std::mem::replace(&mut self.recorded, next);
        for value in first..=last.max(self.position) {
            let keys = self.machine.keys(value).into_iter();
            checker.emitted_with(place(value)?, value, keys.map(|key| (key, AS_EMITTED)));
        }
        let verified = checker.verify();
        verified.map(drop).map_err(|error| error.to_string())
    }

    /// What comes is after `position`, whatever was before.
    fn continue_after(&mut self, position: u64) -> Result<(), String> {
        let verified = self.verify();
        *self = Self::new(self.machine, self.prefix, position);
        verified
    }

    fn record(&mut self, delivery: impl Into<Delivery>, value: u64) {
        let recorded = &mut self.recorded;
        recorded.log.record(delivery);
        recorded.n_deliveries += 1;
        recorded.last = recorded.last.max(value);
    }

    fn verify_many(&mut self) -> Result<(), String> {
        match self.recorded.n_deliveries {
            N_DELIVERIES_AT_ONCE.. => self.verify(),
            _ => Ok(()),
        }
    }
}

impl Recorded {
    fn after(prefix: &'static str, position: u64) -> Self {
        let checker = Checker::with_history();
        let before = Seq::new(position);
        let log = checker.subscribed(Selector::prefix(prefix), before, before);
        Self {
            checker,
            log,
            n_deliveries: 0,
            // A progress mark may name the position itself.
            first: position.max(FIRST),
            last: position,
        }
    }
}

/// The place of the emit of a value.
fn place(value: u64) -> Result<Seq, String> {
    Seq::new(value).ok_or_else(|| "an emit of the value 0 was received".to_owned())
}
