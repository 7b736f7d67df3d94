//! Statistics.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::{BusStats, Stats};

impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stats = serializer.serialize_struct("Stats", 6)?;
        stats.serialize_field("matched", &self.matched())?;
        stats.serialize_field("delivered", &self.delivered())?;
        stats.serialize_field("coalesced", &self.coalesced())?;
        stats.serialize_field("dropped", &self.dropped())?;
        stats.serialize_field("discarded", &self.discarded())?;
        stats.serialize_field("pending", &self.pending())?;
        stats.end()
    }
}

impl Serialize for BusStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stats = serializer.serialize_struct("BusStats", 7)?;
        stats.serialize_field("n_emits", &self.n_emits())?;
        stats.serialize_field("deliveries", self.deliveries())?;
        stats.serialize_field("n_subscriptions", &self.n_subscriptions())?;
        stats.serialize_field("n_parked", &self.n_parked())?;
        stats.serialize_field("greatest_lag", &self.greatest_lag())?;
        stats.serialize_field("n_history_events", &self.n_history_events())?;
        stats.serialize_field("history_bytes", &self.history_bytes())?;
        stats.end()
    }
}
