//! A server that is far away: a proxy on this machine delays what it passes on.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use rangewatch_bench_harness::{per_second, quantile};
use rangewatch_bridge::Writer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;
use crate::compare::Bench;
use crate::emits::{BRIDGE, fill_log, key, read_log};
use crate::engines::client;
use crate::process::runtime;
use crate::tail::Expected;

/// Round trips, in milliseconds.
const ROUND_TRIPS_MS: [u64; 2] = [20, 80];
/// The default of the bridge, and more.
const BATCHES: [usize; 2] = [256, 4096];
/// Requests of a row.
const N_REQUESTS: usize = 20;

pub(crate) fn run(bench: &mut Bench<'_>) -> Result<()> {
    if !bench.server.is_process() {
        return Ok(());
    }
    bench.group(
        "distance",
        "Emits per second of one connection to a server that is far away, with one request on its way; in\n\
         parentheses what one batch in a round trip would be.",
    );
    bench.report.table(&[
        "round trip, entries of a read or append",
        "read",
        "appended",
    ]);
    let n_requests = bench.n_emits(N_REQUESTS);
    for round_trip_ms in ROUND_TRIPS_MS {
        let url = proxy(&bench.server.url, Duration::from_millis(round_trip_ms) / 2)?;
        let far = client(&url)?;
        for n_batch in BATCHES {
            let n_emits = n_batch * n_requests;
            let (mut read, mut appended) = (Vec::new(), Vec::new());
            for _ in 0..bench.n_rounds.div_ceil(3) {
                let near = &*bench.client;
                let (read_time, append_time) = bench.runtime.block_on(async {
                    fill_log(near, BRIDGE, n_emits as u64, n_batch).await?;
                    let mut reader = far.log(BRIDGE, n_batch)?.reader().await?;
                    let head = reader.head().await?;
                    reader.seek(head.epoch, None).await?;
                    let mut expected = Expected::default();
                    let started = Instant::now();
                    read_log(&mut *reader, n_emits, |value, _| expected.next(value)).await?;
                    let read_time = started.elapsed();
                    expected.check(n_emits)?;
                    let mut writer = Writer::open(far.log(BRIDGE, n_batch)?).await?;
                    let started = Instant::now();
                    for batch in 1..=n_requests {
                        let values = n_emits + n_batch * (batch - 1)..n_emits + n_batch * batch;
                        let emits = values.map(|value| (value as u64 + 1, [key(value as u64 + 1)]));
                        writer.append_many(emits).await?;
                    }
                    let append_time = started.elapsed();
                    near.clear().await?;
                    Ok::<_, rangewatch_bridge::BoxError>((read_time, append_time))
                })?;
                read.push(n_emits as f64 / read_time.as_secs_f64());
                appended.push(n_emits as f64 / append_time.as_secs_f64());
            }
            let name = format!("{round_trip_ms} ms, {n_batch}");
            let expected = n_batch as f64 * 1e3 / round_trip_ms as f64;
            let mut cells = vec![name.clone()];
            for (what, rates) in [("read", &mut read), ("appended", &mut appended)] {
                let rate = quantile(rates, 0.5);
                cells.push(format!("{} ({})", per_second(rate), per_second(expected)));
                let figure = format!("{}/distance {name}/{what} per second", bench.engine);
                bench.figures.insert(figure, rate);
            }
            bench.report.cells(&cells);
        }
    }
    Ok(())
}

/// Starts a proxy of a server, which delays each direction. Returns the URL of the proxy, which
/// runs until this process ends.
fn proxy(url: &str, delay: Duration) -> Result<String> {
    let (scheme, rest) = url.split_once("://").ok_or("a URL has a scheme")?;
    let server = rest.trim_end_matches('/').to_owned();
    let (sender, receiver) = mpsc::channel();
    let runtime = runtime()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let _ = sender.send(listener.local_addr()?);
            loop {
                let (client, _) = listener.accept().await?;
                let server = TcpStream::connect(&server).await?;
                client.set_nodelay(true)?;
                server.set_nodelay(true)?;
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, delay));
                tokio::spawn(pass(from_server, to_client, delay));
            }
            #[expect(unreachable_code, reason = "it names the type of the error")]
            Ok::<_, std::io::Error>(())
        })
    });
    Ok(format!("{scheme}://{}/", receiver.recv()?))
}

/// Passes bytes on after a delay, in order, and as many at a time as come.
async fn pass(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) -> std::io::Result<()> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = from.read(&mut buffer).await.unwrap_or(0);
            let due = tokio::time::Instant::now() + delay;
            if n == 0 || sender.send((due, buffer[..n].to_vec())).is_err() {
                return;
            }
        }
    });
    while let Some((due, bytes)) = receiver.recv().await {
        tokio::time::sleep_until(due).await;
        to.write_all(&bytes).await?;
    }
    Ok(())
}
