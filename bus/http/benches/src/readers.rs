//! The process of the clients: one thread, one task for each connection. It takes commands on its
//! input and prints what it receives.
#![expect(clippy::print_stdout, reason = "the parent process reads the output")]

use std::cell::Cell;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinSet, LocalSet};

/// The receive buffer of a client that does not read, which the kernel doubles.
const STALLED_RECEIVE_BYTES: u32 = 8 << 10;

/// Takes commands until the input ends:
///
/// - `healthy N`: connects N clients that read. Client I watches `healthy/I` and `tick`. Each event
///   of the former is printed as `event VALUE NANOS`, with the time of its arrival; `ticks COUNT`
///   is printed when N more of the latter have arrived.
/// - `stalled N`: connects N clients that do not read. Client I watches `stalled/I`.
/// - `drain`: those read, and `drained COUNT REPORTED` is printed when all are at their end:
///   their number, and that of those whose last event is `compacted`.
pub(crate) async fn run(server: SocketAddr) -> io::Result<()> {
    LocalSet::new().run_until(take_commands(server)).await
}

async fn take_commands(server: SocketAddr) -> io::Result<()> {
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    let mut stalled = Vec::new();
    let n_ticks = Rc::new(Cell::new(0));
    while let Some(command) = commands.next_line().await? {
        let (name, n) = command.split_once(' ').unwrap_or((&command, "0"));
        let n = n.parse().map_err(io::Error::other)?;
        match name {
            "healthy" => {
                for i in 0..n {
                    let stream =
                        connect(server, &format!("key=healthy/{i}&key=tick"), None).await?;
                    tokio::task::spawn_local(read_events(stream, n, Rc::clone(&n_ticks)));
                }
            }
            "stalled" => {
                for i in 0..n {
                    let query = format!("key=stalled/{i}");
                    stalled.push(connect(server, &query, Some(STALLED_RECEIVE_BYTES)).await?);
                }
            }
            _ => {
                let mut tasks: JoinSet<_> = stalled.drain(..).map(read_to_end).collect();
                let (mut n_drained, mut n_reported) = (0, 0);
                while let Some(reported) = tasks.join_next().await {
                    n_drained += 1;
                    n_reported += usize::from(reported.map_err(io::Error::other)??);
                }
                say(&format!("drained {n_drained} {n_reported}"))?;
            }
        }
    }
    Ok(())
}

async fn connect(
    server: SocketAddr,
    query: &str,
    receive_bytes: Option<u32>,
) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(n_bytes) = receive_bytes {
        socket.set_recv_buffer_size(n_bytes)?;
    }
    let mut stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    let request = format!("GET /watch?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Reports the events of a client that reads. They are small and far apart, so each arrives in one
/// piece.
async fn read_events(mut stream: TcpStream, n: usize, n_ticks: Rc<Cell<usize>>) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 10];
    loop {
        let n_bytes = stream.read(&mut buffer).await?;
        if n_bytes == 0 {
            return Ok(());
        }
        let received = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(io::Error::other)?;
        let text = String::from_utf8_lossy(&buffer[..n_bytes]);
        for line in text
            .lines()
            .filter(|line| line.starts_with("data: {\"seq\""))
        {
            if line.contains("\"tick\"") {
                n_ticks.set(n_ticks.get() + 1);
                if n_ticks.get().is_multiple_of(n) {
                    say(&format!("ticks {}", n_ticks.get()))?;
                }
            } else {
                let value = line
                    .split("\"value\":")
                    .nth(1)
                    .and_then(|rest| rest.split(',').next());
                let value = value.ok_or_else(|| io::Error::other("an event without a value"))?;
                say(&format!("event {value} {}", received.as_nanos()))?;
            }
        }
    }
}

/// Whether the last event of the response is `compacted`, behind other events.
async fn read_to_end(mut stream: TcpStream) -> io::Result<bool> {
    const END: &[u8] = b"0\r\n\r\n";
    let mut buffer = vec![0; 64 << 10];
    let mut tail = Vec::new();
    let mut n_total = 0;
    while !tail.ends_with(END) {
        let n_bytes = stream.read(&mut buffer).await?;
        if n_bytes == 0 {
            break;
        }
        n_total += n_bytes;
        tail.extend_from_slice(&buffer[..n_bytes]);
        tail.drain(..tail.len().saturating_sub(256));
    }
    let tail = String::from_utf8_lossy(&tail);
    Ok(n_total > 10_000 && tail.contains("event: compacted\n"))
}

/// Prints a line at once.
fn say(line: &str) -> io::Result<()> {
    println!("{line}");
    io::stdout().flush()
}
