//! The implementation of the fuzz targets.

mod allocator;
#[path = "../../tests/in_step/call.rs"]
mod call;
pub mod calls;
mod descriptors;
mod effects;
mod function;
#[path = "../../tests/in_step/guest.rs"]
mod guest;
pub mod paths;
#[path = "../../tests/in_step/tree.rs"]
mod tree;
