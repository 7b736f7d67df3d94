//! Counts of instructions, which do not depend on the load of the machine.
//!
//! A program counts by running itself under valgrind, with arguments that make it call functions
//! whose names begin with `counted_`.

use std::collections::{BTreeMap, HashMap};
use std::process::Command;

/// What the names of the functions begin with.
const PREFIX: &str = "counted_";

/// Runs this program with `args` under valgrind, and returns the instructions of each function that
/// is named `counted_NAME`, by that name: those of all its calls together, and of what it called.
///
/// The functions must not be inlined, and the program must have symbols. Only what
/// [`instrumented`] runs is counted.
///
/// # Errors
///
/// A message if valgrind does not run, or the program fails.
pub fn count(args: &[&str]) -> Result<BTreeMap<String, u64>, String> {
    let (_, profile) = callgrind(args, &[&format!("--toggle-collect=*{PREFIX}*")])?;
    let counts = inclusive(&profile);
    if counts.is_empty() {
        return Err(format!(
            "nothing was counted in {}: build with symbols (profile `bench`)",
            args.join(" ")
        ));
    }
    Ok(counts)
}

/// Runs this program with `args` under valgrind, and returns the instructions of what
/// [`instrumented`] runs: for code that has no names, as what a JIT compiles.
///
/// # Errors
///
/// As [`count`].
pub fn count_instrumented(args: &[&str]) -> Result<u64, String> {
    let (said, _) = callgrind(args, &[])?;
    said.lines()
        .find_map(|line| line.split("Collected :").nth(1)?.trim().parse().ok())
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("nothing was counted in {}", args.join(" ")))
}

/// Runs this program under callgrind. Returns its standard error and its profile.
fn callgrind(args: &[&str], options: &[&str]) -> Result<(String, String), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = std::env::temp_dir().join(format!("callgrind.{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--compress-pos=no"])
        .arg(format!("--instr-atstart={}", callgrind::AT_START))
        .args(options)
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .args(args)
        .output()
        .map_err(|error| format!("nothing was counted: install valgrind ({error})"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("{} under valgrind: {said}", args.join(" ")));
    }
    let text = std::fs::read_to_string(&profile).map_err(|error| error.to_string())?;
    // If it stays, it is in the folder for such files.
    let _ = std::fs::remove_file(&profile);
    Ok((said, text))
}

/// Runs an action whose instructions are counted, by [`count`] if they are those of a `counted_`
/// function. What runs outside of it is ten times as fast under valgrind.
pub fn instrumented<T>(action: impl FnOnce() -> T) -> T {
    callgrind::start();
    let result = action();
    callgrind::stop();
    result
}

/// The inclusive costs of the counted functions in a profile.
///
/// Source: the manual of valgrind, "Callgrind Format Specification". After `fn=` follow lines of
/// costs, each a position and a cost; the one that follows `calls=` is the cost of those calls.
fn inclusive(profile: &str) -> BTreeMap<String, u64> {
    let mut names = HashMap::new();
    let mut counts = BTreeMap::new();
    let mut counted: Option<String> = None;
    for line in profile.lines() {
        if let Some(function) = line
            .strip_prefix("fn=")
            .or_else(|| line.strip_prefix("cfn="))
        {
            // A name stands only where its number is used first.
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            if line.starts_with("fn=") {
                let name = names.get(number).and_then(|name| name.split_once(PREFIX));
                counted = name.map(|(_, name)| {
                    let is_part = |c: char| c.is_alphanumeric() || c == '_';
                    name.split(|c| !is_part(c))
                        .next()
                        .unwrap_or(name)
                        .to_owned()
                });
            }
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            let cost = line
                .split(' ')
                .nth(1)
                .and_then(|cost| cost.parse::<u64>().ok());
            if let (Some(name), Some(cost)) = (&counted, cost) {
                *counts.entry(name.clone()).or_insert(0) += cost;
            }
        }
    }
    counts
}

#[cfg(target_arch = "x86_64")]
mod callgrind {
    //! Requests of a program to the callgrind that runs it.
    #![expect(unsafe_code, reason = "a request is a sequence of instructions")]

    use std::arch::asm;

    /// Whether a program starts with instrumentation.
    pub(super) const AT_START: &str = "no";

    pub(super) fn start() {
        request(4);
    }

    pub(super) fn stop() {
        request(5);
    }

    /// Source: `VALGRIND_DO_CLIENT_REQUEST` in valgrind.h, `Vg_CallgrindClientRequest` in
    /// callgrind.h.
    fn request(number: u64) {
        const TOOL: u64 = (b'C' as u64) << 24 | (b'T' as u64) << 16;
        let args = [TOOL + number, 0, 0, 0, 0, 0];
        // SAFETY: outside of valgrind the rotations of `rdi` add up to 128 bits, so that it keeps
        // its value, and the exchange of `rbx` with itself changes nothing. Valgrind reads `args`,
        // and returns a result in `rdx`.
        unsafe {
            asm!(
                "rol rdi, 3",
                "rol rdi, 13",
                "rol rdi, 61",
                "rol rdi, 51",
                "xchg rbx, rbx",
                in("rax") args.as_ptr(),
                inout("rdx") 0_u64 => _,
                options(nostack),
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod callgrind {
    //! Without requests all of the program is instrumented, which takes longer.

    pub(super) const AT_START: &str = "yes";

    pub(super) fn start() {}

    pub(super) fn stop() {}
}
