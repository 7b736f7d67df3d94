//! `modules [--runtime wasmi|wasmtime|both]`

use std::env;
use std::io::{self, Write as _};
use std::process::ExitCode;

use rangewatch::Runtime;

/// The runtimes that the command line selects. A runtime is a value: the rest of the program does
/// not depend on it.
pub(crate) fn runtimes() -> Result<Vec<Box<dyn Runtime>>, String> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => Ok(vec![runtime(DEFAULT)?]),
        ["--runtime", "both"] => Ok(vec![runtime("wasmtime")?, runtime("wasmi")?]),
        ["--runtime", name] => Ok(vec![runtime(name)?]),
        _ => Err("usage: modules [--runtime wasmi|wasmtime|both]".to_owned()),
    }
}

const DEFAULT: &str = if cfg!(feature = "wasmtime") {
    "wasmtime"
} else {
    "wasmi"
};

fn runtime(name: &str) -> Result<Box<dyn Runtime>, String> {
    match name {
        #[cfg(feature = "wasmtime")]
        "wasmtime" => Ok(Box::new(rangewatch::Wasmtime::new())),
        #[cfg(feature = "wasmi")]
        "wasmi" => Ok(Box::new(rangewatch::Wasmi::new())),
        _ if ["wasmtime", "wasmi"].contains(&name) => Err(format!(
            "this build has no {name}: add --features {name} to cargo run"
        )),
        _ => Err(format!(
            "`{name}` is no runtime: write wasmi, wasmtime or both"
        )),
    }
}

/// Prints an error on stderr.
pub(crate) fn print_error(message: &str, code: ExitCode) -> ExitCode {
    // Ignored if stderr is closed: the exit code remains.
    let _ = writeln!(io::stderr(), "modules: {message}");
    code
}
