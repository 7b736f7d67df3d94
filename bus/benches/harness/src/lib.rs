//! Measures and prints the rows of the benchmarks: those of the bus, and those of WASI, which are
//! in a workspace of their own.
//!
//! A benchmark program has groups of rows and calls [`run_groups`]. A row compares [`Contender`]s,
//! which [`measure`] runs in turns; a [`Report`] prints tables in Markdown.
//! [`count`] counts instructions, which are compared with committed ones by a [`Use`] of them, and
//! [`allocated`] counts bytes of memory. Workloads are made from the numbers of a [`Random`].

mod allocator;
mod baselines;
mod clock;
mod groups;
mod instructions;
mod measure;
mod random;
mod report;

pub use allocator::{CountingAllocator, allocated};
pub use baselines::{Counts, Use};
pub use clock::Clock;
pub use groups::{Group, run_groups};
pub use instructions::{count, count_instrumented, instrumented};
pub use measure::{Contender, Effort, measure, quantile};
pub use random::Random;
pub use report::{Report, at_most, nanos, per_second};
