//! What the program shows.

use std::error::Error;
use std::fmt::Write as _;

use rangewatch::{CallError, ErrorChain, Runtime, Selector};

use crate::host::{Host, Stream};

/// Drives a guest through some commands of three clients and returns a transcript, which does not
/// depend on the runtime.
///
/// # Errors
///
/// The guest cannot be started, or its callbacks cannot run.
pub async fn tour(runtime: &dyn Runtime, wasm: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    let host = Host::start(runtime, wasm, Host::limits()).await?;
    let mut audit = host.bus.subscribe(Selector::all()).events(100)?;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|client| host.connect(client));

    // Two streams watch under the same id. Each has ids of its own.
    for (client, stream, command) in [
        ("alice", &alice, "watch w order/"),
        ("bob", &bob, "watch w stock/north/"),
        ("carol", &carol, "stock north apples 5"),
        ("carol", &carol, "stock south apples 9"),
        ("carol", &carol, "stock south pears 4"),
        ("alice", &alice, "order 3 apples 2 pears"),
        ("bob", &bob, "order 4 apples"),
        ("bob", &bob, "order 100 apples"),
        ("carol", &carol, "crash"),
        ("carol", &carol, "forget"),
        ("alice", &alice, "cancel 4"),
    ] {
        let answer = match host.call(stream, command).await {
            Ok(answer) => answer,
            // The rest of its text is the location in the source of the guest.
            Err(CallError::Trap { kind, .. }) => format!("trapped: {kind}"),
            Err(error) => ErrorChain::new(&error).to_string(),
        };
        writeln!(text, "{client}: {command}\n    {answer}")?;
    }
    deliver(&mut text, &host, &[("alice", &alice), ("bob", &bob)]).await?;

    let n_watches = host.guest.n_watches();
    drop(bob);
    let left = host.guest.n_watches();
    writeln!(
        text,
        "\nbob disconnects: {n_watches} watches, then {left}\n"
    )?;
    for command in ["order 1 pears", "list stock/"] {
        let answer = host.call(&carol, command).await?;
        let answer = answer.trim_end().replace('\n', "\n    ");
        writeln!(text, "carol: {command}\n    {answer}")?;
    }
    deliver(&mut text, &host, &[("alice", &alice)]).await?;

    writeln!(text, "\nthe audit received:")?;
    host.bus.close();
    while let Ok(event) = audit.recv().await {
        for (key, change) in event.entries() {
            let (revision, client) = (event.value(), &change.client);
            let key = String::from_utf8_lossy(key);
            let value = change.value.as_deref().map(String::from_utf8_lossy);
            let value = value.unwrap_or_else(|| "deleted".into());
            writeln!(text, "    {revision} by {client}: {key} = {value}")?;
        }
    }
    let (n_hits, n_misses) = (host.lookups.n_hits(), host.lookups.n_misses());
    writeln!(text, "\nthe caches: {n_hits} hits, {n_misses} misses")?;
    Ok(text)
}

/// Runs the callbacks that are due, and takes what they wrote for each client. A service spawns
/// `host.guest.pump()` instead, and waits for the buffer of each stream.
async fn deliver(
    text: &mut String,
    host: &Host,
    streams: &[(&str, &Stream)],
) -> Result<(), Box<dyn Error>> {
    host.guest.drive_until_idle().await?;
    for (client, stream) in streams {
        writeln!(text, "\n{client} received:")?;
        for line in stream.take().lines() {
            writeln!(text, "    {line}")?;
        }
    }
    Ok(())
}
