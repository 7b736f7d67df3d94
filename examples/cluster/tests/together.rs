//! All nodes in one process, on every runtime of this build.
#![cfg(any(feature = "wasmi", feature = "wasmtime"))]

use std::process::{Command, Output};

fn cluster(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cluster"))
        .args(args)
        .output()
        .unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = cluster(args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Without the epoch, which is a time.
fn without_epoch(text: &str) -> String {
    let mut words = Vec::new();
    for line in text.lines() {
        let before = line.split_once(", epoch ").map(|(before, _)| before);
        words.push(before.unwrap_or(line));
    }
    words.join("\n")
}

fn the_readme_shows_the_output(runtime: &str) {
    let printed = stdout(&["--pace", "0", "--runtime", runtime]);
    let readme = include_str!("../README.md");
    let shown = format!("```text\n{}\n```", without_epoch(&printed));
    assert!(
        without_epoch(readme).contains(&shown),
        "README.md does not show\n{printed}"
    );
}

#[cfg(feature = "wasmi")]
#[test]
fn the_readme_shows_the_output_on_wasmi() {
    the_readme_shows_the_output("wasmi");
}

#[cfg(feature = "wasmtime")]
#[test]
fn the_readme_shows_the_output_on_wasmtime() {
    the_readme_shows_the_output("wasmtime");
}

#[cfg(all(feature = "wasmi", feature = "wasmtime"))]
#[test]
fn the_readme_shows_the_output_of_nodes_on_different_runtimes() {
    the_readme_shows_the_output("both");
}

#[test]
fn every_node_prints_the_same_whatever_the_seed() {
    for seed in ["1", "2", "3"] {
        let args = [
            "--pace", "0", "--nodes", "4", "--until", "60", "--seed", seed,
        ];
        let printed = stdout(&args);
        let of_node = |number: u32| {
            let start = format!("node {number} ");
            let lines = printed.lines();
            lines
                .filter_map(move |line| line.strip_prefix(&start))
                .collect::<Vec<_>>()
        };
        let first = of_node(1);
        for kind in ["orders", "stock", "guest"] {
            let n = first.iter().filter(|line| line.contains(kind)).count();
            assert!(n > 10, "{n} lines of {kind} with the seed {seed}");
        }
        for number in 2..=4 {
            assert_eq!(of_node(number), first, "node {number}, seed {seed}");
        }
        let end = "The log holds 60 emits. Each node has appended all of them.\n";
        assert!(printed.ends_with(end), "{printed}");
    }
}

#[cfg(not(all(feature = "wasmi", feature = "wasmtime")))]
#[test]
fn a_runtime_that_is_not_in_this_build_is_named() {
    let missing = if cfg!(feature = "wasmi") {
        "wasmtime"
    } else {
        "wasmi"
    };
    for runtime in [missing, "both"] {
        let output = cluster(&["--pace", "0", "--runtime", runtime]);
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        let message = format!("this build has no {missing}");
        assert!(stderr.contains(&message), "{stderr}");
    }
}

#[test]
fn a_mistake_on_the_command_line_is_2_and_a_log_that_is_none_is_named() {
    for args in [
        &["--runtime", "v8"][..],
        &["--node", "1"],
        &["--pace", "slow"],
        &["cluster"],
    ] {
        assert_eq!(cluster(args).status.code(), Some(2), "{args:?}");
    }
    for url in ["kafka://127.0.0.1/", "127.0.0.1"] {
        let output = cluster(&["--log", url, "--node", "1"]);
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("`{url}` is no log")), "{stderr}");
    }
}
