//! Gives a program one directory of the host, read-only.

use std::error::Error;
use std::io::Write;

use futures::executor::block_on;
use rangewatch::{Access, HostDir, Runtime, SharedBuffer, Wasi, Wasmi, run_command};

/// Runs the program and returns its output.
pub(crate) async fn confine(
    runtime: &dyn Runtime,
    wasm: &[u8],
    dir: &str,
) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new();
    let wasi = Wasi::builder()
        .args(["greet", "--cat", "/data/Cargo.toml"])
        .args(["--cat", "/data/../Cargo.toml"]) // fails
        .preopen("/data", HostDir::open(dir)?, Access::ReadOnly)
        .stdout(out.clone())
        .stderr(out.clone())
        .build()?;
    let exit = run_command(runtime, wasm, wasi).await?;
    if exit.code() != 0 {
        return Err(exit.into());
    }
    Ok(out.to_string_lossy())
}

fn main() -> Result<(), Box<dyn Error>> {
    let wasm = std::fs::read("integration-tests/guests/prebuilt/greet.wasm")?;
    let output = block_on(confine(&Wasmi::new(), &wasm, "examples/quickstart"))?;
    Ok(std::io::stdout().write_all(output.as_bytes())?)
}
