//! One run of one guest.

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;

use rangewatch::runtime::ErrorChain;
use rangewatch::{
    CallError, Exit, Guest, InstantiateError, Limits, LoadError, Module, ModuleInfo, RangeWatchBus,
    Val, Wasi,
};

use crate::args::RunArgs;
use crate::call::{Call, Exports, Results, START};
use crate::callbacks::Callbacks;
use crate::context::{self, Captured};
use crate::event_output;
use crate::failure::{Failure, call_failed, describe};
use crate::printer::Printer;

/// Runs the guest and returns the exit code of the process.
pub(crate) async fn run(args: &RunArgs) -> Result<u8, Failure> {
    let path = args.module().display();
    let runtime = args.runtime.start()?;
    let wasm = fs::read(args.module())
        .map_err(|error| Failure::run(format_args!("cannot read `{path}`: {error}")))?;
    let cannot_load = |error: LoadError| {
        Failure::run(format_args!(
            "cannot load `{path}`: {}",
            ErrorChain::new(&error)
        ))
    };
    // The checks that can fail come before the compilation, which takes seconds for a large module.
    let info = ModuleInfo::parse(&wasm).map_err(cannot_load)?;
    check_after_module(&info, args)?;
    let steps = steps(&info, &args.call)?;
    let captured = args.capture.then(Captured::default);
    let wasi = context::wasi(args, captured.as_ref())?;
    let module = runtime.load(&wasm).await.map_err(cannot_load)?;

    let bus = RangeWatchBus::new();
    let printer = Printer::start(
        &bus,
        &args.watch,
        event_output::open(args.events.as_deref())?,
    )?;
    let ended = run_steps(&module, &bus, wasi, limits(args), &steps).await;
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

/// Refuses arguments for a module that is not a command and cannot read them: they are options in
/// the wrong place. A command gets its arguments in any case; many ignore them.
fn check_after_module(module: &ModuleInfo, args: &RunArgs) -> Result<(), Failure> {
    let is_command = module.func(START).is_some();
    let reads_arguments = module
        .imports()
        .iter()
        .any(|import| (import.module.as_str(), import.name.as_str()) == ARGS_GET);
    match args.after_module().next() {
        Some(first) if !is_command && !reads_arguments => Err(Failure::usage(format_args!(
            "`{}` follows MODULE and would go to the guest, which takes no arguments: put options \
             before MODULE",
            first.to_string_lossy()
        ))),
        _ => Ok(()),
    }
}

/// The function with which a guest reads its arguments. Source: WASI preview1 witx, args_get.
const ARGS_GET: (&str, &str) = ("wasi_snapshot_preview1", "args_get");

/// One call into the guest.
struct Step<'a> {
    export: &'a str,
    args: Vec<Val>,
}

/// The calls of the run, checked against the exports.
fn steps<'a>(module: &ModuleInfo, calls: &'a [Call]) -> Result<Vec<Step<'a>>, Failure> {
    let has_start = module.func(START).is_some();
    let mut steps = Vec::new();
    if has_start {
        steps.push(Step {
            export: START,
            args: Vec::new(),
        });
    }
    for call in calls {
        if has_start && call.export() == START {
            return Err(Failure::usage(format_args!(
                "`{START}` is run first, and only once: leave out --call {START}"
            )));
        }
        steps.push(Step {
            export: call.export(),
            args: call.args(module)?,
        });
    }
    if steps.is_empty() {
        return Err(Failure::usage(format_args!(
            "the guest has no `{START}`, so say what to do with --call EXPORT[,ARG..]; {}",
            Exports(module)
        )));
    }
    Ok(steps)
}

fn limits(args: &RunArgs) -> Limits {
    Limits::default().memory_bytes(usize::try_from(args.memory).unwrap_or(usize::MAX))
}

async fn run_steps(
    module: &Module,
    bus: &RangeWatchBus,
    wasi: Wasi,
    limits: Limits,
    steps: &[Step<'_>],
) -> Result<Exit, Failure> {
    let callbacks = Arc::new(Callbacks::default());
    let guest = Guest::builder(module, bus)
        .wasi(wasi)
        .limits(limits)
        .on_callback_error({
            let callbacks = Arc::clone(&callbacks);
            move |error| callbacks.record(&error)
        })
        .on_flush_error({
            let callbacks = Arc::clone(&callbacks);
            move |error| callbacks.fail_to_flush(&error)
        })
        .instantiate()
        .await;
    let ended = match guest {
        Ok(guest) => call_all(&guest, &callbacks, steps).await,
        Err(error) => exit_before(steps, not_started(error)?),
    };
    match ended {
        // An error that was printed must not end in success.
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
        if step.export == START {
            match guest.run().await {
                Ok(exit) if exit.code() == 0 => {}
                Ok(exit) => return Ok(exit),
                Err(error) => return Err(call_failed(&error)),
            }
        } else {
            match guest.call(step.export, &step.args).await {
                Ok(results) => print_results(&results)?,
                Err(error) => return exit_before(left, ended(error)?),
            }
        }
        let driven = guest.drive_until_idle().await;
        if let Some(exit) = callbacks.exit() {
            return exit_before(left, exit);
        }
        match driven {
            Ok(_) => {}
            // The error of the callback, already printed, explains why the instance is gone.
            Err(_) if callbacks.have_failed() => return Err(Failure::Reported),
            Err(error) => return ended(error),
        }
    }
    Ok(Exit::new(0))
}

/// The exit of a call that did not return, or its failure.
fn ended(error: CallError) -> Result<Exit, Failure> {
    match error {
        CallError::Exit { exit, .. } => Ok(exit),
        error => Err(call_failed(&error)),
    }
}

/// Fails if the guest exits with code 0 before every call was made.
fn exit_before(left: &[Step<'_>], exit: Exit) -> Result<Exit, Failure> {
    match left {
        [next, ..] if exit.code() == 0 => Err(Failure::run(format_args!(
            "the guest exited with code 0, so `{}` could not be called",
            next.export
        ))),
        _ => Ok(exit),
    }
}

/// The exit of a guest that exited while it started, or the reason why it could not be started.
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
        InstantiateError::Memory {
            bytes, max_bytes, ..
        } => Err(Failure::run(format_args!(
            "the module starts with {bytes} bytes of memory, and the limit is {max_bytes}: raise it \
             with --memory"
        ))),
        // The library advises to provide a host function, which is not possible here.
        InstantiateError::UnknownImport { import, .. } if !is_known(&import.module) => {
            let (module, name, ty) = (&import.module, &import.name, &import.ty);
            Err(Failure::run(format_args!(
                "the guest imports `{module}.{name}` ({ty}), and the command line provides WASI \
                 preview1 and the range-watch ABI only: a guest that imports more needs a host \
                 program of its own"
            )))
        }
        error => Err(Failure::run(ErrorChain::new(&error))),
    }
}

/// Whether an import is of some version of WASI or of the range-watch ABI. The error of the library
/// says which version to build for.
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

/// The low 8 bits of an exit code, as operating systems keep no more. A failure must not become a
/// success, so a multiple of 256 becomes 1.
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
    fn an_exit_code_is_cut_to_8_bits_and_a_failure_stays_a_failure() {
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
