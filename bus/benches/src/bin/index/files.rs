//! The workloads in files, for programs in other languages.

use std::fmt::Write;
use std::io;
use std::path::Path;

use rangewatch_bench_harness::Report;

use crate::selection::Selection;
use crate::workload::Data;

/// Writes `WORKLOAD-SIZE.ranges` and `WORKLOAD-SIZE.queries` for what is selected, and prints the
/// names of the files.
pub(crate) fn write(report: &Report, folder: &Path, selection: &Selection) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for workload in &selection.workloads {
        for n in &selection.sizes {
            let data = workload.data(*n);
            let path = |kind| folder.join(format!("{}-{n}.{kind}", workload.name));
            for (kind, text) in [("ranges", ranges(&data)), ("queries", queries(&data))] {
                std::fs::write(path(kind), text)?;
                report.note(&path(kind).display().to_string());
            }
        }
    }
    Ok(())
}

/// A line per range: its start, a comma, and its end or `-`.
fn ranges(data: &Data) -> String {
    let mut text = String::new();
    for range in &data.ranges {
        push_hex(&mut text, range.start());
        text.push(',');
        match range.end() {
            Some(end) => push_hex(&mut text, end),
            None => text.push('-'),
        }
        text.push('\n');
    }
    text
}

/// A line per key.
fn queries(data: &Data) -> String {
    let mut text = String::new();
    for query in &data.queries {
        push_hex(&mut text, query);
        text.push('\n');
    }
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
}
