//! Runs programs in the format of the official wasi-testsuite, each in every configuration.
//!
//! A test is named `suite/program/engine/files/stdio/rights`, for filters; a table of the passes
//! follows the tests. The tests `suite/program/traces/files` compare the calls that the engines
//! make. The programs of this project always run; `RANGEWATCH_WASI_TESTSUITE` adds folders,
//! separated as in `PATH`.

mod config_file;
mod configuration;
mod program;
mod run;
mod table;
mod traces;
mod tree;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fmt};

use integration_tests::within_deadline;
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
    let guests = match env::var_os("RANGEWATCH_GUESTS") {
        Some(guests) => PathBuf::from(guests),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("guests/prebuilt"),
    };
    let programs = programs(&guests);
    let traces = programs.and_then(|programs| Ok((traces::trials(&programs, &guests)?, programs)));
    let (mut trials, programs) = match traces {
        Ok(found) => found,
        Err(error) => return fail(error),
    };
    let table = Arc::new(Mutex::new(Table::default()));
    trials.extend(programs.iter().flat_map(|program| {
        let table = &table;
        Configuration::all()
            .map(move |configuration| trial(program, configuration, Arc::clone(table)))
    }));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    // Ignored if stdout is closed: the exit code remains.
    let _ = write!(io::stdout(), "{table}");
    conclusion.exit_code()
}

/// The programs of this project, and those of the folders that the environment names.
fn programs(guests: &Path) -> Result<Vec<Arc<Program>>, String> {
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
        programs.extend(found.into_iter().map(Arc::new));
    }
    Ok(programs)
}

fn trial(program: &Arc<Program>, configuration: Configuration, table: Arc<Mutex<Table>>) -> Trial {
    let program = Arc::clone(program);
    let name = format!("{}/{configuration}", program.name);
    Trial::test(name, move || {
        let result = within_deadline({
            let program = Arc::clone(&program);
            move || run::run(&program, configuration)
        });
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
