use std::error::Error;

use rangewatch::{Runtime, SharedBuffer, Wasi, run_command};

pub async fn capture(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new(); // holds 64 MiB; `SharedBuffer::with_limit_bytes` for another limit
    let wasi = Wasi::builder()
        .args(["greet", "--args"])
        .stdout(out.clone())
        .build()?;
    let exit = run_command(runtime, wasm, wasi).await?;
    assert_eq!(exit.code(), 0);
    Ok(out.to_string_lossy())
}
