//! A guest reads the history of this repository and emits every commit with the paths that it touched; tasks in Rust, and
//! the guest itself, receive what touches the paths that they watch.
//!
//! Read [`tour`]: it is the whole of the library in one page.
#![forbid(unsafe_code)]

mod command_line;
mod excerpt;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use rangewatch::{
    EventSubscription, Guest, RangeWatchBus, RecvError, Runtime, Selector, SharedBuffer, Stdout,
    Val, Wasi,
};

/// The guest, a WASI reactor written with the Rust SDK. Its source is in `integration-tests/guests/quickstart`.
const GUEST: &[u8] = include_bytes!("../../../integration-tests/guests/prebuilt/quickstart.wasm");

/// The commits of this repository, by `./make-history`.
const HISTORY: &str = include_str!("../history.txt");

/// Runs the guest on `runtime` and reports what everybody received. The report does not depend on the runtime.
async fn tour(runtime: &dyn Runtime) -> Result<String, Box<dyn Error>> {
    // A bus carries emits: a value, here the number of a commit, and keys, here the paths that it touched.
    let bus = RangeWatchBus::new();

    // Subscribers watch ranges of keys: a prefix, or anything between two keys, such as what begins with e to i. Each of
    // these gets every commit that touched what it watches, through a queue of its own with room for 1024 events.
    let mut followers = Vec::new();
    for watched in [
        Selector::prefix("bus/"),
        Selector::prefix("runtimes/"),
        ("e".."j").into(),
    ] {
        let events = bus.subscribe(&watched).events(1024)?;
        followers.push(tokio::spawn(follow(watched, events)));
    }
    // This one only wants to know that something changed, and from where to look. It needs no queue, however late it is.
    let mut wake = bus.subscribe(..).wake()?;

    // A module becomes a guest on the bus. It gets a WASI context with what we put there, and nothing else: arguments
    // (the prefix that it is to watch itself), the history as standard input, a buffer as standard output.
    let module = runtime.load(GUEST).await?;
    let output = SharedBuffer::new();
    let wasi = Wasi::builder()
        .args(["quickstart", "runtimes/"])
        .stdin(HISTORY)
        .stdout(output.clone())
        .stderr(Stdout::inherit_stderr())
        .build()?;
    let guest = Guest::builder(&module, &bus)
        .wasi(wasi)
        .instantiate()
        .await?;

    // The call emits commit after commit. It yields now and then, and the subscribers above receive meanwhile.
    let results = guest.call("run", &[]).await?;
    let [Val::I32(n_commits @ 1..)] = results[..] else {
        return Err("the guest could not read the history".into());
    };
    // The guest opened a watch of its own. Its callbacks run when somebody drives them: here step by step, in a service
    // by a task that runs as long as the guest, `tokio::spawn(guest.pump())`.
    let n_callbacks = guest.drive_until_idle().await?;

    // Closing the bus ends the subscriptions, each after it has received what it holds.
    bus.close();

    let mut report =
        format!("The guest has read {n_commits} commits and emitted each with its paths.\n");
    for follower in followers {
        report.push_str(&follower.await?);
    }
    let span = wake.recv().await?;
    let (first, last, count) = (span.first(), span.last(), span.count());
    writeln!(
        report,
        "\nall received one wake-up:\n    {count} commits, from {first} to {last}"
    )?;
    writeln!(
        report,
        "\nprefix:runtimes/ received {n_callbacks} callback in the guest, which printed:"
    )?;
    excerpt::push(&mut report, output.to_string_lossy().lines());
    Ok(report)
}

/// A subscriber: receives until the bus is closed. Returns what it has to say.
async fn follow(watched: Selector, mut events: EventSubscription) -> String {
    let mut lines = Vec::new();
    let failure = loop {
        match events.recv().await {
            Ok(event) => {
                // The keys of the emit that this subscriber watches; there is at least one.
                let keys: Vec<_> = event.keys().map(String::from_utf8_lossy).collect();
                let (value, n_keys) = (event.value(), keys.len());
                lines.push(format!("commit {value:>3}, {n_keys:>3} paths: {}", keys[0]));
            }
            // Who falls behind by more than the queue holds is told by how much.
            Err(RecvError::Lagged(missed)) => lines.push(format!("missed {missed} commits")),
            // The end that was meant: nothing more will come. Any other error is said, not taken for it.
            Err(RecvError::Closed) => break None,
            Err(error) => break Some(error),
        }
    };
    let mut report = format!("\n{watched} received {} events:\n", lines.len());
    excerpt::push(&mut report, lines.iter().map(String::as_str));
    if let Some(error) = failure {
        report.push_str(&format!("    ended before the bus was closed: {error}\n"));
    }
    report
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match command_line::runtimes() {
        Ok(runtimes) => match show(&runtimes).await {
            Ok(code) => code,
            Err(error) => command_line::complain(&error.to_string(), ExitCode::FAILURE),
        },
        Err(mistake) => command_line::complain(&mistake, ExitCode::from(2)),
    }
}

/// Takes the tour on each of `runtimes`. They succeed when they agree.
async fn show(runtimes: &[Box<dyn Runtime>]) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout();
    let mut first: Option<(&str, String)> = None;
    for runtime in runtimes {
        let (name, report) = (runtime.name(), tour(&**runtime).await?);
        match &first {
            Some((other, same)) if *same == report => {
                writeln!(
                    out,
                    "\n{name} agrees with {other}: the two outputs are the same."
                )?;
            }
            Some((other, _)) => {
                writeln!(
                    out,
                    "\n{name} does NOT agree with {other}:\n\non {name}\n\n{report}"
                )?;
                return Ok(ExitCode::FAILURE);
            }
            None => {
                write!(out, "on {name}\n\n{report}")?;
                first = Some((name, report));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
