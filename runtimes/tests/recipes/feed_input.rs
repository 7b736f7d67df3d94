use std::error::Error;

use rangewatch::{Runtime, SharedBuffer, Wasi, pipe, run_command};

pub async fn feed(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let out = SharedBuffer::new();
    let (mut feed, input) = pipe(4096); // `.stdin("alice\nbob\n")` where all of the input is known
    let wasi = Wasi::builder().stdin(input).stdout(out.clone()).build()?;
    let feeding = async move {
        feed.send(b"alice\n").await?; // waits for room
        feed.send(b"bob\n").await // then `feed` is dropped, and the input ends
    };
    let (exit, fed) = futures::join!(run_command(runtime, wasm, wasi), feeding);
    fed?;
    assert_eq!(exit?.code(), 0);
    Ok(out.to_string_lossy())
}
