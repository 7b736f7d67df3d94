//! Many readers that wait, each of a log of its own.

use std::sync::Arc;
use std::time::Duration;

use rangewatch_bench_harness::{Clock, allocated, nanos};
use rangewatch_bridge::{Reader, Writer};
use rangewatch_bus::History;

use crate::Result;
use crate::client::Client;
use crate::compare::Bench;
use crate::emits::{frames, key};

const N_READERS: usize = 500;
/// A few of the times after which a read that waits asks again.
const TIME: Duration = Duration::from_secs(5);

pub(crate) fn run(bench: &mut Bench<'_>) -> Result<()> {
    if !bench.server.is_process() {
        return Ok(());
    }
    bench.group(
        "idle",
        "Readers that wait, each of a log of its own that holds one emit. Bytes and processor time are those of\n\
         one log, and of one reader: of the bridge with its bus.",
    );
    bench.report.table(&[
        "",
        "server's memory, log",
        "server's memory, reader",
        "client's memory, reader",
        "server's processor in a second, reader",
        "client's processor in a second, reader",
    ]);
    let n_readers = bench.n_emits(N_READERS);
    let time = TIME / if bench.share > 1 { 5 } else { 1 };
    for who in ["bridge", "bare"] {
        let client = Arc::clone(&bench.client);
        let name = |i: usize| format!("{who}-{i}");
        let empty = server_memory(bench, &*client)?;
        bench.runtime.block_on(async {
            for i in 0..n_readers {
                if who == "bridge" {
                    let mut writer = Writer::open(client.log(&name(i), 1)?).await?;
                    writer.append(1, [key(1)]).await?;
                } else if let Some(mut writer) = client.bare_writer(&name(i)).await? {
                    writer.append(&frames(1..2, b"")).await?;
                }
            }
            Ok::<_, rangewatch_bridge::BoxError>(())
        })?;
        // The connections of the writers end.
        bench.wait(time / 5);
        let logs = server_memory(bench, &*client)?;
        let (tasks, allocated_bytes) = allocated(|| {
            bench.runtime.block_on(async {
                let mut tasks = Vec::new();
                for i in 0..n_readers {
                    if who == "bridge" {
                        let reader = Reader::builder(client.log(&name(i), 256)?);
                        let reader = reader.history(History::events(1000)).open().await?;
                        let mut status = reader.status();
                        tasks.push(tokio::spawn(async move {
                            let _ = reader.run().await;
                        }));
                        status.until_live().await;
                    } else if let Some(mut reader) = client.bare_reader(&name(i), 256).await? {
                        tasks.push(tokio::spawn(
                            async move { while reader.next().await.is_ok() {} },
                        ));
                    }
                }
                // All of them wait.
                tokio::time::sleep(time / 5).await;
                Ok::<_, rangewatch_bridge::BoxError>(tasks)
            })
        });
        let tasks = tasks?;
        let server = bench.server.processor_time()?;
        let client_time = Clock::Process.time(|| bench.wait(time));
        let server = bench.server.processor_time()?.saturating_sub(server);
        let readers = server_memory(bench, &*client)?;
        let each = |total: f64| total / n_readers as f64;
        let each_second = |used: Duration| each(used.as_nanos() as f64 / time.as_secs_f64());
        let values = [
            ("log bytes", each(logs.saturating_sub(empty) as f64)),
            ("reader bytes", each(readers.saturating_sub(logs) as f64)),
            ("client bytes", each(allocated_bytes as f64)),
            ("server ns", each_second(server)),
            ("client ns", each_second(client_time)),
        ];
        let mut cells = vec![who.to_owned()];
        for (i, (figure, value)) in values.into_iter().enumerate() {
            cells.push(if i < 3 {
                format!("{value:.0}")
            } else {
                nanos(value)
            });
            let name = format!("{}/idle/{who} {figure}", bench.engine);
            bench.figures.insert(name, value);
        }
        bench.report.cells(&cells);
        for task in tasks {
            task.abort();
        }
        bench.runtime.block_on(async {
            tokio::time::sleep(time / 5).await;
            client.clear().await
        })?;
    }
    Ok(())
}

/// What the server counts, or else what its process has.
fn server_memory(bench: &Bench<'_>, client: &dyn Client) -> Result<u64> {
    match bench.runtime.block_on(client.usage())?.memory {
        0 => bench.server.resident_bytes(),
        counted => Ok(counted),
    }
}
