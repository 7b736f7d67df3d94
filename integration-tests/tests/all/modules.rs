//! The guest of the example `modules`, with its host. The tests of the example have more.

use integration_tests::{Trace, guests, on_each_backend};
use rangewatch::Runtime;

on_each_backend! {
    the_tour_of_the_example_is_the_same,
}

async fn the_tour_of_the_example_is_the_same(runtime: &dyn Runtime) -> Trace {
    let transcript = ::modules::tour(runtime, guests::MODULES).await;
    let transcript = transcript.expect("the guest starts");
    let readme = include_str!("../../../examples/modules/README.md");
    assert!(readme.contains(&transcript), "{transcript}");
    transcript.lines().map(str::to_owned).collect()
}
