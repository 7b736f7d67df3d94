//! The logic of the bridge on one thread: appenders, writers and readers over a simulated engine,
//! network and clock. A seed decides the order of everything.
//!
//! `bus/bridge/faults/planted.txt` lists bugs that it finds: `.ci/planted` puts each into a copy of
//! the bridge.
//!
//! A step is one poll of a task. `SIMULATION_STEPS` sets how many are made (default 50,000), with a
//! new scenario every few thousand; `SIMULATION_SEED` repeats the scenario of a seed.

#![expect(
    clippy::print_stdout,
    reason = "what it prints says how to repeat a failure"
)]

mod consumer;
mod executor;
mod scenario;
mod server;

use std::panic::{self, AssertUnwindSafe};

use fastrand::Rng;

use scenario::run;

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

#[test]
fn g03_nothing_is_lost_repeated_or_reordered_silently() {
    let n_steps = variable("SIMULATION_STEPS").unwrap_or(50_000);
    let mut seeds = Rng::new();
    let (mut steps, mut n_scenarios) = (0, 0);
    while steps < n_steps {
        let seed = variable("SIMULATION_SEED").unwrap_or_else(|| seeds.u64(..));
        match panic::catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(outcome) => steps += outcome.n_steps,
            Err(panic) => {
                println!(
                    "repeat it: SIMULATION_SEED={seed} SIMULATION_STEPS=1 cargo test \
                     --package rangewatch-bridge-faults --test simulation"
                );
                panic::resume_unwind(panic);
            }
        }
        n_scenarios += 1;
    }
    println!("{steps} steps in {n_scenarios} scenarios");
}

#[test]
fn a_seed_repeats_the_same_steps() {
    for seed in 0..5 {
        assert_eq!(run(seed), run(seed), "of the seed {seed}");
    }
}
