//! The second example of the README runs; the doc tests run the first.

include!(concat!(env!("OUT_DIR"), "/readme.rs"));

#[test]
fn the_example_of_a_guest_in_the_readme_runs() {
    integration_tests::run(async || {
        example(integration_tests::guests::EMITTER)
            .await
            .expect("it runs");
    });
}
