//! The cost of starting a guest.

use rangewatch::wasi::fs::MemoryFs;
use rangewatch_bench_harness::{Clock, Contender, Effort, Report, at_most, measure, nanos};

use crate::guests::NOP;
use crate::tree::Tree;
use crate::{context, on_wasmi, on_wasmtime};

pub(crate) fn run(effort: Effort, report: &Report) {
    contexts(effort, report);
    commands(effort, report);
}

fn contexts(effort: Effort, report: &Report) {
    let tree = Tree::new();
    let fs = MemoryFs::new();
    report.table(&[
        "a context with one directory",
        "ours",
        "wasmtime-wasi",
        "wasmi_wasi",
    ]);
    let mut contenders = [
        Contender::on(Clock::Process, || drop(context::build_with_memory_fs(&fs))),
        Contender::on(Clock::Process, || {
            drop(context::build_with_host_dir(tree.path()))
        }),
        Contender::on(Clock::Process, || {
            drop(on_wasmtime::build_peer(tree.path()))
        }),
        Contender::on(Clock::Process, || drop(on_wasmi::build_peer(tree.path()))),
    ];
    let times = measure(effort, &mut contenders);
    let absent = || "-".to_owned();
    report.cells(&[
        "in memory".to_owned(),
        at_most(times[0], 2e3, nanos),
        absent(),
        absent(),
    ]);
    report.cells(&[
        "of the host, opened for it".to_owned(),
        at_most(times[1], 2e3, nanos),
        nanos(times[2]),
        nanos(times[3]),
    ]);
}

fn commands(effort: Effort, report: &Report) {
    report.note("");
    report.table(&[
        "a context, an instance and `_start` of a module that does nothing",
        "ours",
        "peer",
    ]);
    let (wasmtime, wasmi) = (
        on_wasmtime::Compiled::new(NOP),
        on_wasmi::Compiled::new(NOP),
    );
    let mut contenders = [
        Contender::on(Clock::Process, || wasmtime.run_ours()),
        Contender::on(Clock::Process, || wasmtime.run_peer()),
        Contender::on(Clock::Process, || wasmi.run_ours()),
        Contender::on(Clock::Process, || wasmi.run_peer()),
    ];
    let times = measure(effort, &mut contenders);
    for (engine, times) in ["wasmtime", "wasmi"].iter().zip(times.chunks(2)) {
        let ours = at_most(times[0], 5e3, nanos);
        report.cells(&[format!("on {engine}"), ours, nanos(times[1])]);
    }
}
