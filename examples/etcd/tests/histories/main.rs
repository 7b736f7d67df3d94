//! Histories: clients record what they asked for and received while the server is under load, is
//! killed, and loses connections; a checker then says whether that can be.
//!
//! - `ETCD_KILLS=100` kills that often, `ETCD_SEED` repeats the requests and faults of a run.
//! - `ETCD_PUTS=10000` has the thousand watches receive more.
//! - `ETCD_HISTORIES=FOLDER` keeps the histories, for etcd's validators.

mod checker;
mod client;
mod crowd;
mod history;
mod kills;
mod load;
mod process;
mod relay;
mod report;
mod state;

use std::env;
use std::str::FromStr;
use std::time::Duration;

/// What a run may take when nothing more goes wrong.
const DEADLINE: Duration = Duration::from_secs(600);

#[expect(
    clippy::print_stderr,
    reason = "the seed, and the figures of a long run"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

/// A variable of the environment.
fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().ok().expect("the setting is of its type"))
}
