//! Programs of guests and of their host, on any runtime: calls in all forms, sessions, owners,
//! callbacks that wait, pools, commands, staged emits, commit hooks, and traps of the engine. A run
//! returns a trace, and two runtimes that behave the same return the same one.
//!
//! A guest is an interpreter of steps, which its host functions decode from the input.

pub(crate) mod guest;
mod host;
mod outcomes;
mod program;
mod step;

use std::sync::Arc;

use futures::executor::LocalPool;
use rangewatch_runtime::{Module, Runtime};

use self::guest::{GUEST, IMPORTS_OF_GENERATION_2, STEPS_OF_GENERATION_2};
use self::program::Program;
use super::input::Input;

/// The most operations of the host: each is a call at most.
const MAX_OPERATIONS: usize = 60;

/// The most guests of an input.
const MAX_BUILDS: usize = 6;

/// The guest, loaded by one runtime.
pub(crate) struct Programs {
    /// As a reactor and as a command, of each generation.
    modules: [[Module; 2]; 2],
}

impl Programs {
    pub(crate) async fn load(runtime: &dyn Runtime) -> Self {
        let load = async |text: &str| {
            let wasm = wat::parse_str(text).expect("it is well formed");
            runtime.load(&wasm).await.expect("it is in the profile")
        };
        let second = GUEST
            .replace("pantopic/wazero-range-watch", "pantopic/ext-range-watch")
            .replace(";; imports of generation 2", IMPORTS_OF_GENERATION_2)
            .replace(";; steps of generation 2", STEPS_OF_GENERATION_2);
        let command = |text: &str| text.replace("_initialize", "_start");
        Self {
            modules: [
                [load(GUEST).await, load(&command(GUEST)).await],
                [load(&second).await, load(&command(&second)).await],
            ],
        }
    }

    /// Runs the program that `input` encodes, to the end of all of its tasks.
    pub(crate) fn run(&self, input: &[u8]) -> Vec<String> {
        let mut input = Input::new(input);
        let mut executor = LocalPool::new();
        let spawner = executor.spawner();
        let mut program = Program::new(&mut input, spawner);
        let mut n_builds = 0;
        for _ in 0..MAX_OPERATIONS {
            for number in 0..program.guests.len() {
                if program.guests[number].is_none() && n_builds < MAX_BUILDS {
                    n_builds += 1;
                    let guest = executor.run_until(program.guest(self, number));
                    match guest {
                        Ok(guest) => program.guests[number] = Some(Arc::new(guest)),
                        Err(error) => program.host.log(error),
                    }
                }
            }
            if input.is_empty() {
                break;
            }
            program.operation(&mut input);
            executor.run_until_stalled();
            program.observe();
        }
        program.end(&mut executor)
    }
}
