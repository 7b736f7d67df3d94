use std::error::Error;

use rangewatch::{Access, MemoryFs, Runtime, SharedBuffer, Wasi, run_command};

pub async fn files(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new();
    let data = MemoryFs::from([("greeting.txt", "hello\n"), ("logs/today", "nothing yet\n")]);
    let wasi = Wasi::builder()
        .args(["greet", "--cat", "/data/greeting.txt"])
        .preopen("/data", data.clone(), Access::ReadOnly) // the host keeps a clone, to write and to look
        .stdout(out.clone())
        .build()?;
    run_command(runtime, wasm, wasi).await?;
    assert_eq!(data.read("logs/today")?, b"nothing yet\n");
    Ok(out.to_string_lossy())
}
