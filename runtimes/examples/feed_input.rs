//! Sends standard input to a program while it runs.

use std::error::Error;
use std::io::Write;

use futures::executor::block_on;
use rangewatch::{Runtime, SharedBuffer, Wasi, Wasmi, pipe, run_command};

/// Runs the program on two lines of input and returns its output.
pub(crate) async fn feed(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new();
    let (mut input, stdin) = pipe(4096); // a buffer of 4,096 bytes
    let wasi = Wasi::builder().stdin(stdin).stdout(out.clone()).build()?;
    let feeding = async move {
        input.send(b"alice\n").await?; // waits while the buffer is full
        input.send(b"bob\n").await // dropping `input` ends the input
    };
    let (exit, fed) = futures::join!(run_command(runtime, wasm, wasi), feeding);
    let exit = exit?;
    if exit.code() != 0 {
        return Err(exit.into());
    }
    fed?;
    Ok(out.to_string_lossy())
}

fn main() -> Result<(), Box<dyn Error>> {
    let wasm = std::fs::read("integration-tests/guests/prebuilt/greet.wasm")?;
    let output = block_on(feed(&Wasmi::new(), &wasm))?;
    Ok(std::io::stdout().write_all(output.as_bytes())?)
}
