//! Compiles the messages of the protocol.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    const FOLDER: &str = "../proto";
    let files = protox::compile(["rpc.proto", "guest.proto"], [FOLDER])?;
    prost_build::Config::new()
        .include_file("proto.rs")
        .compile_fds(files)?;
    println!("cargo:rerun-if-changed={FOLDER}");
    Ok(())
}
