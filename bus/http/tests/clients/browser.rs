//! A browser without a window, for this target and for that of `examples/etcd`.

use std::process::Stdio;

use tokio::process::{Child, Command};

/// The programs, in the order of preference.
const PROGRAMS: [&str; 3] = ["chromium-headless-shell", "chromium", "google-chrome"];

/// The browser reads its DevTools protocol from file descriptor 3 and writes it to 4: these are its
/// standard input and output for the test.
const START: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

pub(crate) struct Browser {
    pub(crate) process: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let program = PROGRAMS.into_iter().find(|program| {
            let found = std::process::Command::new("which")
                .arg(program)
                .stdout(Stdio::null())
                .status();
            found.is_ok_and(|status| status.success())
        });
        let process = Command::new("sh")
            .args(["-c", START, "sh"])
            .arg(program.expect("Chromium is installed, as `.ci/run clients` does"))
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args(["--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Self {
            process: process.unwrap(),
            _profile: profile,
        }
    }
}

impl Drop for Browser {
    /// Ends the browser and the processes that it has started.
    fn drop(&mut self) {
        if let Some(id) = self.process.id() {
            let group = format!("-{id}");
            let kill = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .status();
            assert!(
                kill.is_ok_and(|status| status.success()),
                "the browser runs"
            );
        }
    }
}
