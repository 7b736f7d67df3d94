//! Runs programs in the format of the official wasi-testsuite, each in every configuration.
//!
//! A test is `suite/program/engine/files/stdio/rights`, so that a filter picks what it says; a table of the passes follows
//! the tests. The programs of this project always run. `RANGEWATCH_WASI_TESTSUITE` adds folders, separated as in `PATH`.

mod config_file;
mod configuration;
mod program;
mod run;
mod table;
mod tree;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fmt};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::configuration::{Configuration, Engine};
use crate::program::Program;
use crate::table::Table;

/// Folders with more programs.
const FOLDERS: &str = "RANGEWATCH_WASI_TESTSUITE";

fn main() -> ExitCode {
    if let Some(code) = run::child() {
        return code;
    }
    let programs = match programs() {
        Ok(programs) => programs,
        Err(error) => return fail(error),
    };
    let table = Arc::new(Mutex::new(Table::default()));
    let trials = programs
        .into_iter()
        .flat_map(|program| {
            let program = Arc::new(program);
            let table = &table;
            Configuration::all()
                .map(move |configuration| trial(&program, configuration, Arc::clone(table)))
        })
        .collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody may be reading any more; the exit code remains.
    let _ = write!(io::stdout(), "{table}");
    conclusion.exit_code()
}

/// Our own programs, and those of the folders that the environment names.
fn programs() -> Result<Vec<Program>, String> {
    let guests = match env::var_os("RANGEWATCH_GUESTS") {
        Some(guests) => PathBuf::from(guests),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/prebuilt"),
    };
    let folders = env::var_os(FOLDERS).unwrap_or_default();
    let mut programs = Vec::new();
    for folder in std::iter::once(guests.join("wasi")).chain(env::split_paths(&folders)) {
        if folder.as_os_str().is_empty() {
            continue;
        }
        let found = Program::in_folder(&folder)?;
        if found.is_empty() {
            return Err(format!("no program for preview1 in `{}`", folder.display()));
        }
        programs.extend(found);
    }
    Ok(programs)
}

fn trial(program: &Arc<Program>, configuration: Configuration, table: Arc<Mutex<Table>>) -> Trial {
    let program = Arc::clone(program);
    let name = format!("{}/{configuration}", program.name);
    Trial::test(name, move || {
        let result = run::run(&program, configuration);
        (table.lock().unwrap_or_else(PoisonError::into_inner)).add(
            &program.suite,
            configuration,
            result.is_ok(),
        );
        result.map_err(Failed::from)
    })
}

fn fail(error: impl fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::FAILURE
}

/// The engines of this build.
const ENGINES: &[Engine] = &[
    #[cfg(feature = "wasmtime")]
    Engine::Wasmtime,
    #[cfg(feature = "wasmi")]
    Engine::Wasmi,
];
