//! The example of the README does what it says.

include!(concat!(env!("OUT_DIR"), "/readme.rs"));

#[test]
fn the_example_of_the_readme_runs() {
    futures::executor::block_on(example(integration_tests::guests::EMITTER)).expect("it runs");
}
