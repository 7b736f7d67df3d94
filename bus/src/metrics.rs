//! The statistics of a bus for the `metrics` facade.

use std::sync::Arc;

use crate::RangeWatchBus;

impl<P: Send + Sync + 'static> RangeWatchBus<P> {
    /// Passes the [statistics](Self::stats) of this bus to the recorder of the `metrics` crate,
    /// each with the [name](Self::name) of the bus as the label `bus`. Feature `metrics`.
    ///
    /// Without a name there is no label: several such buses would overwrite each other's numbers.
    ///
    /// Call it before each scrape, or every few seconds: nothing else records them. An emit costs
    /// the same with and without this feature.
    ///
    /// | name | kind | unit |
    /// |---|---|---|
    /// | `rangewatch_emits_total` | counter | emits |
    /// | `rangewatch_matched_total` | counter | emits, once per subscription that they match |
    /// | `rangewatch_delivered_total` | counter | as matched |
    /// | `rangewatch_coalesced_total` | counter | as matched |
    /// | `rangewatch_dropped_total` | counter | as matched |
    /// | `rangewatch_discarded_total` | counter | as matched |
    /// | `rangewatch_pending` | gauge | as matched |
    /// | `rangewatch_subscriptions` | gauge | subscriptions |
    /// | `rangewatch_parked_subscriptions` | gauge | subscriptions |
    /// | `rangewatch_history_events` | gauge | emits |
    /// | `rangewatch_history_bytes` | gauge | bytes |
    pub fn record_metrics(&self) {
        let name = self.shared().shared_name();
        let labels = name.map(|name| metrics::Label::new("bus", Arc::clone(name)));
        let stats = self.stats();
        let deliveries = stats.deliveries();
        for (name, value) in [
            ("rangewatch_emits_total", stats.n_emits()),
            ("rangewatch_matched_total", deliveries.matched()),
            ("rangewatch_delivered_total", deliveries.delivered()),
            ("rangewatch_coalesced_total", deliveries.coalesced()),
            ("rangewatch_dropped_total", deliveries.dropped()),
            ("rangewatch_discarded_total", deliveries.discarded()),
        ] {
            metrics::counter!(name, labels.as_slice().iter()).absolute(value);
        }
        for (name, value) in [
            ("rangewatch_pending", deliveries.pending() as f64),
            ("rangewatch_subscriptions", stats.n_subscriptions() as f64),
            ("rangewatch_parked_subscriptions", stats.n_parked() as f64),
            ("rangewatch_history_events", stats.n_history_events() as f64),
            ("rangewatch_history_bytes", stats.history_bytes() as f64),
        ] {
            metrics::gauge!(name, labels.as_slice().iter()).set(value);
        }
    }
}
