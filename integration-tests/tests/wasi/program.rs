//! The programs of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config_file::{self, Manifest};

/// The WASI version that this project implements.
const VERSION: &str = "wasm32-wasip1";

/// A program and its expected result.
#[derive(Debug)]
pub(crate) struct Program {
    /// The name of its suite.
    pub(crate) suite: String,
    /// `suite/program`.
    pub(crate) name: String,
    pub(crate) wasm: PathBuf,
    pub(crate) expected: Expectations,
}

/// The configuration of a program and its expected result.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// A directory beside the program, preopened as `/`.
    pub(crate) root: Option<String>,
    pub(crate) stdin: String,
    pub(crate) exit_code: u32,
    /// The whole output, if it is compared.
    pub(crate) stdout: Option<String>,
    pub(crate) stderr: Option<String>,
}

impl Program {
    /// The programs in a folder and below it, without those for another WASI version.
    pub(crate) fn in_folder(folder: &Path) -> Result<Vec<Self>, String> {
        let mut programs = Vec::new();
        find(folder, &mut programs)?;
        programs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(programs)
    }

    /// The program of this file.
    pub(crate) fn read(suite: &str, wasm: PathBuf) -> Result<Self, String> {
        let config = wasm.with_extension("json");
        let expected = if config.is_file() {
            explain(
                &config,
                read(&config).and_then(|text| config_file::parse(&text)),
            )?
        } else {
            Expectations::default()
        };
        let stem = wasm.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            suite: suite.to_owned(),
            name: format!("{suite}/{stem}"),
            expected,
            wasm,
        })
    }

    /// Its root directory in the source tree.
    pub(crate) fn root(&self) -> Option<PathBuf> {
        let root = self.expected.root.as_ref()?;
        Some(self.wasm.with_file_name(root))
    }
}

fn find(folder: &Path, programs: &mut Vec<Program>) -> Result<(), String> {
    let manifest = folder.join("manifest.json");
    let mut suite = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if manifest.is_file() {
        let parse = |text: String| serde_json::from_str(&text).map_err(|error| error.to_string());
        let manifest: Manifest = explain(&manifest, read(&manifest).and_then(parse))?;
        if manifest.version.is_some_and(|version| version != VERSION) {
            return Ok(());
        }
        suite = manifest.name.replace(' ', "-");
    }
    let entries = fs::read_dir(folder).map_err(|error| error.to_string());
    for entry in explain(folder, entries)? {
        let path = explain(folder, entry.map_err(|error| error.to_string()))?.path();
        if path.is_dir() && !path.is_symlink() {
            find(&path, programs)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            programs.push(Program::read(&suite, path)?);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| error.to_string())
}

fn explain<T>(path: &Path, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|error| format!("`{}`: {error}", path.display()))
}
