//! `rangewatch new`: the project of a guest, from a template.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::failure::Failure;

/// Start the project of a guest, in a new folder
///
/// The README in the folder says how to build and run the guest. Until the first release of the
/// SDKs it builds with --sdk only.
#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// The language of the guest
    #[arg(long, value_enum)]
    lang: Lang,

    /// Use the SDKs in this folder, `sdk` of a checkout of the project, instead of the published
    /// ones
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,

    /// The folder, whose last part is the name of the project: a letter, then letters, digits, -
    /// and _
    #[arg(value_name = "NAME", value_parser = project)]
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Lang {
    /// Rust
    Rust,
    /// Go, 1.24 or later
    Go,
    /// C, or C++
    C,
}

/// The SDK in C, which is a part of the project.
const HEADER: &str = "rangewatch.h";

const VERSION: &str = env!("CARGO_PKG_VERSION");

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!("../templates/", $file))
    };
}

impl Lang {
    /// The files of a project, and their templates.
    const fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Rust => &[
                ("Cargo.toml", template!("rust/manifest.toml")),
                ("src/lib.rs", template!("rust/lib.rs")),
                ("README.md", template!("rust/README.md")),
                (".gitignore", "/target\n"),
            ],
            Self::Go => &[
                ("go.mod", template!("go/go.mod.in")),
                ("main.go", template!("go/main.go")),
                ("README.md", template!("go/README.md")),
                (".gitignore", "*.wasm\n"),
            ],
            Self::C => &[
                ("guest.c", template!("c/guest.c")),
                (HEADER, template!("c/rangewatch.h")),
                ("README.md", template!("c/README.md")),
                (".gitignore", "*.wasm\n"),
            ],
        }
    }

    /// What the manifest says of the SDK.
    fn sdk(self, folder: Option<&Path>) -> Result<String, Failure> {
        let Some(folder) = folder else {
            return Ok(match self {
                Self::Rust => format!("\"{VERSION}\""),
                Self::Go | Self::C => String::new(),
            });
        };
        let name = match self {
            Self::Rust => "rust",
            Self::Go => "go",
            Self::C => "c",
        };
        let folder = folder.join(name);
        let absolute = fs::canonicalize(&folder);
        let absolute = absolute.map_err(|error| failed("find the SDK", &folder, &error))?;
        let text = absolute.to_str();
        let text = text.ok_or_else(|| Failure::run("the path of the SDK is not UTF-8"))?;
        let quoted = serde_json::Value::from(text);
        Ok(match self {
            Self::Rust => format!("{{ path = {quoted} }}"),
            Self::Go => format!("\n\nreplace github.com/pantopic/rangewatch/sdk/go => {quoted}"),
            Self::C => String::new(),
        })
    }
}

/// Writes the project, and says where it is.
pub(crate) fn new(args: &NewArgs) -> Result<(), Failure> {
    let NewArgs { lang, sdk, path } = args;
    let name = name(path).unwrap_or_default();
    let header = match (lang, sdk) {
        (Lang::C, Some(folder)) => {
            let header = folder.join("c/rangewatch.h");
            let text = fs::read_to_string(&header);
            Some(text.map_err(|error| failed("read", &header, &error))?)
        }
        _ => None,
    };
    let sdk = lang.sdk(sdk.as_deref())?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| failed("create", parent, &error))?;
    }
    // An error if it exists: nothing of the user's is overwritten.
    fs::create_dir(path).map_err(|error| failed("create", path, &error))?;
    for (file, template) in lang.files() {
        let to = path.join(file);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|error| failed("create", folder, &error))?;
        }
        let template = match &header {
            Some(header) if *file == HEADER => header,
            _ => *template,
        };
        let text = template
            .replace("{name}", name)
            .replace("{file}", &name.replace('-', "_"))
            .replace("{version}", VERSION)
            .replace("{sdk}", &sdk);
        fs::write(&to, text).map_err(|error| failed("write", &to, &error))?;
    }
    // The project is there, whether or not somebody reads this.
    let _ = writeln!(
        io::stdout(),
        "created {}: its README.md says how to build and run it",
        path.display()
    );
    Ok(())
}

/// A folder whose name is one that Cargo and Go accept.
fn project(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name(&path).is_some_and(is_taken) {
        return Err("the SDK or a device of Windows has this name: write another");
    }
    let is_valid = name(&path).is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_part)
    });
    if is_valid {
        Ok(path)
    } else {
        Err("write a letter, then letters, digits, - and _")
    }
}

/// Cargo refuses a package that has the name of one of its dependencies, and Go one that is a
/// device on Windows.
fn is_taken(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let port = (name.strip_prefix("com")).or_else(|| name.strip_prefix("lpt"));
    let is_port = port.is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'9']));
    is_port || matches!(&*name, "rangewatch-guest" | "aux" | "con" | "nul" | "prn")
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::run(format_args!("cannot {what} {}: {error}", path.display()))
}
