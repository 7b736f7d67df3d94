//! A WASI command that prints `hello <name>` for every line of stdin, and what its options select.
//!
//! | option | prints, before the greetings |
//! |---|---|
//! | `--args` | `arg <index> <text>` for every argument, then `env <name>=<value>` in the host's order |
//! | `--time` | `time <seconds>.<nanoseconds>`, nine digits, of the realtime clock |
//! | `--random` | `random <hex>` of 16 random bytes |
//! | `--cat PATH` | the file, or `cat: <error>` on stderr |
//! | `--exit N` | nothing; exits with N after the greetings |
//!
//! An unknown option exits with 64, stdin that cannot be read with 74.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    /// Fills `n_bytes` at `bytes`; 0 for success. The standard library has no function for random
    /// bytes.
    fn random_get(bytes: *mut u8, n_bytes: usize) -> i32;
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("greet: {error}");
            ExitCode::from(74)
        }
    }
}

fn run() -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut code = 0;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--args" => print_environment(&mut out)?,
            "--time" => print_time(&mut out)?,
            "--random" => print_random(&mut out)?,
            "--cat" => match std::fs::read(args.next().unwrap_or_default()) {
                Ok(bytes) => out.write_all(&bytes)?,
                Err(error) => eprintln!("cat: {error}"),
            },
            "--exit" => match args.next().and_then(|n| n.parse().ok()) {
                Some(n) => code = n,
                None => return usage("--exit needs a number from 0 to 255"),
            },
            _ => return usage(&arg),
        }
    }
    for name in io::stdin().lock().lines() {
        writeln!(out, "hello {}", name?)?;
    }
    Ok(ExitCode::from(code))
}

fn usage(problem: &str) -> io::Result<ExitCode> {
    eprintln!("greet: {problem}");
    Ok(ExitCode::from(64))
}

fn print_environment(out: &mut impl Write) -> io::Result<()> {
    for (index, arg) in std::env::args().enumerate() {
        writeln!(out, "arg {index} {arg}")?;
    }
    for (name, value) in std::env::vars() {
        writeln!(out, "env {name}={value}")?;
    }
    Ok(())
}

fn print_time(out: &mut impl Write) -> io::Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?;
    writeln!(out, "time {}.{:09}", now.as_secs(), now.subsec_nanos())
}

fn print_random(out: &mut impl Write) -> io::Result<()> {
    let mut bytes = [0; 16];
    // SAFETY: the pointer and the length are those of one live array that nothing else refers to.
    let errno = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno));
    }
    write!(out, "random ")?;
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    writeln!(out)
}
