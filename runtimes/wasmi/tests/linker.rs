//! The linker way on wasmi.

rangewatch_runtime::linker_tests!(wasmi, rangewatch_wasmi, instantiate_and_start);
