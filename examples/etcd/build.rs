//! Compiles `proto/`, without `protoc`.

use std::error::Error;
use std::path::PathBuf;

use tonic_build::manual::{Method, Service};

/// The service whose requests the guest reads and whose responses it writes: bytes for the server.
fn kv() -> Service {
    let method = |name: &str, route: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type("::bytes::Bytes")
            .output_type("::bytes::Bytes")
            .codec_path("crate::bytes_codec::BytesCodec")
            .build()
    };
    let methods = [
        method("range", "Range"),
        method("put", "Put"),
        method("delete_range", "DeleteRange"),
        method("txn", "Txn"),
        method("compact", "Compact"),
    ];
    let service = Service::builder().name("KV").package("etcdserverpb");
    methods
        .into_iter()
        .fold(service, |service, method| service.method(method))
        .build()
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["rpc.proto", "guest.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(files)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("kv");
    std::fs::create_dir_all(&out)?;
    tonic_build::manual::Builder::new()
        .build_client(false)
        .out_dir(out)
        .compile(&[kv()]);
    Ok(())
}
