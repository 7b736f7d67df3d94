use std::error::Error;

use rangewatch::{Access, HostDir, Runtime, SharedBuffer, Wasi, run_command};

pub async fn confine(
    runtime: &dyn Runtime,
    wasm: &[u8],
    dir: &str,
) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new();
    let wasi = Wasi::builder()
        .args(["greet", "--cat", "/data/in", "--cat", "/data/../out"])
        .preopen("/data", HostDir::open(dir)?, Access::ReadOnly)
        .stdout(out.clone())
        .stderr(out.clone())
        .build()?;
    run_command(runtime, wasm, wasi).await?;
    Ok(out.to_string_lossy())
}
