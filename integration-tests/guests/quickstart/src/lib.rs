//! A commit log as a store: emits every commit with the paths that it changed, and watches one
//! prefix of them.
//!
//! The log on stdin is a header line `commit <n> <hash> <subject>` per commit, with the paths one
//! per line below it. Empty lines are ignored, and `n` increases. This prints the log of a git
//! repository:
//!
//! ```sh
//! git log --reverse --name-only --format='commit %h %s' \
//!     | awk '/^commit /{sub(/^commit/, "commit " ++n)} 1'
//! ```
//!
//! The prefix is the first argument after the program's name, `bus/` by default. For every commit
//! with a path under the prefix, the guest prints `guest: commit <n> touched <prefix>`, in order
//! and once.

use std::cell::RefCell;
use std::io::{self, BufRead, Write};

use rangewatch_guest::{self as watch, Selector};

const WATCH: &str = "quickstart";

/// Reads the log to its end and emits it. Returns the number of commits, or -1 with the reason on
/// stderr.
#[unsafe(no_mangle)]
pub extern "C" fn run() -> i32 {
    match follow().and_then(|()| emit_log(io::stdin().lock())) {
        Ok(n_commits) => n_commits,
        Err(error) => {
            eprintln!("quickstart: {error}");
            -1
        }
    }
}

/// The store: a value is the number of a commit in it.
#[derive(Default)]
struct Store {
    commits: Vec<Commit>,
    prefix: String,
    /// The highest reported commit.
    reported: u64,
}

struct Commit {
    number: u64,
    paths: Vec<String>,
}

thread_local! {
    static STORE: RefCell<Store> = RefCell::default();
}

fn follow() -> Result<(), String> {
    let prefix = std::env::args().nth(1).unwrap_or_else(|| "bus/".into());
    watch::receive(|_id, value| rescan(value)).map_err(|error| error.to_string())?;
    watch::open(WATCH, Selector::prefix(&prefix))
        .and_then(|()| watch::start(WATCH))
        .map_err(|error| format!("cannot watch {prefix:?}: {error}"))?;
    STORE.with_borrow_mut(|store| store.prefix = prefix);
    Ok(())
}

fn emit_log(input: impl BufRead) -> Result<i32, String> {
    let mut n_commits = 0;
    let mut pending: Option<Commit> = None;
    for (index, line) in input.lines().enumerate() {
        let line = line.map_err(|error| format!("cannot read the log: {error}"))?;
        if let Some(number) = number_of_header(&line) {
            n_commits += i32::from(emit_commit(pending.take())?);
            pending = Some(Commit {
                number,
                paths: Vec::new(),
            });
        } else if !line.is_empty() {
            let Some(commit) = &mut pending else {
                return Err(format!(
                    "line {}: expected `commit <n> <hash> <subject>`",
                    index + 1
                ));
            };
            commit.paths.push(line);
        }
    }
    Ok(n_commits + i32::from(emit_commit(pending)?))
}

/// The number in `commit <n> <hash> <subject>`. Any other line is a path.
fn number_of_header(line: &str) -> Option<u64> {
    let mut words = line.strip_prefix("commit ")?.splitn(3, ' ');
    let number = words.next()?.parse().ok()?;
    let hash = words.next()?;
    (hash.len() >= 4 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(number)
}

/// Stores the commit before it is emitted, so that a scan finds it. Returns whether there was one.
fn emit_commit(commit: Option<Commit>) -> Result<bool, String> {
    let Some(commit) = commit else {
        return Ok(false);
    };
    let number = commit.number;
    let paths = commit.paths.clone();
    STORE.with_borrow_mut(|store| store.commits.push(commit));
    watch::emit(number, paths).map_err(|error| format!("commit {number}: {error}"))?;
    Ok(true)
}

/// Reports the commits from the value on, which is the first commit that the host has not
/// delivered.
fn rescan(value: u64) {
    STORE.with_borrow_mut(|store| {
        let mut out = io::stdout().lock();
        let news = store
            .commits
            .iter()
            .filter(|commit| commit.number >= value && commit.number > store.reported);
        for commit in news {
            if commit
                .paths
                .iter()
                .any(|path| path.starts_with(&store.prefix))
            {
                // Ignored if stdout is closed.
                let _ = writeln!(
                    out,
                    "guest: commit {} touched {}",
                    commit.number, store.prefix
                );
            }
        }
        if let Some(last) = store.commits.last() {
            store.reported = store.reported.max(last.number);
        }
    });
}
