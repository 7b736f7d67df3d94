//! What a subscription has to receive.

use bytes::Bytes;
use rangewatch_bus::{Event, Span};

use crate::Machine;

/// Checks what one subscription receives, with the keys that begin with a prefix.
#[derive(Debug)]
pub struct Expected {
    machine: Machine,
    prefix: &'static str,
    /// Everything up to this value was received, or reported as missed.
    position: u64,
    /// Events that were reported as missed, directly before the next one.
    missed: u64,
}

impl Expected {
    /// A subscription that begins after `position`.
    #[must_use]
    pub const fn new(machine: Machine, prefix: &'static str, position: u64) -> Self {
        Self {
            machine,
            prefix,
            position,
            missed: 0,
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
        !(self.position + 1..=value).any(|value| self.matches(value))
    }

    /// An event was received.
    ///
    /// # Errors
    ///
    /// If it is not the next one, or has other keys or payloads.
    pub fn event(&mut self, event: &Event<Bytes>) -> Result<(), String> {
        let (value, position) = (event.value(), self.position);
        if value <= position {
            return Err(format!("G1, G2: {value} came after {position}"));
        }
        let skipped = self.count(position, value - 1);
        if skipped != self.missed {
            let missed = self.missed;
            return Err(format!(
                "G3, G18: {value} came after {position}, without {skipped}, and {missed} were reported"
            ));
        }
        let expected = self.machine.emit(value);
        let expected = expected
            .iter()
            .filter(|(key, _)| key.starts_with(self.prefix));
        let expected = expected.map(|(key, payload)| (key.as_bytes(), payload));
        if !event.entries().eq(expected) {
            return Err(format!(
                "G4, G10, G40: the keys or payloads of {value} are others"
            ));
        }
        (self.position, self.missed) = (value, 0);
        Ok(())
    }

    /// A progress mark was received.
    ///
    /// # Errors
    ///
    /// If something at or below it is missing.
    pub fn progress(&mut self, value: u64) -> Result<(), String> {
        if self.missed == 0 && !self.has_reached(value) {
            let position = self.position;
            return Err(format!(
                "G9: progress {value} came after {position}, and something is between"
            ));
        }
        if self.missed == 0 {
            self.position = self.position.max(value);
        }
        Ok(())
    }

    /// So many events were reported as missed.
    pub const fn lagged(&mut self, n: u64) {
        self.missed += n;
    }

    /// A span was received.
    ///
    /// # Errors
    ///
    /// If it is not what matched since the last one.
    pub fn span(&mut self, span: &Span) -> Result<(), String> {
        let (first, last) = (span.first(), span.last());
        if span.is_conservative() {
            // The log may have begun another epoch, with lower values.
            self.position = last;
            return Ok(());
        }
        let (before, count) = (self.position, span.count());
        let next = (before + 1..).find(|value| self.matches(*value));
        if Some(first) != next || count != self.count(before, last) || !self.matches(last) {
            return Err(format!(
                "G13: a span of {count} from {first} to {last} came after {before}"
            ));
        }
        self.position = last;
        Ok(())
    }

    /// Everything below `floor` was reported as missed.
    pub const fn compacted(&mut self, floor: u64) {
        self.position = floor.saturating_sub(1);
        self.missed = 0;
    }

    fn count(&self, after: u64, up_to: u64) -> u64 {
        let values = after + 1..=up_to;
        values.filter(|value| self.matches(*value)).count() as u64
    }

    fn matches(&self, value: u64) -> bool {
        let keys = self.machine.keys(value);
        value >= crate::FIRST && keys.iter().any(|key| key.starts_with(self.prefix))
    }
}
