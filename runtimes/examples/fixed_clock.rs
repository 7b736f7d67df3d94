//! Gives a program a fixed time and repeatable random bytes.

use std::error::Error;
use std::io::Write;

use futures::executor::block_on;
use rangewatch::{FixedClock, Runtime, SeededRandom, SharedBuffer, Wasi, Wasmi, run_command};

/// Runs the program and returns its output, which is the same each time.
pub(crate) async fn repeat(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new();
    let wasi = Wasi::builder()
        .args(["greet", "--time", "--random"])
        .clock(FixedClock::at(1_690_674_910, 239_502_000)) // for real time: `SystemClock::new()`
        .random(SeededRandom::new(7)) // for secrets: `SystemRandom::new()`
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
    let output = block_on(repeat(&Wasmi::new(), &wasm))?;
    Ok(std::io::stdout().write_all(output.as_bytes())?)
}
