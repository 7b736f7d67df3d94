//! The statistics of a bus for the `metrics` facade.

use std::sync::Arc;

use metrics::{Label, Unit};

use crate::{BusStats, RangeWatchBus};

/// A metric: its name, its help text and its value.
type Metric<V> = (&'static str, &'static str, fn(&BusStats) -> V);

const COUNTERS: [Metric<u64>; 6] = [
    (
        "rangewatch_emits_total",
        "Emits that the bus accepted",
        BusStats::n_emits,
    ),
    (
        "rangewatch_matched_total",
        "Emits that matched, once per subscription",
        |stats| stats.deliveries().matched(),
    ),
    (
        "rangewatch_delivered_total",
        "Matches received as an event, or as the first of a span",
        |stats| stats.deliveries().delivered(),
    ),
    (
        "rangewatch_coalesced_total",
        "Matches received in a span or a gap, except the first of each",
        |stats| stats.deliveries().coalesced(),
    ),
    (
        "rangewatch_dropped_total",
        "Matches lost by overflow or compaction, and reported by an error",
        |stats| stats.deliveries().dropped(),
    ),
    (
        "rangewatch_discarded_total",
        "Matches discarded by the end of a subscription or the close of the bus",
        |stats| stats.deliveries().discarded(),
    ),
];

/// Those in bytes have a name that ends so.
const GAUGES: [Metric<f64>; 6] = [
    (
        "rangewatch_pending",
        "Matches that are yet to be received",
        |stats| stats.deliveries().pending() as f64,
    ),
    (
        "rangewatch_greatest_lag",
        "Emits that the subscription furthest behind has yet to receive",
        |stats| stats.greatest_lag() as f64,
    ),
    (
        "rangewatch_subscriptions",
        "Subscriptions that have not ended",
        |stats| stats.n_subscriptions() as f64,
    ),
    (
        "rangewatch_parked_subscriptions",
        "Subscriptions that read from the history",
        |stats| stats.n_parked() as f64,
    ),
    (
        "rangewatch_history_events",
        "Emits in the history",
        |stats| stats.n_history_events() as f64,
    ),
    (
        "rangewatch_history_bytes",
        "Size of the emits in the history",
        |stats| stats.history_bytes() as f64,
    ),
];

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
    /// | `rangewatch_greatest_lag` | gauge | emits |
    /// | `rangewatch_subscriptions` | gauge | subscriptions |
    /// | `rangewatch_parked_subscriptions` | gauge | subscriptions |
    /// | `rangewatch_history_events` | gauge | emits |
    /// | `rangewatch_history_bytes` | gauge | bytes |
    ///
    /// Each call also describes the metrics, with a help text and `Unit::Count` or `Unit::Bytes`:
    /// the facade does not say whether the recorder is the one of the call before.
    ///
    /// # Examples
    ///
    /// Install the recorder of an exporter at the start of the program. Here one for a scope:
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let recorder = metrics::NoopRecorder; // that of an exporter
    /// let bus = RangeWatchBus::builder().name("orders").build()?;
    /// metrics::with_local_recorder(&recorder, || bus.record_metrics());
    /// # Ok::<(), rangewatch_bus::BuildError>(())
    /// ```
    pub fn record_metrics(&self) {
        let name = self.shared().shared_name();
        let labels = name.map(|name| Label::new("bus", Arc::clone(name)));
        let stats = self.stats();
        for (name, help, value) in COUNTERS {
            metrics::describe_counter!(name, Unit::Count, help);
            metrics::counter!(name, labels.as_slice().iter()).absolute(value(&stats));
        }
        for (name, help, value) in GAUGES {
            let unit = match name.ends_with("_bytes") {
                true => Unit::Bytes,
                false => Unit::Count,
            };
            metrics::describe_gauge!(name, unit, help);
            metrics::gauge!(name, labels.as_slice().iter()).set(value(&stats));
        }
    }
}
