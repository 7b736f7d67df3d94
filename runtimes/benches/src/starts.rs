//! Loading a module: compiled, and from a directory of compiled modules.

use futures::executor::block_on;
use rangewatch_bench_harness::{Contender, Effort, Report};
use rangewatch_runtime::{ModuleInfo, Runtime};
use rangewatch_wasmi::Wasmi;
use rangewatch_wasmtime::Wasmtime;

const GUESTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../integration-tests/guests/prebuilt"
);

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "`Runtime::load` of a guest: compiled by wasmtime; read by wasmtime from its `compiled_dir`; \
         translated by\nwasmi. `ModuleInfo::parse` is our part of what the others than the second \
         one do.\n",
    );
    report.table(&[
        "guest",
        "wasmtime, compiled",
        "wasmtime, `compiled_dir`",
        "wasmi",
        "`ModuleInfo::parse`",
    ]);
    let dir = tempfile::tempdir().expect("a directory");
    let builder = Wasmtime::builder().compiled_dir(dir.path().join("compiled"));
    let keeping = builder.build().expect("a directory of this user");
    let (wasmtime, wasmi) = (Wasmtime::new(), Wasmi::new());
    for name in ["quickstart", "greet_go"] {
        // An engine that is not optimized takes a minute for the larger one.
        if effort == Effort::Smoke && name == "greet_go" {
            continue;
        }
        let wasm = std::fs::read(format!("{GUESTS}/{name}.wasm")).expect("a committed guest");
        let load = |runtime: &dyn Runtime| {
            block_on(runtime.load(&wasm)).expect("valid");
        };
        load(&keeping);
        let mut contenders = [
            Contender::new(|| load(&wasmtime)),
            Contender::new(|| load(&keeping)),
            Contender::new(|| load(&wasmi)),
            Contender::new(|| drop(ModuleInfo::parse(&wasm).expect("valid"))),
        ];
        report.row(effort, name, &mut contenders);
    }
}
