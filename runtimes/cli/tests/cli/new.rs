//! Projects of guests. That they build and run is tried by the stage `guests` of CI.

use std::fs;
use std::path::PathBuf;

use crate::command::{Ended, end, rangewatch, temporary};

const LANGUAGES: [(&str, &[&str]); 3] = [
    ("rust", &["Cargo.toml", "src/lib.rs"]),
    ("go", &["go.mod", "main.go"]),
    ("c", &["guest.c", "rangewatch.h"]),
];

fn new(args: &[&str]) -> Ended {
    let mut command = rangewatch();
    command.arg("new").args(args);
    end(command, "")
}

/// A temporary folder that is not there, though an earlier run may have made it.
fn absent(name: &str) -> PathBuf {
    let folder = temporary(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    folder
}

#[test]
fn a_project_has_its_name_and_the_files_of_its_language() {
    let folder = absent("new_projects");
    for (language, files) in LANGUAGES {
        let project = folder.join("of").join(language).join("my-guest");
        let ended = new(&["--lang", language, project.to_str().unwrap()]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("my-guest"), "{ended:?}");
        for file in files.iter().chain(&["README.md", ".gitignore"]) {
            let text = fs::read_to_string(project.join(file)).unwrap();
            assert!(!text.is_empty(), "{file}");
            for placeholder in ["{name}", "{file}", "{version}", "{sdk}"] {
                assert!(!text.contains(placeholder), "{placeholder} in {file}");
            }
        }
        let readme = fs::read_to_string(project.join("README.md")).unwrap();
        assert!(readme.starts_with("# my-guest\n"), "{readme}");
    }
    let manifest = fs::read_to_string(folder.join("of/rust/my-guest/Cargo.toml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        manifest.contains(&format!("rangewatch-guest = \"{version}\"\n")),
        "{manifest}"
    );
}

#[test]
fn a_project_uses_the_sdk_of_a_checkout() {
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk");
    let folder = absent("new_sdk");
    let manifest = |language: &str, file: &str| {
        let project = folder.join(language);
        let ended = new(&["--lang", language, "--sdk", sdk, project.to_str().unwrap()]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        fs::read_to_string(project.join(file)).unwrap()
    };
    let path = |language| fs::canonicalize(sdk).unwrap().join(language);
    let rust = format!("rangewatch-guest = {{ path = {:?} }}\n", path("rust"));
    assert!(manifest("rust", "Cargo.toml").contains(&rust));
    let go = format!("sdk/go => {:?}\n", path("go"));
    assert!(manifest("go", "go.mod").ends_with(&go));

    // In C the SDK is a part of the project.
    let own = folder.join("sdk/c");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("rangewatch.h"), "// another").unwrap();
    let [sdk, project] = ["sdk", "own"].map(|name| folder.join(name));
    let [sdk, project] = [&sdk, &project].map(|path| path.to_str().unwrap());
    let ended = new(&["--lang", "c", "--sdk", sdk, project]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let header = fs::read_to_string(folder.join("own/rangewatch.h")).unwrap();
    assert_eq!(header, "// another");
}

#[test]
fn nothing_is_written_into_a_folder_that_exists() {
    let folder = temporary("new_exists");
    fs::create_dir_all(&folder).unwrap();
    let ended = new(&["--lang", "c", folder.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("cannot create"), "{ended:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn an_sdk_that_is_not_there_is_1_and_nothing_is_created() {
    let folder = absent("new_no_sdk");
    let project = folder.join("guest");
    let ended = new(&[
        "--lang",
        "go",
        "--sdk",
        "no/such",
        project.to_str().unwrap(),
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("cannot find the SDK no/such/go"),
        "{ended:?}"
    );
    assert!(!project.exists());
}

#[test]
fn a_wrong_name_or_language_is_2() {
    let taken = ["rangewatch-guest", "CON", "com1"];
    for name in ["", "7th", "a b", "-", "..", "/", "gäst"]
        .into_iter()
        .chain(taken)
    {
        let ended = new(&["--lang", "c", "--", name]);
        assert_eq!(ended.code, Some(2), "{name}: {ended:?}");
        assert!(ended.stderr.contains("NAME"), "{ended:?}");
    }
    let ended = new(&["--lang", "cobol", "guest"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("rust, go, c"), "{ended:?}");
}
