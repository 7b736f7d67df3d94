//! Events, items, spans and positions.

use std::any::TypeId;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use super::key::Key;
use crate::{Entries, Event, Item, Keys, Seq, Span};

impl<P: Serialize + 'static> Serialize for Event<P> {
    /// The field `payloads` is left out for `P = ()`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_payloads = TypeId::of::<P>() != TypeId::of::<()>();
        let mut event = serializer.serialize_struct("Event", 3 + usize::from(has_payloads))?;
        event.serialize_field("seq", &self.seq())?;
        event.serialize_field("value", &self.value())?;
        event.serialize_field("keys", &self.keys())?;
        if has_payloads {
            event.serialize_field("payloads", &Payloads(self.entries()))?;
        }
        event.end()
    }
}

impl<P> Serialize for Keys<'_, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_seq(serializer, self.clone().map(Key))
    }
}

/// The payloads of the matching keys.
struct Payloads<'a, P>(Entries<'a, P>);

impl<P: Serialize> Serialize for Payloads<'_, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_seq(serializer, self.0.clone().map(|(_, payload)| payload))
    }
}

/// Binary formats write the length first; counting it matches every key once more.
fn serialize_seq<S: Serializer>(
    serializer: S,
    elements: impl Iterator<Item: Serialize> + Clone,
) -> Result<S::Ok, S::Error> {
    let len = (!serializer.is_human_readable()).then(|| elements.clone().count());
    let mut seq = serializer.serialize_seq(len)?;
    for element in elements {
        seq.serialize_element(&element)?;
    }
    seq.end()
}

impl<P: Serialize + 'static> Serialize for Item<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Event(event) => serializer.serialize_newtype_variant("Item", 0, "event", event),
            Self::Gap(gap) => serializer.serialize_newtype_variant("Item", 1, "gap", gap),
            Self::Progress(mark) => {
                serializer.serialize_newtype_variant("Item", 2, "progress", mark)
            }
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut span = serializer.serialize_struct("Span", 6)?;
        span.serialize_field("first", &self.first())?;
        span.serialize_field("last", &self.last())?;
        span.serialize_field("count", &self.count())?;
        span.serialize_field("first_seq", &self.first_seq())?;
        span.serialize_field("last_seq", &self.last_seq())?;
        span.serialize_field("is_conservative", &self.is_conservative())?;
        span.end()
    }
}

impl Serialize for Seq {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(SeqVisitor)
    }
}

struct SeqVisitor;

impl Visitor<'_> for SeqVisitor {
    type Value = Seq;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position: an integer above 0")
    }

    fn visit_u64<E: de::Error>(self, seq: u64) -> Result<Seq, E> {
        Seq::new(seq).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seq), &self))
    }
}
