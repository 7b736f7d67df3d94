//! The prebuilt guests are built from the sources of today.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every source has the checksum that `rebuild` recorded.
#[test]
fn the_prebuilt_guests_are_those_of_the_sources() {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests");
    let recorded = fs::read_to_string(guests.join("prebuilt/sources.cksum")).expect("it is built");
    let recorded: BTreeMap<String, u32> = recorded
        .lines()
        .map(|line| {
            let fields: Vec<_> = line.splitn(3, ' ').collect();
            let [sum, _n_bytes, path] = fields[..] else {
                panic!("not a line of cksum: {line}")
            };
            (path.to_owned(), sum.parse().expect("a number"))
        })
        .collect();
    let mut found = BTreeMap::new();
    for folder in [
        "",
        "../../sdk/rust/src",
        "../../sdk/c",
        "../../sdk/go",
        "../../examples/etcd/guest",
        "../../examples/etcd/proto",
    ] {
        add_sources(&guests, &mut PathBuf::from(folder), &mut found);
    }
    assert!(found.len() > 20, "{found:?}");
    let changed: Vec<_> = found
        .iter()
        .filter(|(path, sum)| recorded.get(*path) != Some(*sum))
        .map(|(path, _)| path)
        .chain(recorded.keys().filter(|path| !found.contains_key(*path)))
        .collect();
    assert!(
        changed.is_empty(),
        "these sources are not the ones of the prebuilt guests, \
         run integration-tests/guests/rebuild: {changed:?}"
    );
}

/// Adds the checksum of each source in a folder and below.
fn add_sources(guests: &Path, folder: &mut PathBuf, found: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(guests.join(&*folder)).expect("a folder") {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("ASCII");
        folder.push(&name);
        if entry.path().is_dir() {
            if !["target", "prebuilt", "tests"].contains(&name.as_str()) {
                add_sources(guests, folder, found);
            }
        } else if is_source(&name) {
            let path = folder.to_str().expect("ASCII").replace('\\', "/");
            let bytes = fs::read(entry.path()).expect("readable");
            found.insert(path, cksum(&bytes));
        }
        folder.pop();
    }
}

fn is_source(name: &str) -> bool {
    if name.ends_with("_test.go") {
        return false;
    }
    name == "rebuild"
        || ["Cargo.", "go."]
            .iter()
            .any(|start| name.starts_with(start))
        || [".rs", ".c", ".h", ".go", ".proto"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// The checksum of the program `cksum`. Source: POSIX.1-2017, cksum.
fn cksum(bytes: &[u8]) -> u32 {
    let mut sum = 0_u32;
    let mut add = |byte: u8| {
        sum ^= u32::from(byte) << 24;
        for _ in 0..8 {
            let carry = if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            sum = (sum << 1) ^ carry;
        }
    };
    bytes.iter().copied().for_each(&mut add);
    let mut len = bytes.len();
    while len > 0 {
        add(len as u8);
        len >>= 8;
    }
    !sum
}

#[test]
fn the_checksum_is_that_of_cksum() {
    assert_eq!(cksum(b"123456789"), 930_766_865);
    assert_eq!(cksum(b""), 4_294_967_295);
}
