//! The memory of a long log, and of the bus of its reader.

use crate::Result;
use crate::compare::Bench;
use crate::emits::{BARE, BRIDGE, FILL_BATCH, fill_bare, fill_log};
use crate::end_to_end::Started;

const N_EMITS: usize = 1_000_000;

pub(crate) fn run(bench: &mut Bench<'_>) -> Result<()> {
    if !bench.server.is_process() {
        return Ok(());
    }
    bench.group(
        "memory",
        "Bytes per emit, of a million: of the server's data, of its process, of its disk; and of the process\n\
         of a reader whose bus keeps all of them in its history.",
    );
    let n_emits = bench.n_emits(N_EMITS);
    bench
        .report
        .table(&["", "data in memory", "resident", "disk", "reader's bus"]);
    for who in ["bridge", "bare"] {
        let client = &*bench.client;
        let before = bench.runtime.block_on(client.usage())?;
        let resident = bench.server.resident_bytes()?;
        bench.runtime.block_on(async {
            match who {
                "bridge" => fill_log(client, BRIDGE, n_emits as u64, FILL_BATCH).await,
                _ => fill_bare(client, BARE, n_emits as u64).await.map(drop),
            }
        })?;
        let after = bench.runtime.block_on(client.usage())?;
        let resident = bench.server.resident_bytes()?.saturating_sub(resident);
        let bus = match who {
            "bridge" => Some(reader_bytes(bench, n_emits)?),
            _ => None,
        };
        let per_emit = |bytes: u64| bytes as f64 / n_emits as f64;
        let values = [
            (
                "data bytes",
                Some(after.memory.saturating_sub(before.memory)),
            ),
            ("resident bytes", Some(resident)),
            ("disk bytes", Some(after.disk.saturating_sub(before.disk))),
            ("reader bytes", bus),
        ];
        let mut cells = vec![who.to_owned()];
        for (name, value) in values {
            let value = value.map(per_emit);
            cells.push(value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}")));
            if let Some(value) = value {
                let name = format!("{}/memory/{who} {name}", bench.engine);
                bench.figures.insert(name, value);
            }
        }
        bench.report.cells(&cells);
        bench.runtime.block_on(bench.client.clear())?;
    }
    Ok(())
}

/// The growth of a process whose bus reads all of the log.
fn reader_bytes(bench: &Bench<'_>, n_emits: usize) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let args = [
        "--url",
        &bench.server.url,
        "--bus",
        BRIDGE,
        "--who",
        "bridge",
    ];
    let mut reader = Started::new(&args, n_emits, &folder.path().join("read"), &["reader"])?;
    reader.expect("ready")?;
    let numbers = reader.numbers()?;
    reader.wait()?;
    // It has kept the time of each emit, too.
    Ok(numbers[1].saturating_sub(8 * n_emits as u64))
}
