//! The programs of the fuzzing of the runtime crate.

#[path = "../../core/tests/fuzzing/on_engine.rs"]
mod on_engine;

use rangewatch_wasmi::Wasmi;

#[test]
fn g29_any_program_has_the_trace_that_it_has_without_an_engine() {
    on_engine::compare(&Wasmi::new());
}
