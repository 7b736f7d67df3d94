//! The files that configure a program and its expected result.
//!
//! Source: wasi-testsuite, doc/specification.md.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::program::Expectations;

/// The newer format of the file beside a program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operations {
    operations: Vec<Operation>,
}

/// The steps that a command of preview1 can have. Others are for servers.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Operation {
    Run {
        #[serde(default)]
        args: Vec<String>,
        #[serde(default)]
        env: BTreeMap<String, String>,
        root: Option<String>,
    },
    Write {
        id: String,
        payload: String,
    },
    Read {
        #[serde(default = "stdout")]
        id: String,
        payload: String,
    },
    Wait {
        #[serde(default)]
        exit_code: u32,
    },
}

/// The older format.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Legacy {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    root: Option<String>,
    exit_code: u32,
    stdout: Option<String>,
    stderr: Option<String>,
}

/// The file of a folder that names the WASI version of its programs.
#[derive(Deserialize)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    /// Missing in folders of sources.
    pub(crate) version: Option<String>,
}

fn stdout() -> String {
    "stdout".to_owned()
}

/// Parses a file of either format.
pub(crate) fn parse(text: &str) -> Result<Expectations, String> {
    let file: Value = from_json(serde_json::from_str(text))?;
    // Decides on the format first, so that an error names the wrong key.
    if file.get("operations").is_some() {
        let file: Operations = from_json(serde_json::from_value(file))?;
        let mut expected = Expectations::default();
        for operation in file.operations {
            add(&mut expected, operation)?;
        }
        return Ok(expected);
    }
    let legacy: Legacy = from_json(serde_json::from_value(file))?;
    Ok(Expectations {
        args: legacy.args,
        env: legacy.env.into_iter().collect(),
        root: legacy.root,
        stdin: String::new(),
        exit_code: legacy.exit_code,
        stdout: legacy.stdout,
        stderr: legacy.stderr,
    })
}

fn from_json<T>(parsed: serde_json::Result<T>) -> Result<T, String> {
    parsed.map_err(|error| error.to_string())
}

/// A program gets all its input at once and its output is compared at its end, so the order of the
/// steps is ignored.
fn add(expected: &mut Expectations, operation: Operation) -> Result<(), String> {
    match operation {
        Operation::Run { args, env, root } => {
            expected.args = args;
            expected.env = env.into_iter().collect();
            expected.root = root;
        }
        Operation::Write { id, payload } if id == "stdin" => expected.stdin.push_str(&payload),
        Operation::Write { id, .. } => return Err(format!("nobody reads `{id}`")),
        Operation::Read { id, payload } => {
            let stream = match id.as_str() {
                "stdout" => &mut expected.stdout,
                "stderr" => &mut expected.stderr,
                other => return Err(format!("no stream is called `{other}`")),
            };
            stream.get_or_insert_default().push_str(&payload);
        }
        Operation::Wait { exit_code } => expected.exit_code = exit_code,
    }
    Ok(())
}
