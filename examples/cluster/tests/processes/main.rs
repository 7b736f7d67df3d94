//! Nodes in processes of their own, on a real Redis or NATS, while nodes and the server are killed.
#![cfg(all(unix, any(feature = "wasmi", feature = "wasmtime")))]
#![expect(
    clippy::print_stdout,
    reason = "a test says that it has tested nothing"
)]

mod node;
mod server;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use node::{Node, revision_of, signal};
use server::{Engine, Server};
use tempfile::TempDir;

/// What Redis acknowledges, it has written to a file.
const DURABLE: Engine = Engine::Redis(&["--appendonly", "yes", "--appendfsync", "always"]);

const RUNTIME: &str = if cfg!(all(feature = "wasmi", feature = "wasmtime")) {
    "both"
} else if cfg!(feature = "wasmi") {
    "wasmi"
} else {
    "wasmtime"
};

/// Three nodes of one log, and what each has printed.
struct Cluster {
    url: String,
    journals: TempDir,
    nodes: Vec<Option<Node>>,
    printed: Vec<Vec<String>>,
    n_kills: usize,
}

impl Cluster {
    fn start(server: &Server) -> Self {
        let mut cluster = Self {
            url: server.url(),
            journals: tempfile::tempdir().unwrap(),
            nodes: Vec::new(),
            printed: vec![Vec::new(); 3],
            n_kills: 0,
        };
        for number in 1..=3 {
            let node = Node::start(&cluster.args(number, &[]));
            cluster.nodes.push(Some(node));
        }
        cluster
    }

    fn args(&self, number: usize, more: &[&str]) -> Vec<String> {
        let (number, journal) = (number.to_string(), self.journals.path().to_str().unwrap());
        let mut args = vec!["--log", &self.url, "--node", &number, "--journal", journal];
        args.extend(["--pace", "20", "--runtime", RUNTIME]);
        args.extend(more);
        args.into_iter().map(str::to_owned).collect()
    }

    fn node(&self, number: usize) -> &Node {
        self.nodes[number - 1].as_ref().expect("it runs")
    }

    fn kill(&mut self, number: usize) {
        if let Some(node) = self.nodes[number - 1].take() {
            self.printed[number - 1].extend(node.kill());
            self.n_kills += 1;
        }
    }

    fn restart(&mut self, number: usize) {
        let node = Node::start(&self.args(number, &[]));
        self.nodes[number - 1] = Some(node);
    }

    /// Waits until each node has printed some more.
    fn goes_on(&self) {
        for node in self.nodes.iter().flatten() {
            node.wait_for_revision(node.last_revision() + 15);
        }
    }

    /// Kills all nodes, and starts them again until they end. Each has then printed every change
    /// once, in order.
    fn finish(mut self) {
        let running = self.nodes.iter().flatten();
        let last = running.map(Node::last_revision).max().unwrap();
        (1..=3).for_each(|number| self.kill(number));
        let until = (last + 30).to_string();
        let start = |number| Node::start(&self.args(number, &["--until", &until]));
        let nodes: Vec<_> = (1..=3).map(start).collect();
        for (printed, node) in self.printed.iter_mut().zip(nodes) {
            printed.extend(node.end());
        }
        let expected = expected(&until);
        for (number, printed) in (1..=3).zip(&self.printed) {
            let path = format!("seed-1-node-{number}.txt");
            let journal = fs::read_to_string(self.journals.path().join(path)).unwrap();
            let journal: Vec<_> = journal.lines().map(str::to_owned).collect();
            check(&journal, &expected);
            // A node that is killed may have noted a line that it has not printed.
            let mut noted = journal.iter();
            let are_noted = printed.iter().all(|line| noted.any(|noted| noted == line));
            assert!(
                are_noted,
                "node {number} has printed {printed:#?}, and noted {journal:#?}"
            );
            let n_lost = journal.len() - printed.len();
            assert!(
                n_lost <= self.n_kills,
                "node {number} has lost {n_lost} lines"
            );
        }
    }
}

/// What one node prints, on a log in memory.
fn expected(until: &str) -> Vec<String> {
    let mut cluster = Command::new(env!("CARGO_BIN_EXE_cluster"));
    cluster.args([
        "--nodes",
        "1",
        "--pace",
        "0",
        "--runtime",
        RUNTIME,
        "--until",
        until,
    ]);
    let output = cluster.output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let lines = output
        .lines()
        .filter_map(|line| line.strip_prefix("node 1 "));
    let lines = lines.filter(|line| revision_of(line).is_some());
    lines.map(str::to_owned).collect()
}

fn check(journal: &[String], expected: &[String]) {
    // Events and callbacks: each change, once, in order.
    for by in ["orders", "guest"] {
        assert_eq!(of(by, journal), of(by, expected));
    }
    // Wake-ups: one may stand for several changes. Each says the stock at its revision.
    let (printed, all) = (of("stock", journal), of("stock", expected));
    let mut changes = all.iter();
    for line in &printed {
        let (line, n_changes) = match line.split_once(" (") {
            Some((line, changes)) => {
                let n_changes = changes.split(' ').next().unwrap().parse();
                (line, n_changes.ok())
            }
            None => (*line, Some(1)),
        };
        let index = changes.clone().position(|change| *change == line);
        let index = index.unwrap_or_else(|| panic!("{line} follows in {all:#?}"));
        changes.nth(index);
        if let Some(n_changes) = n_changes {
            assert_eq!(index + 1, n_changes, "{line} of {printed:#?}");
        }
    }
    assert_eq!(changes.next(), None, "{printed:#?}");
}

/// The lines of one subscriber.
fn of<'l>(by: &str, lines: &'l [String]) -> Vec<&'l str> {
    let lines = lines.iter().map(String::as_str);
    lines
        .filter(|line| line.split_whitespace().nth(1) == Some(by))
        .collect()
}

#[test]
fn g03_every_node_prints_every_change_once_while_nodes_and_redis_are_killed() {
    while_nodes_and_the_server_are_killed(DURABLE);
}

#[test]
fn g03_every_node_prints_every_change_once_while_nodes_and_nats_are_killed() {
    while_nodes_and_the_server_are_killed(Engine::Nats);
}

fn while_nodes_and_the_server_are_killed(engine: Engine) {
    let Some(mut server) = Server::start(engine) else {
        return;
    };
    let mut cluster = Cluster::start(&server);
    cluster.goes_on();

    cluster.kill(2);
    cluster.goes_on();
    let missed = cluster.node(1).last_revision();
    cluster.restart(2);
    cluster.node(2).wait_for_line(&["continues after revision"]);
    cluster.node(2).wait_for_revision(missed);

    server.kill();
    for number in 1..=3 {
        cluster.node(number).wait_for_line(&["reader disconnected"]);
        cluster
            .node(number)
            .wait_for_line(&["appender disconnected"]);
    }
    server.restart();
    cluster.goes_on();
    cluster.finish();
}

#[test]
fn g07_a_server_that_has_lost_its_data_begins_an_epoch_and_no_node_repeats_a_change() {
    let Some(mut server) = Server::start(Engine::Redis(&[])) else {
        return;
    };
    let cluster = Cluster::start(&server);
    cluster.goes_on();
    let of_epoch = |number: usize| {
        let line = cluster
            .node(number)
            .wait_for_line(&["reader live", "epoch "]);
        line.split(", epoch ").nth(1).unwrap().to_owned()
    };
    let epoch = of_epoch(1);
    assert_eq!((of_epoch(2), of_epoch(3)), (epoch.clone(), epoch.clone()));

    server.kill();
    server.restart();
    for number in 1..=3 {
        // All three kinds of subscribers continue.
        cluster
            .node(number)
            .wait_for("line in another epoch", |lines| {
                let is_other = |line: &String| {
                    let other = line.split_once(", epoch ");
                    line.contains("reader") && other.is_some_and(|(_, other)| other > &*epoch)
                };
                let begun = lines.iter().position(is_other)?;
                let after = &lines[begun..];
                let kinds = ["orders", "stock", "guest"];
                kinds
                    .iter()
                    .all(|by| !of(by, after).is_empty())
                    .then_some(())
            });
    }
    cluster.goes_on();
    cluster.finish();
}

#[test]
fn g07_a_node_that_was_away_while_the_log_was_trimmed_asks_its_store() {
    let Some(server) = Server::start(DURABLE) else {
        return;
    };
    let mut cluster = Cluster::start(&server);
    cluster.goes_on();
    let live = cluster.node(1).wait_for_line(&["reader live", "epoch "]);
    let epoch = live.split(", epoch ").nth(1).unwrap();
    cluster.kill(2);
    cluster.goes_on();
    let floor = cluster.node(1).last_revision();
    let trimmed = server.command(&format!(
        "XTRIM rangewatch:{{cluster-1}}:{epoch} MINID {floor}"
    ));
    assert!(trimmed.starts_with(':') && trimmed != ":0\r\n", "{trimmed}");
    cluster.finish();
}

#[test]
fn a_node_that_is_killed_is_started_again_and_ctrl_c_ends_all() {
    let Some(server) = Server::start(DURABLE) else {
        return;
    };
    let journals = tempfile::tempdir().unwrap();
    let (url, journal) = (server.url(), journals.path().to_str().unwrap());
    let args = ["--log", &url, "--journal", journal, "--pace", "20"];
    let all = Node::start(&args.map(str::to_owned));
    let process = all.wait_for_line(&["node 2", "process"]);
    all.wait_for_line(&["node 2", "guest"]);
    signal("KILL", process.rsplit(' ').next().unwrap());
    all.wait_for_line(&["node 2", "killed, will start again"]);
    let again = all.wait_for("second process", |lines| {
        let mut starts = lines
            .iter()
            .filter(|line| line.contains("node 2     - process"));
        starts.nth(1).cloned()
    });
    assert_ne!(again, process);
    all.wait_for("line after the start", |lines| {
        let started = lines.iter().position(|line| *line == again)?;
        let mut after = lines[started..].iter();
        after.find_map(|line| revision_of(line.strip_prefix("node 2 ")?))
    });
    assert_eq!(all.interrupt().signal(), Some(2));
}
