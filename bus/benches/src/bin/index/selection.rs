//! What the arguments of the program choose.

use std::path::PathBuf;

use rangewatch_bench_harness::Effort;

use crate::operations::{OPERATIONS, Operation};
use crate::peers::{KINDS, Kind};
use crate::workload::{WORKLOADS, Workload};

pub(crate) const SIZES: [usize; 4] = [256, 4096, 65_536, 1_048_576];
/// The workloads need a few ranges.
const MIN_SIZE: usize = 16;

pub(crate) struct Selection {
    pub(crate) effort: Effort,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) sizes: Vec<usize>,
    pub(crate) operations: Vec<Operation>,
    /// Whether memory is counted.
    pub(crate) memory: bool,
    /// Whether a reader is measured beside a writer.
    pub(crate) beside: bool,
    pub(crate) kinds: Vec<Kind>,
    /// Where the plot is written.
    pub(crate) svg: Option<PathBuf>,
}

impl Selection {
    /// Fails if an argument is neither an option nor a name, with a message that says so.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut selection = Self {
            effort: Effort::Full,
            workloads: Vec::new(),
            sizes: Vec::new(),
            operations: Vec::new(),
            memory: false,
            beside: false,
            kinds: Vec::new(),
            svg: None,
        };
        while let Some(arg) = args.next() {
            if arg == "memory" {
                selection.memory = true;
            } else if arg == "beside" {
                selection.beside = true;
            } else if arg == "--svg" {
                let file = args.next().ok_or("`--svg` needs the name of a file")?;
                selection.svg = Some(file.into());
            } else if arg == "--smoke" {
                selection.effort = Effort::Smoke;
            } else if let Some(workload) = WORKLOADS.iter().find(|it| it.name == arg) {
                selection.workloads.push(*workload);
            } else if let Some(operation) = OPERATIONS.iter().find(|it| it.name == arg) {
                selection.operations.push(*operation);
            } else if let Some(kind) = KINDS.iter().find(|it| it.0 == arg) {
                selection.kinds.push(*kind);
            } else {
                let n = arg
                    .parse()
                    .map_err(|_| format!("`{arg}` is no workload, size, operation or index"))?;
                if n < MIN_SIZE {
                    return Err(format!("the size {n} is below {MIN_SIZE}"));
                }
                selection.sizes.push(n);
            }
        }
        let sizes = match selection.effort {
            Effort::Smoke => &SIZES[..1],
            _ => &SIZES,
        };
        or_all(&mut selection.sizes, sizes);
        or_all(&mut selection.workloads, WORKLOADS);
        if selection.operations.is_empty() && !selection.memory && !selection.beside {
            selection.operations.extend_from_slice(OPERATIONS);
            selection.memory = true;
            // It takes seconds for each row.
            selection.beside = selection.effort == Effort::Smoke;
        }
        or_all(&mut selection.kinds, KINDS);
        Ok(selection)
    }
}

fn or_all<T: Clone>(chosen: &mut Vec<T>, all: &[T]) {
    if chosen.is_empty() {
        chosen.extend_from_slice(all);
    }
}
