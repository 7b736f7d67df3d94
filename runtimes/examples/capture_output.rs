//! Captures the standard output of a program.

use std::error::Error;
use std::io::Write;

use futures::executor::block_on;
use rangewatch::{Runtime, SharedBuffer, Wasi, Wasmi, run_command};

/// Runs the program and returns its output.
pub(crate) async fn capture(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new(); // at most 64 MiB; `with_limit_bytes` sets another limit
    let wasi = Wasi::builder()
        .args(["greet", "--args"])
        .stdout(out.clone())
        .build()?;
    let exit = run_command(runtime, wasm, wasi).await?;
    if exit.code() != 0 {
        return Err(exit.into());
    }
    Ok(out.to_string_lossy())
}

fn main() -> Result<(), Box<dyn Error>> {
    let wasm = std::fs::read("integration-tests/guests/prebuilt/greet.wasm")?;
    let output = block_on(capture(&Wasmi::new(), &wasm))?;
    Ok(std::io::stdout().write_all(output.as_bytes())?)
}
