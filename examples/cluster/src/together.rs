//! All nodes in one process, on a log in memory.

use std::io::{self, Write as _};
use std::sync::Arc;

use rangewatch::Owner;
use rangewatch_bridge::{BoxError, Log, MemoryLog};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::bridge::Bridge;
use crate::command_line::Options;
use crate::journal::Printed;
use crate::node::{GUEST, Node};
use crate::output::{Line, Output};
use crate::status;

/// How many revisions there are unless the command line says so.
const N_REVISIONS: u64 = 8;

/// A node, and what it prints.
struct Member {
    number: u32,
    node: Node,
    /// The watch of the guest.
    _watch: Owner,
    lines: UnboundedReceiver<Line>,
}

/// Runs the nodes in step, so that what they print can be compared: each applies a change, then
/// each prints what it has received.
pub(crate) async fn run(options: &Options) -> Result<(), BoxError> {
    let log = MemoryLog::new();
    let mut members = Vec::new();
    for number in 1..=options.nodes {
        members.push(Member::start(options, number, Arc::new(log.clone())).await?);
    }
    for revision in 1..=options.until.unwrap_or(N_REVISIONS) {
        for member in &mut members {
            member.node.machine.change().await?;
        }
        for member in &mut members {
            member.receive(revision).await?;
        }
        tokio::time::sleep(options.pace()).await;
    }
    let n_emits = log.n_emits();
    writeln!(
        io::stdout(),
        "The log holds {n_emits} emits. Each node has appended all of them."
    )?;
    Ok(())
}

impl Member {
    async fn start(options: &Options, number: u32, log: Arc<dyn Log>) -> Result<Self, BoxError> {
        let (output, lines) = Output::new();
        let module = options.runtime.of_node(number)?.load(GUEST).await?;
        let printed = Printed::default();
        let mut bridge = Bridge::open(log, None).await?;
        let appender = ("appender", &mut bridge.appender);
        for (of, watch) in [appender, ("reader", &mut bridge.reader)] {
            if let Some(live) = watch.until_live().await {
                output.status(status::text(of, &live));
            }
        }
        let node = Node::new(&module, bridge, options.seed, printed, &output).await?;
        let mut member = Self {
            number,
            _watch: node.customers.watch().await?,
            node,
            lines,
        };
        member.print()?;
        Ok(member)
    }

    /// Prints what the subscribers receive of a revision.
    async fn receive(&mut self, revision: u64) -> Result<(), BoxError> {
        let node = &mut self.node;
        for watch in [&mut node.bridge.appender, &mut node.bridge.reader] {
            watch
                .until(|status| status.position >= Some(revision))
                .await;
        }
        node.orders.drain().await?;
        node.stock.drain().await?;
        node.guest.drive_until_idle().await?;
        self.print()?;
        Ok(())
    }

    fn print(&mut self) -> io::Result<()> {
        let mut out = io::stdout();
        while let Ok(line) = self.lines.try_recv() {
            writeln!(out, "node {} {line}", self.number)?;
        }
        Ok(())
    }
}
