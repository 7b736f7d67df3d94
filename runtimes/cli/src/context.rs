//! The WASI context of the guest.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use rangewatch::wasi::fs::{Access, Devices, HostDir, MemoryFs};
use rangewatch::wasi::{Errno, RightsMode};
use rangewatch::{
    FixedClock, OverBudget, SeededRandom, SharedBuffer, Stdin, Stdout, SystemClock, SystemRandom,
    Wasi, WasiBuilder,
};

use crate::args::{Files, Mapping, Rights, RunArgs};
use crate::copy;
use crate::failure::Failure;

/// The output of the guest, buffered until the end of the run.
#[derive(Default)]
pub(crate) struct Captured {
    stdout: SharedBuffer,
    stderr: SharedBuffer,
}

impl Captured {
    /// Prints the output and empties the buffers.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let mut stdout = io::stdout();
        let printed = (stdout.write_all(&self.stdout.take()))
            .and_then(|()| stdout.flush())
            .and_then(|()| io::stderr().write_all(&self.stderr.take()));
        printed.map_err(|error| {
            Failure::run(format_args!("cannot print the captured output: {error}"))
        })
    }
}

/// Builds the context of the guest.
pub(crate) fn wasi(args: &RunArgs, captured: Option<&Captured>) -> Result<Wasi, Failure> {
    let builder = Wasi::builder()
        .args(args.guest_args())
        .envs(args.env.iter().map(|(name, value)| (name, value)))
        .rights(match args.rights {
            Rights::Strict => RightsMode::Strict,
            Rights::Compat => RightsMode::Compat,
            Rights::Off => RightsMode::Off,
        });
    let builder = match args.fixed_clock {
        Some(ns) => builder.clock(fixed(ns)),
        None => builder.clock(SystemClock::new()),
    };
    let builder = match args.seed {
        Some(seed) => builder.random(SeededRandom::new(seed)),
        None => builder.random(SystemRandom::new()),
    };
    let builder = streams(builder, args, captured)?;
    directories(builder, args)?.build().map_err(Failure::usage)
}

fn fixed(ns: u64) -> FixedClock {
    const NS_PER_S: u64 = 1_000_000_000;
    FixedClock::at(ns / NS_PER_S, (ns % NS_PER_S) as u32)
}

fn streams(
    builder: WasiBuilder,
    args: &RunArgs,
    captured: Option<&Captured>,
) -> Result<WasiBuilder, Failure> {
    let path = args.stdin.as_deref().filter(|path| *path != Path::new("-"));
    let mut stdin = match path {
        None if captured.is_some() => {
            let mut input = Vec::new();
            (io::stdin().read_to_end(&mut input)).map_err(|error| {
                Failure::run(format_args!("cannot read the standard input: {error}"))
            })?;
            Stdin::bytes(input)
        }
        None => Stdin::inherit(),
        Some(path) => Stdin::reader(open(path).map_err(|error| {
            let path = path.display();
            Failure::run(format_args!("cannot read `{path}` for --stdin: {error}"))
        })?),
    };
    let (mut stdout, mut stderr) = match captured {
        Some(Captured { stdout, stderr }) => {
            (Stdout::from(stdout.clone()), Stdout::from(stderr.clone()))
        }
        None => (Stdout::inherit(), Stdout::inherit_stderr()),
    };
    if let Some(bytes) = args.hostcall_limit {
        let over = OverBudget::Fail(Errno::Dquot);
        stdin = stdin.budget(bytes, over);
        stdout = stdout.budget(bytes, over);
        stderr = stderr.budget(bytes, over);
    }
    Ok(builder.stdin(stdin).stdout(stdout).stderr(stderr))
}

/// Opens a file for reading. Refuses a directory, which could be opened but not read.
fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

fn directories(mut builder: WasiBuilder, args: &RunArgs) -> Result<WasiBuilder, Failure> {
    let writable = (args.dir.iter()).map(|dir| (dir, "--dir", Access::ReadWrite));
    let read_only = (args.ro_dir.iter()).map(|dir| (dir, "--ro-dir", Access::ReadOnly));
    for (Mapping { host, guest }, option, access) in writable.chain(read_only) {
        let path = host.display();
        let dir = HostDir::open(host).map_err(|error| {
            Failure::run(format_args!("cannot open `{path}` for {option}: {error}"))
        })?;
        builder = match args.fs {
            Files::Host => builder.preopen(guest, dir, access),
            Files::Mem => {
                let files = match args.fixed_clock {
                    Some(ns) => MemoryFs::builder().clock(fixed(ns)),
                    None => MemoryFs::builder().clock(SystemClock::new()),
                };
                let limit_bytes = args.hostcall_limit.unwrap_or(MemoryFs::DEFAULT_LIMIT_BYTES);
                let files = files.limit_bytes(limit_bytes).build();
                let devices = match args.seed {
                    Some(seed) => Devices::new(SeededRandom::new(seed)),
                    None => Devices::new(SystemRandom::new()),
                };
                copy::tree(&dir, &files, &devices).map_err(|error| {
                    let what = format_args!("cannot copy `{path}` into memory: {error}");
                    match error.is_too_large() {
                        false => Failure::run(what),
                        true => Failure::run(format_args!(
                            "{what}; a copy holds {limit_bytes} bytes, which --hostcall-limit sets, and {} entries",
                            MemoryFs::DEFAULT_LIMIT_ENTRIES
                        )),
                    }
                })?;
                builder.preopen(guest, files, access)
            }
        };
    }
    Ok(builder)
}
