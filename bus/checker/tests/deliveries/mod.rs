//! Deliveries for traces whose emits have ten times their number as value.

use rangewatch_bus::Seq;
use rangewatch_checker::{Delivery, fingerprint};

pub(crate) fn seq(seq: u64) -> Seq {
    Seq::new(seq).unwrap()
}

pub(crate) fn event_with(i: u64, value: u64, keys: &[&str]) -> Delivery {
    Delivery::Event {
        seq: seq(i),
        value,
        keys: keys.iter().map(|key| key.as_bytes().into()).collect(),
        payloads: vec![fingerprint(&()); keys.len()],
    }
}

/// The span of the emits `first` to `last`, of which `count` match.
pub(crate) fn span(first: u64, last: u64, count: u64) -> Delivery {
    Delivery::Span {
        first_seq: seq(first),
        last_seq: seq(last),
        first: first * 10,
        last: last * 10,
        count,
        is_conservative: false,
    }
}
