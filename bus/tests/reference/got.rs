//! Received items of the bus and of the reference implementation, in a comparable form.

use rangewatch_bus::{Event, Item, Span};

use crate::payload::{Entries, Payload};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Event {
        seq: u64,
        value: u64,
        entries: Entries,
    },
    Span(Summary),
    Progress(u64),
}

/// A span: the emits in it, except those in a part that `since` or a cut
/// made conservative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) count: u64,
    pub(crate) is_conservative: bool,
}

impl Summary {
    pub(crate) const fn of(i: usize, value: u64) -> Self {
        Self {
            first: value,
            last: value,
            first_seq: i as u64 + 1,
            last_seq: i as u64 + 1,
            count: 1,
            is_conservative: false,
        }
    }

    pub(crate) const fn push(&mut self, i: usize, value: u64) {
        self.last = value;
        self.last_seq = i as u64 + 1;
        self.count += 1;
    }

    pub(crate) const fn cut(&mut self, value: u64) {
        if self.first <= value {
            self.first = value + 1;
            self.is_conservative = true;
        }
    }

    pub(crate) const fn n_emits(&self) -> u64 {
        self.count
    }
}

impl<P: Payload> From<Event<P>> for Got {
    fn from(event: Event<P>) -> Self {
        let entries = event.entries();
        Self::Event {
            seq: event.seq().get(),
            value: event.value(),
            entries: entries
                .map(|(key, payload)| (key.to_vec(), payload.number()))
                .collect(),
        }
    }
}

impl From<Span> for Got {
    fn from(span: Span) -> Self {
        Self::Span(Summary {
            first: span.first(),
            last: span.last(),
            first_seq: span.first_seq().get(),
            last_seq: span.last_seq().get(),
            count: span.count(),
            is_conservative: span.is_conservative(),
        })
    }
}

impl<P: Payload> From<Item<P>> for Got {
    fn from(item: Item<P>) -> Self {
        match item {
            Item::Event(event) => event.into(),
            Item::Gap(gap) => gap.into(),
            Item::Progress(mark) => Self::Progress(mark),
            _ => panic!("an item that the reference does not know: {item:?}"),
        }
    }
}
