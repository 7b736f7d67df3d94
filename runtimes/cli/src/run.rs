//! One run of one guest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::Arc;

use rangewatch::{CallError, Exit, Guest, InstantiateError, Module, RangeWatchBus, Val, Wasi};

use crate::args::RunArgs;
use crate::call::{Call, Exports, Results, START};
use crate::callbacks::Callbacks;
use crate::context;
use crate::context::Captured;
use crate::failure::{Failure, call_failed, describe};
use crate::printer::Printer;

/// Runs the guest. Its exit code, as the process may have it.
pub(crate) async fn run(args: &RunArgs) -> Result<u8, Failure> {
    let path = args.module().display();
    let runtime = args.runtime.start()?;
    let wasm = fs::read(args.module())
        .map_err(|error| Failure::run(format_args!("cannot read `{path}`: {error}")))?;
    let module = runtime
        .load(&wasm)
        .await
        .map_err(|error| Failure::run(format_args!("cannot load `{path}`: {error}")))?;
    check_after_module(&module, args)?;
    let steps = steps(&module, &args.call)?;
    let captured = args.capture.then(Captured::default);
    let wasi = context::wasi(args, captured.as_ref())?;

    let bus = RangeWatchBus::new();
    let printer = Printer::start(&bus, &args.watch, events(args)?)?;
    let ended = run_steps(&module, &bus, wasi, &steps).await;
    let ended = match captured.map_or(Ok(()), |captured| captured.print()) {
        Ok(()) => ended,
        Err(failure) => ended.and(Err(failure)),
    };
    match (ended, printer.finish()) {
        (ended, Ok(())) => ended.map(process_code),
        (Ok(_), Err(lost)) => Err(lost),
        (Err(failure), Err(lost)) => {
            lost.report();
            Err(failure)
        }
    }
}

/// Refuses arguments for a guest that cannot read them: they are options in the wrong place.
fn check_after_module(module: &Module, args: &RunArgs) -> Result<(), Failure> {
    let takes_arguments = module
        .info()
        .imports()
        .iter()
        .any(|import| (import.module.as_str(), import.name.as_str()) == ARGS_GET);
    match args.after_module().next() {
        Some(first) if !takes_arguments => Err(Failure::usage(format_args!(
            "`{}` follows MODULE and would go to the guest, which takes no arguments: put options \
             before MODULE",
            first.to_string_lossy()
        ))),
        _ => Ok(()),
    }
}

/// The import that gives a guest its arguments. Source: WASI preview1 witx, args_get.
const ARGS_GET: (&str, &str) = ("wasi_snapshot_preview1", "args_get");

/// One call of the run.
struct Step<'a> {
    export: &'a str,
    args: Vec<Val>,
}

/// What is to be called, checked before anything runs.
fn steps<'a>(module: &Module, calls: &'a [Call]) -> Result<Vec<Step<'a>>, Failure> {
    let mut steps = Vec::new();
    if module.info().func(START).is_some() {
        steps.push(Step {
            export: START,
            args: Vec::new(),
        });
    }
    for call in calls {
        steps.push(Step {
            export: call.export(),
            args: call.args(module.info())?,
        });
    }
    if steps.is_empty() {
        return Err(Failure::usage(format_args!(
            "the guest has no `{START}`, so say what to do with --call EXPORT[,ARG..]; {}",
            Exports(module.info())
        )));
    }
    Ok(steps)
}

/// Where the events go.
fn events(args: &RunArgs) -> Result<Box<dyn Write + Send>, Failure> {
    Ok(match &args.events {
        None => Box::new(io::stderr()),
        Some(path) => Box::new(File::create(path).map_err(|error| {
            Failure::run(format_args!(
                "cannot create `{}` for --events: {error}",
                path.display()
            ))
        })?),
    })
}

async fn run_steps(
    module: &Module,
    bus: &RangeWatchBus,
    wasi: Wasi,
    steps: &[Step<'_>],
) -> Result<Exit, Failure> {
    let callbacks = Arc::new(Callbacks::default());
    let guest = Guest::builder(module, bus)
        .wasi(wasi)
        .on_callback_error({
            let callbacks = Arc::clone(&callbacks);
            move |error| callbacks.fail(&error)
        })
        .instantiate()
        .await;
    let ended = match guest {
        Ok(guest) => call_all(&guest, &callbacks, steps).await,
        Err(error) => exit_before(steps, not_started(error)?),
    };
    match ended {
        // What has been said must not end in success.
        Ok(exit) if exit.code() == 0 && callbacks.have_failed() => Err(Failure::Reported),
        ended => ended,
    }
}

async fn call_all(
    guest: &Guest,
    callbacks: &Callbacks,
    steps: &[Step<'_>],
) -> Result<Exit, Failure> {
    for (index, step) in steps.iter().enumerate() {
        let left = &steps[index + 1..];
        match guest.call(step.export, &step.args).await {
            Ok(results) => print_results(&results)?,
            Err(error) => return exit_before(left, ended(error)?),
        }
        let driven = guest.drive_until_idle().await;
        if let Some(exit) = callbacks.exit() {
            return exit_before(left, exit);
        }
        match driven {
            Ok(_) => {}
            // That the instance is gone follows from what has been said.
            Err(_) if callbacks.have_failed() => return Err(Failure::Reported),
            Err(error) => return ended(error),
        }
    }
    Ok(Exit::new(0))
}

/// How a call that did not return ended: the guest exited, or else it failed.
fn ended(error: CallError) -> Result<Exit, Failure> {
    match error {
        CallError::Exit { exit, .. } => Ok(exit),
        error => Err(call_failed(&error)),
    }
}

/// A guest that exits in success before everything was called has not done what it was asked to.
fn exit_before(left: &[Step<'_>], exit: Exit) -> Result<Exit, Failure> {
    match left {
        [next, ..] if exit.code() == 0 => Err(Failure::run(format_args!(
            "the guest exited with code 0, so `{}` could not be called",
            next.export
        ))),
        _ => Ok(exit),
    }
}

/// How a module that became no guest ended: it exited while it started, or else it was refused.
fn not_started(error: InstantiateError) -> Result<Exit, Failure> {
    match error {
        InstantiateError::Start(cause) => match *cause {
            CallError::Exit { exit, .. } => Ok(exit),
            cause @ CallError::Trap { .. } => Err(Failure::Trap(format!(
                "the guest failed while it started: {}",
                describe(&cause)
            ))),
            cause => Err(Failure::run(format_args!(
                "the guest failed while it started: {}",
                describe(&cause)
            ))),
        },
        // Where the library would have its user provide the function.
        InstantiateError::UnknownImport { import, .. } if !is_known(&import.module) => {
            let (module, name, ty) = (&import.module, &import.name, &import.ty);
            Err(Failure::run(format_args!(
                "the guest imports `{module}.{name}` ({ty}), and the command line provides WASI \
                 preview1 and the range-watch ABI only: a guest that imports more needs a host \
                 program of its own"
            )))
        }
        error => Err(Failure::run(error)),
    }
}

/// Whether an import's module is meant to be WASI or the range-watch ABI, of whatever version: of these the library knows
/// what is wrong.
fn is_known(module: &str) -> bool {
    module.starts_with("wasi") || module.ends_with("range-watch")
}

fn print_results(results: &[Val]) -> Result<(), Failure> {
    if results.is_empty() {
        return Ok(());
    }
    writeln!(io::stdout(), "{}", Results(results))
        .map_err(|error| Failure::run(format_args!("cannot write the results: {error}")))
}

/// Systems keep 8 bits of 32. A failure must not become a success by that.
fn process_code(exit: Exit) -> u8 {
    match exit.code() as u8 {
        0 if exit.code() != 0 => 1,
        low => low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_keeps_its_low_bits_and_its_meaning() {
        let codes = [
            (0, 0),
            (3, 3),
            (255, 255),
            (256, 1),
            (259, 3),
            (u32::MAX, 255),
        ];
        for (code, process) in codes {
            assert_eq!(process_code(Exit::new(code)), process, "{code}");
        }
    }
}
