//! The status of readers and appenders for the `metrics` facade.

use std::sync::Arc;

use metrics::{Label, counter, gauge};

use crate::{Phase, Status};

const PHASES: [Phase; 6] = [
    Phase::Connecting,
    Phase::Disconnected,
    Phase::Missing,
    Phase::CatchingUp,
    Phase::Live,
    Phase::Ended,
];

pub(crate) fn publish(kind: &'static str, name: Option<&Arc<str>>, status: &Status) {
    let mut labels = vec![Label::from_static_parts("kind", kind)];
    if let Some(name) = name {
        labels.push(Label::new("bus", name.to_string()));
    }
    gauge!("rangewatch_bridge_lag", labels.clone()).set(status.lag() as f64);
    for phase in PHASES {
        let mut labels = labels.clone();
        labels.push(Label::from_static_parts("phase", phase.name()));
        let value = f64::from(u8::from(phase == status.phase));
        gauge!("rangewatch_bridge_phase", labels).set(value);
    }
    for (name, value) in [
        ("rangewatch_bridge_emits_total", status.n_emits),
        ("rangewatch_bridge_repeated_total", status.n_repeated),
        ("rangewatch_bridge_gaps_total", status.n_gaps),
        ("rangewatch_bridge_epochs_total", status.n_epochs),
        ("rangewatch_bridge_foreign_total", status.n_foreign),
        ("rangewatch_bridge_connects_total", status.n_connects),
    ] {
        counter!(name, labels.clone()).absolute(value);
    }
}
