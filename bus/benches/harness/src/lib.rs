//! Measures and prints the rows of the benchmarks: those of the bus, and those of WASI, which are
//! in a workspace of their own.
//!
//! A benchmark program has groups of rows and calls [`run_groups`]. A row compares [`Contender`]s,
//! which [`measure`] runs in turns; a [`Report`] prints tables in Markdown.

#![forbid(unsafe_code)]

mod clock;
mod groups;
mod measure;
mod report;

pub use clock::Clock;
pub use groups::{Group, run_groups};
pub use measure::{Contender, Effort, measure, quantile};
pub use report::{Report, at_most, nanos};
