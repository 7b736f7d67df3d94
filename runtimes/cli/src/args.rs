//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand, ValueEnum};
use rangewatch::bus::KeyRange;
use rangewatch::{ParseSelectorError, Selector};

use crate::call::Call;
use crate::engine::{self, Engine};

/// Runs WebAssembly guests that emit and watch byte keys.
#[derive(Debug, Parser)]
#[command(name = "rangewatch", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// The command line of this process. Ends the process where it is wrong, or asks for help.
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

/// Whether a word in the place of a command was meant as a guest.
fn is_module(word: &str) -> bool {
    word.ends_with(".wasm") || Path::new(word).is_file()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArgs),
}

/// Run a guest and print what it emits.
///
/// A guest with a `_start` is run from it; then the calls are made, in order. After each, the watches of the guest itself
/// get what is due to them. The guest has the standard streams, the clocks and the randomness of this process, the
/// directories that --dir and --ro-dir name, the variables that --env sets and the ARGS after MODULE, and nothing else.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rangewatch run [OPTIONS] MODULE [ARGS]...")]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct RunArgs {
    #[arg(long, value_enum, help = engine::RUNTIME_HELP)]
    #[arg(default_value_t = Engine::DEFAULT, hide_possible_values = true)]
    pub(crate) runtime: Engine,

    /// Print what touches these keys; may be given several times
    ///
    /// One of key:K, prefix:P, range:A..B (B excluded), from:A, or all. In each, \xNN is the byte with that hexadecimal
    /// number, and \\ a backslash.
    #[arg(long, value_name = "SELECTOR", value_parser = selector)]
    pub(crate) watch: Vec<Selector>,

    /// Call an export and print its results on stdout; may be given several times
    ///
    /// The arguments follow the name, separated by commas, and take the types of the export: decimal numbers, or
    /// hexadecimal ones for integers (0x..). Integers may be signed or unsigned and are printed signed. Results of one
    /// call are one line; a call without results prints none.
    #[arg(long, value_name = "EXPORT[,ARG..]")]
    pub(crate) call: Vec<Call>,

    /// Write the events to a file instead of stderr
    #[arg(long, value_name = "FILE", requires = "watch")]
    pub(crate) events: Option<PathBuf>,

    /// Set an environment variable of the guest; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,

    /// Give the guest a directory of the host; may be given several times
    ///
    /// GUEST is where the guest finds it, with everything below it and nothing above. HOST alone has the guest find it
    /// under the path as it is written.
    #[arg(long, value_name = "HOST[::GUEST]", value_parser = mapping)]
    pub(crate) dir: Vec<Mapping>,

    /// As --dir, for looking at and not for changing
    #[arg(long, value_name = "HOST[::GUEST]", value_parser = mapping)]
    pub(crate) ro_dir: Vec<Mapping>,

    /// What the directories of the guest are: those of the host, or copies of them in memory
    ///
    /// Copies are made before the guest starts, and what it changes in them is gone when it ends. Each holds at most 256
    /// MiB, or what --hostcall-limit says.
    #[arg(long, value_enum, default_value_t = Files::Host)]
    pub(crate) fs: Files,

    /// How rights of descriptors are treated: as specified, as programs expect them, or so that none can be dropped
    #[arg(long, value_enum, default_value_t = Rights::Compat)]
    pub(crate) rights: Rights,

    /// Read the standard input of the guest from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) stdin: Option<PathBuf>,

    /// Keep what the guest prints in memory and print it when the run has ended
    ///
    /// The standard input is read to its end before the guest starts. Of each output 64 MiB are kept; what the guest writes
    /// beyond that fails.
    #[arg(long)]
    pub(crate) capture: bool,

    /// The most bytes that the guest may read from and write to each standard stream
    ///
    /// A write that goes beyond fails with DQUOT, as does a read. A copy of directories in memory (--fs mem) holds no
    /// more bytes than that, either. What one call may make the host allocate is bounded without this option: 1 MiB.
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_hyphen_values = true)]
    pub(crate) hostcall_limit: Option<u64>,

    /// Stop the clocks of the guest at this time, in nanoseconds since 1970; its sleeps are over at once
    #[arg(long, value_name = "NS", value_parser = nanoseconds, allow_hyphen_values = true)]
    pub(crate) fixed_clock: Option<u64>,

    /// Draw the random bytes of the guest from this seed, so that each run has the same
    #[arg(long, value_name = "N", value_parser = seed, allow_hyphen_values = true)]
    pub(crate) seed: Option<u64>,

    /// The guest, a wasm binary, and its own arguments, options included
    #[arg(value_name = "MODULE", required = true, trailing_var_arg = true)]
    module_and_args: Vec<OsString>,
}

impl RunArgs {
    pub(crate) fn module(&self) -> &Path {
        Path::new(
            self.module_and_args
                .first()
                .map_or_else(Default::default, OsString::as_os_str),
        )
    }

    /// What the guest sees as its arguments: the file name of the module, then its own.
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

/// A selector that a subscription takes.
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

fn bytes(text: &str) -> Result<u64, String> {
    whole(text, "a whole number of bytes")
}

fn seed(text: &str) -> Result<u64, String> {
    whole(text, "a whole number")
}

fn whole(text: &str, what: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("write {what}, from 0 to {}", u64::MAX))
}

/// A directory of the host, and where the guest finds it.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
}

fn mapping(text: &str) -> Result<Mapping, &'static str> {
    // The last separator counts, as guests have no use for one in a path.
    let (host, guest) = text.rsplit_once("::").unwrap_or((text, text));
    if host.is_empty() || guest.is_empty() {
        return Err("write HOST::GUEST, or HOST alone");
    }
    Ok(Mapping {
        host: PathBuf::from(host),
        guest: guest.to_owned(),
    })
}

/// What the directories of a guest are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Files {
    Host,
    Mem,
}

/// How rights are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rights {
    Strict,
    Compat,
    Off,
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE"),
    }
}

const AFTER_HELP: &str = r#"Events:
  Every emit that touches a watched key is one line of JSON, printed before the emit returns to the guest. Lines are in
  the order of the emits; an emit that several --watch select is a line for each, in the order of the command line.

    {"seq":1,"value":7,"keys":["a","b"],"selector":"prefix:a"}

  seq counts the emits, also those that nothing selects. A key that is not UTF-8 is {"base64":".."}. Events that were
  lost are {"lagged":N,"selector":".."}, N being their number.

Exit code:
  The guest's own, of which systems keep the low 8 bits; a code that is not 0 never becomes 0 by that, but 1.
  1    the module cannot be read or run, the guest failed in a callback, or events were lost
  2    the command line is wrong
  134  the guest trapped; the message says how and in which export, and in which functions if the engine knows

Examples:
  rangewatch run --watch prefix:/registry/ --watch range:a..m guest.wasm < input.txt
  rangewatch run --watch all --call apply,7 --call n_applied --events events.jsonl reactor.wasm
  rangewatch run --env MODE=test --fixed-clock 0 --dir ./data::/data program.wasm --verbose file.txt"#;
