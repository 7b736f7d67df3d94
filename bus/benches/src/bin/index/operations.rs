//! The operations that are timed.

use std::hint::black_box;

use rangewatch_bench_harness::{Clock, Contender};

use crate::population::Population;

/// An operation in the middle of others, on an index whose size does not change.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    contender: for<'p> fn(&'p mut Population<'_>) -> Contender<'p>,
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "find",
        contender: |population| {
            Contender::new(move || {
                black_box(population.find());
            })
        },
    },
    Operation {
        name: "find_any",
        contender: |population| {
            Contender::new(move || {
                black_box(population.find_any());
            })
        },
    },
    Operation {
        name: "insert",
        contender: |population| Contender::timed(move |n| population.replace(n).0),
    },
    Operation {
        name: "remove",
        contender: |population| Contender::timed(move |n| population.replace(n).1),
    },
    Operation {
        name: "mixed",
        contender: |population| {
            Contender::timed(move |n| Clock::Thread.time(|| mix(population, n)))
        },
    },
];

impl Operation {
    pub(crate) fn contender<'p>(self, population: &'p mut Population<'_>) -> Contender<'p> {
        (self.contender)(population)
    }
}

/// Of 20 operations, 18 are finds, one is an insertion and one a removal.
fn mix(population: &mut Population<'_>, n: u64) {
    for i in 0..n {
        match i % 20 {
            9 => population.insert(),
            19 => population.remove(),
            _ => {
                black_box(population.find());
            }
        }
    }
    if n % 20 >= 10 {
        population.remove();
    }
}
