//! A host of guests that is compiled to wasm32-wasip1 and is a guest itself: no threads, 32-bit
//! addresses, and an interpreter inside of the outer engine.
//!
//! `wasip1-host WATCHER..` runs modules with the exports of `integration-tests/guests/watcher`, and
//! prints what they do. `.ci/run wasip1` compares the output with `expected.txt`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::executor::block_on;
use futures::io::AsyncRead;
use rangewatch::runtime::ErrorChain;
use rangewatch::wasi::{call, preview1};
use rangewatch::{
    Guest, Limits, RangeWatchBus, RecvError, Runtime, Selector, SharedBuffer, Stdin, SystemClock,
    SystemRandom, Val, Wasi, Wasmi, run_command,
};

/// How long a guest that never returns may run.
const WALL_TIME: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let Some((greet, watchers)) = paths.split_first() else {
        return Err("usage: wasip1-host GREET WATCHER..".into());
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{} bits", usize::BITS)?;
    writeln!(out, "a stream that wakes itself: {}", blocking_read()?)?;
    writeln!(out, "{greet}: {}", block_on(command(greet))?)?;
    for path in watchers {
        writeln!(out, "{path}:")?;
        for line in block_on(watcher(path))? {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

/// A stream that wakes its reader while it is polled, as one with a budget for each turn does.
struct Yielding {
    n_left: u32,
}

impl AsyncRead for Yielding {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.n_left == 0 {
            buf[0] = b'x';
            return Poll::Ready(Ok(1));
        }
        self.n_left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// `fd_read` of such a stream by a guest that cannot be suspended. Nothing else could wake it here.
fn blocking_read() -> Result<String, Box<dyn Error>> {
    let stdin = Stdin::async_reader(Yielding { n_left: 3 });
    let mut wasi = Wasi::builder().stdin(stdin).build()?;
    // One buffer, at 64, of 8 bytes.
    let mut memory = vec![0; 1024];
    memory[0] = 64;
    memory[4] = 8;
    let read = |wasi: &mut Wasi, memory: &mut [u8]| preview1::fd_read(wasi, memory, 0, 0, 1, 16);
    let errno = call::block("fd_read", &mut wasi, &mut memory, read)?;
    Ok(format!("{errno:?}, {} byte", memory[16]))
}

/// A command of WASI reads the standard input of this process.
async fn command(path: &str) -> Result<String, Box<dyn Error>> {
    let output = SharedBuffer::new();
    let wasi = Wasi::builder()
        .stdin(Stdin::inherit())
        .stdout(output.clone())
        .build()?;
    let exit = run_command(&Wasmi::new(), &std::fs::read(path)?, wasi).await?;
    let lines = output.to_string_lossy().trim_end().replace('\n', ", ");
    Ok(format!("exit code {}, {lines}", exit.code()))
}

/// Emits of the guest reach a subscription here, emits from here reach the guest, and a time limit
/// ends a callback that never returns.
async fn watcher(path: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    let bus = RangeWatchBus::new();
    let mut events = bus.subscribe(Selector::prefix("test-")).events(16)?;
    let module = Wasmi::new().load(&std::fs::read(path)?).await?;
    let guest = Guest::builder(&module, &bus)
        .wasi(
            Wasi::builder()
                .clock(SystemClock::new())
                .random(SystemRandom::new())
                .build()?,
        )
        .limits(Limits::default().wall_time(WALL_TIME))
        .instantiate()
        .await?;

    guest.call("follow", &[Val::I32(1)]).await?;
    guest.call("emit", &[Val::I64(7), Val::I32(123)]).await?;
    bus.emit(8, ["test-124"])?;
    bus.emit(9, ["test-300"])?; // outside of the range
    let n_callbacks = guest.drive_until_idle().await?;
    let last = guest.call("last_value", &[]).await?;
    lines.push(format!("{n_callbacks} callback, last value {last:?}"));

    guest
        .call("set_mode", &[Val::I32(SPIN), Val::I32(0)])
        .await?;
    bus.emit(10, ["test-100"])?;
    match guest.drive_until_idle().await {
        Ok(n_callbacks) => lines.push(format!("{n_callbacks} callbacks returned")),
        Err(error) => lines.push(ErrorChain::new(&error).to_string()),
    }

    bus.close();
    loop {
        match events.recv().await {
            Ok(event) => lines.push(format!("event {}", event.value())),
            Err(RecvError::Closed) => return Ok(lines),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The mode of the guest in which its handler never returns.
const SPIN: i32 = 7;
