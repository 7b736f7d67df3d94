//! The built binary, on every runtime of this build.
#![cfg(any(feature = "wasmi", feature = "wasmtime"))]

use std::process::{Command, Output};

fn quickstart(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(args)
        .output()
        .unwrap()
}

fn each_subscriber_receives_the_commits_of_its_paths(runtime: &str) {
    let output = quickstart(&["--runtime", runtime]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.starts_with(&format!("on {runtime}\n")), "{stdout}");

    let commits = commits();
    let touching = |selected: fn(&str) -> bool| {
        commits
            .iter()
            .filter(|paths| paths.iter().any(|path| selected(path)))
            .count()
    };
    let n_bus = touching(|path| path.starts_with("bus/"));
    let n_runtimes = touching(|path| path.starts_with("runtimes/"));
    let n_range = touching(|path| ("e".."j").contains(&path));
    for expected in [
        format!("The guest has read {} commits", commits.len()),
        format!("prefix:bus/ received {n_bus} events:"),
        format!("prefix:runtimes/ received {n_runtimes} events:"),
        format!("range:e..j received {n_range} events:"),
        format!("{0} commits, from 1 to {0}", commits.len()),
        "    guest: commit 1 touched runtimes/\n".to_owned(),
    ] {
        assert!(
            stdout.contains(&expected),
            "`{expected}` is missing in\n{stdout}"
        );
    }
}

/// The paths of each commit.
fn commits() -> Vec<Vec<&'static str>> {
    let mut commits = Vec::<Vec<_>>::new();
    for line in include_str!("../history.txt").lines() {
        match commits.last_mut() {
            Some(paths) if !line.starts_with("commit ") => paths.push(line),
            _ => commits.push(Vec::new()),
        }
    }
    commits
}

#[cfg(feature = "wasmi")]
#[test]
fn each_subscriber_receives_the_commits_of_its_paths_on_wasmi() {
    each_subscriber_receives_the_commits_of_its_paths("wasmi");
}

#[cfg(feature = "wasmi")]
#[test]
fn the_readme_shows_the_output() {
    let stdout = String::from_utf8(quickstart(&["--runtime", "wasmi"]).stdout).unwrap();
    let readme = include_str!("../../../README.md");
    assert!(
        readme.contains(&format!("```text\n{stdout}```")),
        "README.md does not show\n{stdout}"
    );
}

#[cfg(feature = "wasmtime")]
#[test]
fn each_subscriber_receives_the_commits_of_its_paths_on_wasmtime() {
    each_subscriber_receives_the_commits_of_its_paths("wasmtime");
}

#[cfg(all(feature = "wasmi", feature = "wasmtime"))]
#[test]
fn both_runtimes_agree() {
    let output = quickstart(&["--runtime", "both"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    assert!(
        stdout.ends_with("wasmi agrees with wasmtime: the two outputs are the same.\n"),
        "{stdout}"
    );
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
        let output = quickstart(&["--runtime", runtime]);
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains(&format!("this build has no {missing}")),
            "{stderr}"
        );
    }
}

#[test]
fn a_mistake_on_the_command_line_is_2() {
    for args in [&["--runtime"][..], &["--runtime", "v8"], &["both"]] {
        assert_eq!(quickstart(args).status.code(), Some(2), "{args:?}");
    }
}
