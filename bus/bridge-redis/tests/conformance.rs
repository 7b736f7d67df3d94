//! Streams of a real Redis pass the suite.

mod server;

use std::sync::Arc;
use std::time::Duration;

use rangewatch_bridge::conformance::Scenario;
use rangewatch_bridge::conformance_tests;
use rangewatch_bridge_redis::RedisLog;

use server::{Server, block_on};

fn run(name: &str, scenario: Scenario) {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let log = RedisLog::builder(server.url(), name).unwrap();
    let log = log.block(Duration::from_millis(100)).build().unwrap();
    block_on(scenario(Arc::new(log)));
}

conformance_tests!(run);
