//! A guest reads the history of this repository and emits every commit with the paths that it
//! changed; tasks in Rust, and the guest itself, receive the commits that change the paths that
//! they watch.
//!
//! [`tour`] shows the main parts of the library on one page.
#![forbid(unsafe_code)]

mod command_line;
mod excerpt;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use rangewatch::runtime::ErrorChain;
use rangewatch::{
    EventSubscription, Guest, RangeWatchBus, RecvError, Runtime, Selector, SharedBuffer, Stdout,
    Val, Wasi,
};

/// The guest, a WASI reactor written with the Rust SDK. Its source is in
/// `integration-tests/guests/quickstart`.
const GUEST: &[u8] = include_bytes!("../../../integration-tests/guests/prebuilt/quickstart.wasm");

/// The commits of this repository, by `./make-history`.
const HISTORY: &str = include_str!("../history.txt");

/// Runs the guest on `runtime` and reports what each subscriber received. The report does not
/// depend on the runtime.
async fn tour(runtime: &dyn Runtime) -> Result<String, Box<dyn Error>> {
    // A bus carries emits: a value, here the number of a commit, and keys, here the paths that it
    // changed.
    let bus = RangeWatchBus::new();

    // Subscriptions select ranges of keys: a prefix, or a range such as all keys that begin with e
    // to i. Each of these receives every commit that changed a selected path, through a queue of
    // its own with room for 1024 events.
    let mut followers = Vec::new();
    for watched in [
        Selector::prefix("bus/"),
        Selector::prefix("runtimes/"),
        ("e".."j").into(),
    ] {
        let events = bus.subscribe(&watched).events(1024)?;
        followers.push(tokio::spawn(follow(watched, events)));
    }
    // A wake subscription coalesces all emits since the last receive into one span. It needs no
    // queue.
    let mut wake = bus.subscribe(..).wake()?;

    // A module becomes a guest on the bus. Its WASI context has only what is set here: arguments
    // (the prefix that the guest watches), the history as standard input, a buffer as standard
    // output.
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

    // The call emits commit after commit. It yields after each slice of fuel, so that the tasks
    // above receive meanwhile.
    let results = guest.call("run", &[]).await?;
    let [Val::I32(n_commits @ 1..)] = results[..] else {
        return Err("the guest could not read the history".into());
    };
    // The guest opened a watch itself. This runs the callbacks that are due; a service spawns a
    // task that runs them as long as the guest exists, `tokio::spawn(guest.pump())`.
    let n_callbacks = guest.drive_until_idle().await?;

    // Closing the bus ends each subscription after its queued events.
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

/// A subscriber: receives until the bus is closed. Returns its part of the report.
async fn follow(watched: Selector, mut events: EventSubscription) -> String {
    let mut lines = Vec::new();
    let failure = loop {
        match events.recv().await {
            Ok(event) => {
                // The keys of the emit that the subscription selects; there is at least one.
                let keys: Vec<_> = event.keys().map(String::from_utf8_lossy).collect();
                let (value, n_keys) = (event.value(), keys.len());
                lines.push(format!("commit {value:>3}, {n_keys:>3} paths: {}", keys[0]));
            }
            // The queue was full, and this many events were dropped.
            Err(RecvError::Lagged(missed)) => lines.push(format!("missed {missed} commits")),
            // The bus was closed; any other error is reported.
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
            Err(error) => {
                let error = ErrorChain::new(&*error);
                command_line::print_error(&error.to_string(), ExitCode::FAILURE)
            }
        },
        Err(mistake) => command_line::print_error(&mistake, ExitCode::from(2)),
    }
}

/// Runs the tour on each of `runtimes`. Fails if the reports differ.
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
