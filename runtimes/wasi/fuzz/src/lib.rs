//! The implementation of the fuzz targets.

mod allocator;
#[path = "../../tests/differential/call.rs"]
mod call;
pub mod calls;
mod descriptors;
mod effects;
mod function;
#[path = "../../tests/differential/outcome.rs"]
mod outcome;
pub mod paths;
#[path = "../../tests/differential/tree.rs"]
mod tree;
