//! The log in memory passes the suite.

use std::sync::Arc;

use rangewatch_bridge::conformance::Scenario;
use rangewatch_bridge::{MemoryLog, conformance_tests};

fn run(_name: &str, scenario: Scenario) {
    futures::executor::block_on(scenario(Arc::new(MemoryLog::new())));
}

conformance_tests!(run);
