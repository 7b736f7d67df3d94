//! Generates a constant for each guest, a macro over their names, so that a guest without tests
//! does not compile, and the example of the README as a function.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=RANGEWATCH_GUESTS");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let folder = match env::var_os("RANGEWATCH_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => manifest.join("guests/prebuilt"),
    };
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut guests: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .collect();
    guests.sort();
    let mut code = String::new();
    let mut names = String::new();
    for path in guests {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name in ASCII");
        let path = path.canonicalize().expect("it was listed");
        writeln!(
            code,
            "/// The guest of this name.\npub const {}: &[u8] = include_bytes!({path:?});",
            name.to_uppercase()
        )
        .expect("memory");
        write!(names, "$callback!({name});").expect("memory");
    }
    writeln!(
        code,
        "/// Calls the macro with the name of each guest.\n#[macro_export]\nmacro_rules! for_each_guest {{ ($callback:ident) => {{ {names} }}; }}"
    )
    .expect("memory");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("guests.rs"), code).expect("cargo's folder is writable");
    fs::write(out.join("readme.rs"), readme(&manifest)).expect("cargo's folder is writable");
}

/// The second example of the repository's README, for a test to run. The first has a `main`, which
/// the doc tests run.
fn readme(manifest: &Path) -> String {
    let path = manifest.join("../README.md");
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).expect("the repository has a README");
    let example = text
        .split("```rust\n")
        .nth(2)
        .and_then(|rest| rest.split("```").next());
    example.expect("the README has an example").to_owned()
}
