//! The example of the README does what it says.

include!(concat!(env!("OUT_DIR"), "/readme.rs"));

#[test]
fn the_example_of_the_readme_runs() {
    integration_tests::run(async || {
        example(integration_tests::guests::EMITTER)
            .await
            .expect("it runs");
    });
}
