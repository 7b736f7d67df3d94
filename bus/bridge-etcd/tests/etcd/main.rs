//! Readers of a real etcd.

#![expect(
    clippy::print_stdout,
    reason = "a test says that it has tested nothing"
)]

mod access;
mod compaction;
mod epochs;
mod history;
mod liveness;
mod mirror;
mod progress;
mod reads;
mod relay;
mod restarts;
mod server;

use rangewatch_bridge::{Reader, ReaderBuilder};
use rangewatch_bridge_etcd::{EtcdEvent, EtcdEvents, EtcdSource, EtcdSourceBuilder};

/// A source of the keys of a prefix.
fn source(url: &str, prefix: &str) -> EtcdSourceBuilder {
    EtcdSource::builder([url]).keys(rangewatch_bus::Selector::prefix(prefix))
}

/// A reader with the payloads of a source.
fn reader(source: &EtcdSource) -> ReaderBuilder<EtcdEvent> {
    Reader::builder(source.clone())
        .payloads(EtcdEvents)
        .payload_bytes(EtcdEvent::n_bytes)
}
