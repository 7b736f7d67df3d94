//! Gives a program files in memory.

use std::error::Error;
use std::io::Write;

use futures::executor::block_on;
use rangewatch::{Access, MemoryFs, Runtime, SharedBuffer, Wasi, Wasmi, run_command};

/// Runs the program and returns its output.
pub(crate) async fn files(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new();
    let data =
        MemoryFs::with_files([("greeting.txt", "hello\n"), ("logs/today", "nothing yet\n")])?;
    let wasi = Wasi::builder()
        .args(["greet", "--cat", "/data/greeting.txt"])
        .preopen("/data", data.clone(), Access::ReadOnly) // a clone is the same filesystem
        .stdout(out.clone())
        .build()?;
    let exit = run_command(runtime, wasm, wasi).await?;
    if exit.code() != 0 {
        return Err(exit.into());
    }
    assert_eq!(data.read("logs/today")?, b"nothing yet\n");
    Ok(out.to_string_lossy())
}

fn main() -> Result<(), Box<dyn Error>> {
    let wasm = std::fs::read("integration-tests/guests/prebuilt/greet.wasm")?;
    let output = block_on(files(&Wasmi::new(), &wasm))?;
    Ok(std::io::stdout().write_all(output.as_bytes())?)
}
