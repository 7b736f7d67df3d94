//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand, ValueEnum};
use rangewatch::bus::KeyRange;
use rangewatch::{ParseSelectorError, Selector};

use crate::call::Call;
use crate::engine::{self, Engine};
use crate::new::NewArgs;

/// Runs WebAssembly guests that emit and watch byte keys.
#[derive(Debug, Parser)]
#[command(name = "rangewatch", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Parses the arguments of this process. Exits the process on a usage error, and after it has
    /// printed the help or the version.
    pub(crate) fn parse_or_exit() -> Self {
        Self::try_parse().unwrap_or_else(|mut error| {
            let word = match error.get(ContextKind::InvalidSubcommand) {
                Some(ContextValue::String(word)) if is_module(word) => Some(word),
                _ => None,
            };
            if let Some(word) = word {
                let tip = format!("to run a guest, write `rangewatch run {word}`");
                let tips = ContextValue::StyledStrs(vec![tip.into()]);
                error.insert(ContextKind::Suggested, tips);
            }
            error.exit()
        })
    }
}

/// Whether a word in the place of a subcommand is probably a module.
fn is_module(word: &str) -> bool {
    word.ends_with(".wasm") || Path::new(word).is_file()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArgs),
    New(NewArgs),
}

/// Run a guest and print what it emits.
///
/// If the guest exports `_start`, it is run first; then the calls of --call are made, in order.
/// After each of them, the watches of the guest itself get their callbacks. The guest has the
/// standard streams, the clocks and the randomness of this process, the directories that --dir and
/// --ro-dir name, the variables that --env sets and the ARGS after MODULE, and nothing else.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rangewatch run [OPTIONS] MODULE [ARGS]...")]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct RunArgs {
    #[arg(long, value_enum, help = engine::RUNTIME_HELP)]
    #[arg(default_value_t = Engine::DEFAULT, hide_possible_values = true)]
    pub(crate) runtime: Engine,

    /// Print the emits that have a key in this selector; may be given several times
    ///
    /// One of key:K, prefix:P, range:A..B (B excluded), from:A, or all. In each, \xNN is the byte
    /// with that hexadecimal number, and \\ a backslash.
    #[arg(long, value_name = "SELECTOR", value_parser = selector)]
    pub(crate) watch: Vec<Selector>,

    /// Call an export and print its results on stdout; may be given several times
    ///
    /// The arguments follow the name, separated by commas, and are converted to the types of the
    /// export's parameters: decimal numbers, or hexadecimal ones for integers (0x..). Integers may
    /// be signed or unsigned and are printed signed. The results of one call are one line; a call
    /// without results prints none.
    #[arg(long, value_name = "EXPORT[,ARG..]")]
    pub(crate) call: Vec<Call>,

    /// Write the events to this file instead of stderr; - is stdout
    ///
    /// The file is created, or truncated if it exists. A path that is the stdout or stderr of this
    /// process, such as /dev/stdout, is neither: the events are written to that stream, so that a
    /// redirection with >> appends.
    #[arg(long, value_name = "FILE", requires = "watch")]
    pub(crate) events: Option<PathBuf>,

    /// Set an environment variable of the guest; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,

    /// Give the guest a directory of the host; may be given several times
    ///
    /// GUEST is the path under which the guest sees the directory; without it, the guest sees the
    /// path HOST as written. The guest can use everything below the directory and nothing above it.
    #[arg(long, value_name = "HOST[::GUEST]", value_parser = mapping)]
    pub(crate) dir: Vec<Mapping>,

    /// As --dir, but read-only
    #[arg(long, value_name = "HOST[::GUEST]", value_parser = mapping)]
    pub(crate) ro_dir: Vec<Mapping>,

    /// Whether the guest uses the directories of the host or copies of them in memory
    #[arg(long, value_enum, default_value_t = Files::Host)]
    pub(crate) fs: Files,

    /// How the rights of file descriptors are enforced
    #[arg(long, value_enum, default_value_t = Rights::Compat)]
    pub(crate) rights: Rights,

    /// Read the standard input of the guest from this file; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) stdin: Option<PathBuf>,

    /// Buffer the output of the guest and print it when the run has ended
    ///
    /// The standard input is read to its end before the guest starts. Stdout and stderr are
    /// buffered up to 64 MiB each; a write beyond that fails.
    #[arg(long)]
    pub(crate) capture: bool,

    /// The most linear memory that the guest may have, in bytes or as in 512MiB
    ///
    /// The units are KiB, MiB and GiB. A module that starts with more is not run. A guest that
    /// grows its memory beyond the limit gets an error from `memory.grow`, on which most programs
    /// abort. 4GiB is all that a guest can address.
    #[arg(long, value_name = "BYTES", value_parser = size, allow_hyphen_values = true)]
    #[arg(default_value = DEFAULT_MEMORY)]
    pub(crate) memory: u64,

    /// The most bytes that the guest may read from and write to each standard stream
    ///
    /// A read or write beyond the limit fails with DQUOT. The limit also bounds the size of each
    /// copy of a directory (--fs mem). Without this option, one call still makes the host allocate
    /// at most 1 MiB.
    #[arg(long, value_name = "BYTES", value_parser = size, allow_hyphen_values = true)]
    pub(crate) hostcall_limit: Option<u64>,

    /// Freeze the clocks of the guest at this time, in nanoseconds since 1970; sleeps return at
    /// once
    #[arg(long, value_name = "NS", value_parser = nanoseconds, allow_hyphen_values = true)]
    pub(crate) fixed_clock: Option<u64>,

    /// Generate the random bytes of the guest from this seed, the same in each run
    #[arg(long, value_name = "N", value_parser = seed, allow_hyphen_values = true)]
    pub(crate) seed: Option<u64>,

    /// The guest, a wasm binary, and its own arguments, options included
    #[arg(value_name = "MODULE", required = true, trailing_var_arg = true)]
    module_and_args: Vec<OsString>,
}

/// [`Limits::DEFAULT_MEMORY_BYTES`](rangewatch::Limits::DEFAULT_MEMORY_BYTES), as the help shows
/// it.
const DEFAULT_MEMORY: &str = "256MiB";

impl RunArgs {
    pub(crate) fn module(&self) -> &Path {
        Path::new(
            self.module_and_args
                .first()
                .map_or_else(Default::default, OsString::as_os_str),
        )
    }

    /// The arguments of the guest: the file name of the module, then what follows it.
    pub(crate) fn guest_args(&self) -> impl Iterator<Item = &[u8]> {
        let name = self.module().file_name().unwrap_or_default();
        std::iter::once(name)
            .chain(self.after_module())
            .map(OsStr::as_encoded_bytes)
    }

    /// What follows the module on the command line.
    pub(crate) fn after_module(&self) -> impl Iterator<Item = &OsStr> {
        self.module_and_args.iter().skip(1).map(OsString::as_os_str)
    }
}

/// A selector that a subscription accepts.
fn selector(text: &str) -> Result<Selector, String> {
    let selector = text
        .parse()
        .map_err(|error: ParseSelectorError| error.to_string())?;
    match KeyRange::try_from(&selector) {
        Ok(_) => Ok(selector),
        Err(error) => Err(error.to_string()),
    }
}

fn nanoseconds(text: &str) -> Result<u64, String> {
    whole(text, "whole nanoseconds since 1970")
}

/// A number of bytes, with or without a unit.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let with_unit = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, unit_bytes) = with_unit.unwrap_or((text, 1));
    let size = number.parse().ok();
    size.and_then(|number: u64| number.checked_mul(unit_bytes))
        .ok_or_else(|| {
            format!(
                "write a whole number of bytes, from 0 to {}, or of KiB, MiB or GiB, as in 512MiB",
                u64::MAX
            )
        })
}

fn seed(text: &str) -> Result<u64, String> {
    whole(text, "a whole number")
}

fn whole(text: &str, what: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("write {what}, from 0 to {}", u64::MAX))
}

/// A directory of the host, and the path under which the guest sees it.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
}

fn mapping(text: &str) -> Result<Mapping, &'static str> {
    // The last separator counts: a path of the host may contain `::`.
    let (host, guest) = text.rsplit_once("::").unwrap_or((text, text));
    if host.is_empty() || guest.is_empty() {
        return Err("write HOST::GUEST, or HOST alone");
    }
    Ok(Mapping {
        host: PathBuf::from(host),
        guest: guest.to_owned(),
    })
}

/// Where the directories of a guest are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Files {
    /// The directories of the host
    Host,
    /// Copies in memory, made before the guest starts and discarded when it ends; up to 256 MiB or
    /// --hostcall-limit each. The devices null, zero, full, random and urandom are emulated; other
    /// devices, sockets and pipes are left out
    Mem,
}

/// How rights are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rights {
    /// As WASI preview1 specifies: a descriptor has the rights that were requested
    Strict,
    /// Reading and writing as requested; a request for no rights is a request for all
    Compat,
    /// As compat, and rights cannot be dropped
    Off,
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE"),
    }
}

const AFTER_HELP: &str = r#"Events:
  Every emit that has a key in a selector of --watch is one line of JSON, printed before the emit returns to the guest.
  Lines are in the order of the emits; an emit that several --watch select is one line for each, in the order of the
  command line.

    {"seq":1,"value":7,"keys":["a","b"],"selector":"prefix:a"}

  seq counts all emits, also those that no selector matches. A key that is not UTF-8 is {"base64":".."}. Lost events are
  {"lagged":N,"selector":".."}, where N is their number.

Exit code:
  The exit code of the guest, modulo 256; one that is not 0 but a multiple of 256 becomes 1.
  1    the module cannot be read or run, the guest broke the range-watch ABI, a callback of it failed, or events were lost
  2    the command line is wrong
  134  the guest trapped; the message names the kind of the trap, the export and, if the engine knows them, the functions

Examples:
  rangewatch run --watch prefix:/registry/ --watch range:a..m guest.wasm < input.txt
  rangewatch run --watch all --call apply,7 --call n_applied --events events.jsonl reactor.wasm
  rangewatch run --env MODE=test --fixed-clock 0 --dir ./data::/data program.wasm --verbose file.txt"#;

#[cfg(test)]
mod tests {
    use rangewatch::Limits;

    use super::*;

    #[test]
    fn the_default_memory_limit_is_the_library_s() {
        assert_eq!(
            size(DEFAULT_MEMORY),
            Ok(Limits::DEFAULT_MEMORY_BYTES as u64)
        );
    }

    #[test]
    fn a_size_is_a_number_of_bytes_or_has_a_binary_unit() {
        let sizes = [
            ("0", 0),
            ("1000", 1000),
            ("64KiB", 65_536),
            ("3MiB", 3 << 20),
            ("4GiB", 4 << 30),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in sizes {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5GiB", "-1", "1MB", "1 MiB", "17179869184GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
