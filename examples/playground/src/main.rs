//! `cargo run` builds the playground; with `-- --serve` it serves it as well.

use std::error::Error;
use std::path::PathBuf;

const USAGE: &str = "usage: cargo run -- [--out FOLDER] [--serve [ADDRESS]]

Builds the playground into FOLDER (default: target/playground/page of the repository), static files
for any server. --serve serves them on ADDRESS (default: 127.0.0.1:8080).";

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = playground::default_out();
    let mut address = None;
    let mut args = std::env::args().skip(1).peekable();
    while let Some(arg) = args.next() {
        match &*arg {
            "--out" => out = PathBuf::from(args.next().ok_or(USAGE)?),
            "--serve" => {
                let given = args.next_if(|arg| !arg.starts_with('-'));
                address = Some(given.unwrap_or_else(|| "127.0.0.1:8080".to_owned()));
            }
            _ => return Err(USAGE.into()),
        }
    }
    let sizes = playground::build(&out)?;
    println!("{}\n{sizes}", out.display());
    if let Some(address) = address {
        let server = playground::Server::start(&out, &address)?;
        println!("open http://{}/ (end with ctrl-c)", server.address());
        server.join();
    }
    Ok(())
}
