use std::error::Error;

use rangewatch::{FixedClock, Runtime, SeededRandom, SharedBuffer, Wasi, run_command};

pub async fn repeat(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new();
    let wasi = Wasi::builder()
        .args(["greet", "--time", "--random"])
        .clock(FixedClock::at(1_690_674_910, 239_502_000)) // for real time, `SystemClock::new()`
        .random(SeededRandom::new(7)) // for secrets, `SystemRandom::new()`
        .stdout(out.clone())
        .build()?;
    run_command(runtime, wasm, wasi).await?;
    Ok(out.to_string_lossy())
}
