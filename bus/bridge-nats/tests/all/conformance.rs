//! Streams pass the suite.

use rangewatch_bridge::conformance::Scenario;

use crate::server::{Program, any, block_on};

fn run(program: Program, scenario: Scenario) {
    if let Some(server) = program.start() {
        block_on(scenario(any(server.log())));
    }
}

mod debian {
    rangewatch_bridge::conformance_tests!(|_, scenario| super::run(
        crate::server::Program::Debian,
        scenario
    ));
}

mod wheel {
    rangewatch_bridge::conformance_tests!(|_, scenario| super::run(
        crate::server::Program::Wheel,
        scenario
    ));
}
