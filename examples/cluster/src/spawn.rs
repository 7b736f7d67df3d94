//! Each node in a process of its own, which this one starts, and starts again when it is killed.

use std::env;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::Stdio;
use std::time::Duration;

use rangewatch_bridge::BoxError;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::command_line::Options;

/// How long a node that was killed stays away.
const AWAY: Duration = Duration::from_secs(2);

/// Runs the nodes until all have ended.
pub(crate) async fn run(options: &Options) -> Result<(), BoxError> {
    let mut nodes = JoinSet::new();
    for number in 1..=options.nodes {
        nodes.spawn(keep_running(number));
    }
    while let Some(ended) = nodes.join_next().await {
        ended??;
    }
    Ok(())
}

/// Runs a node until it ends by itself.
async fn keep_running(number: u32) -> Result<(), BoxError> {
    loop {
        let mut node = Command::new(env::current_exe()?)
            .args(env::args_os().skip(1))
            .args(["--node", &number.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(id) = node.id() {
            print(number, &format_args!("    - process {id}"))?;
        }
        if let Some(lines) = node.stdout.take() {
            let mut lines = BufReader::new(lines).lines();
            while let Some(line) = lines.next_line().await? {
                print(number, &line)?;
            }
        }
        let status = node.wait().await?;
        if status.success() {
            return Ok(());
        }
        // A node that fails has an exit code, one that is killed has none.
        if status.code().is_some() {
            return Err(format!("node {number} has failed").into());
        }
        print(number, &"    - killed, will start again")?;
        tokio::time::sleep(AWAY).await;
    }
}

fn print(number: u32, line: &dyn Display) -> io::Result<()> {
    writeln!(io::stdout(), "node {number} {line}")
}
