//! The build: the engine as WebAssembly, its bindings, the page and the shipped guests.

use std::error::Error;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt, fs};

use wasm_bindgen_cli_support::Bindgen;

/// The target of the engine.
const TARGET: &str = "wasm32-unknown-unknown";

/// Where Debian installs its Rust. It has no compiled standard library for the target, but the
/// sources of one.
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std";

/// The guests that the page offers, from `integration-tests/guests/prebuilt`. `page/guests.js`
/// describes them.
const GUESTS: [&str; 7] = [
    "watcher",
    "watcher_c",
    "watcher_go",
    "notices",
    "emitter",
    "greet",
    "quickstart",
];

/// An empty file, by which a later build knows the folder of an earlier one.
const MARK: &str = ".rangewatch-playground";

/// The folder of this package.
fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the repository, in which this package is `examples/playground`.
fn repository() -> &'static Path {
    package().ancestors().nth(2).unwrap_or(package())
}

/// Where the page is built unless another folder is named: `target/playground/page` of the
/// repository.
#[must_use]
pub fn default_out() -> PathBuf {
    repository().join("target/playground/page")
}

/// Builds the page into `out`, and returns what its files weigh.
///
/// # Errors
///
/// There is no Rust for the target, the engine does not compile, or a file cannot be written.
pub fn build(out: &Path) -> Result<Sizes, Box<dyn Error>> {
    // Only the page of an earlier build is replaced.
    if out.exists() && !out.join(MARK).exists() {
        return Err(format!(
            "{} exists, and is no playground: name another folder, or remove it",
            out.display()
        )
        .into());
    }
    let engine = compile()?;
    if out.exists() {
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out.join("guests"))?;
    fs::write(out.join(MARK), "")?;
    Bindgen::new()
        .input_path(&engine)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .out_name("engine")
        .generate(out.join("engine"))?;
    for file in fs::read_dir(package().join("page"))? {
        let file = file?;
        fs::copy(file.path(), out.join(file.file_name()))?;
    }
    for guest in GUESTS {
        let name = format!("{guest}.wasm");
        let prebuilt = repository().join("integration-tests/guests/prebuilt");
        fs::copy(prebuilt.join(&name), out.join("guests").join(&name))?;
    }
    Ok(Sizes::of(out)?)
}

/// Compiles the engine, by the installed Rust if it has the target, otherwise by Debian's.
fn compile() -> Result<PathBuf, Box<dyn Error>> {
    let target_dir = repository().join("target/playground/build");
    let sysroot = sysroot()?;
    let mut cargo = if sysroot.join("lib/rustlib").join(TARGET).exists() {
        Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    } else if Path::new(DEBIAN_CARGO).exists() && Path::new(DEBIAN_SOURCES).exists() {
        debian_cargo(&sysroot)?
    } else {
        return Err(format!(
            "there is no Rust for {TARGET}: rustup target add {TARGET}, \
             or on Debian: apt-get install rustc-web cargo-web rust-web-src lld"
        )
        .into());
    };
    cargo
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "playground-engine",
        ])
        .args(["--target", TARGET])
        .arg("--manifest-path")
        .arg(package().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        // Flags of the shell are for programs of this machine.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if !cargo.status()?.success() {
        return Err("the engine does not compile".into());
    }
    Ok(target_dir
        .join(TARGET)
        .join("release/playground_engine.wasm"))
}

fn sysroot() -> Result<PathBuf, Box<dyn Error>> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc).args(["--print", "sysroot"]).output()?;
    Ok(PathBuf::from(String::from_utf8(printed.stdout)?.trim()))
}

/// Debian's cargo, with the variables that have it compile the standard library, too.
fn debian_cargo(sysroot: &Path) -> Result<Command, Box<dyn Error>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let rust_lld = fs::read_dir(sysroot.join("lib/rustlib"))?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/rust-lld")))
        .find(|program| program.exists());
    let linker = env::split_paths(&path)
        .map(|folder| folder.join("wasm-ld"))
        .find(|program| program.exists())
        .or(rust_lld)
        .ok_or("there is no wasm-ld: on Debian: apt-get install lld")?;
    let folders = [PathBuf::from("/usr/bin")];
    let mut cargo = Command::new(DEBIAN_CARGO);
    cargo
        .env(
            "PATH",
            env::join_paths(folders.into_iter().chain(env::split_paths(&path)))?,
        )
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
        .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort")
        // Set by the cargo that runs this program.
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN");
    Ok(cargo)
}

/// The bytes of the files of a page.
#[derive(Debug)]
pub struct Sizes(Vec<(PathBuf, u64)>);

impl Sizes {
    fn of(out: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![out.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path();
                    let name = path.strip_prefix(out).unwrap_or(&path).to_owned();
                    files.push((name, entry.metadata()?.len()));
                }
            }
        }
        files.sort();
        Ok(Self(files))
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, n_bytes) in &self.0 {
            let is_binary = name.extension() == Some(OsStr::new("wasm"));
            if is_binary {
                writeln!(f, "{:9} bytes  {}", n_bytes, name.display())?;
            }
        }
        let total: u64 = self.0.iter().map(|(_, n_bytes)| n_bytes).sum();
        write!(f, "{total:9} bytes  in {} files", self.0.len())
    }
}
