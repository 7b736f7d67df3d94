//! The contents of a directory tree.

use std::fs;
use std::path::Path;

use rangewatch_wasi::fs::{Dir, Node};

/// Everything below a host directory, with the contents of files.
pub(crate) fn snapshot(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let contents = match metadata.is_dir() {
            true => Vec::new(),
            false => fs::read(&path).unwrap(),
        };
        found.push((path.display().to_string(), contents));
        if metadata.is_dir() {
            found.extend(snapshot(&path));
        }
    }
    found.sort();
    found
}

/// Every path below a directory with its contents.
pub(crate) fn tree(dir: &dyn Dir) -> Vec<String> {
    let mut found = Vec::new();
    tree_below(dir, "", &mut found);
    found.sort();
    found
}

fn tree_below(dir: &dyn Dir, path: &str, found: &mut Vec<String>) {
    for entry in dir.read_dir().unwrap() {
        let name = entry.unwrap().name;
        let path = format!("{path}/{name}");
        match dir.lookup(&name).unwrap() {
            Node::Dir(below) => tree_below(&*below, &path, found),
            Node::Symlink(target) => found.push(format!("{path} -> {target}")),
            Node::File(file) => {
                let mut bytes = vec![0; file.metadata().unwrap().size_bytes as usize];
                assert_eq!(file.read_at(&mut bytes, 0), Ok(bytes.len()));
                found.push(format!("{path} {bytes:?}"));
            }
            other => panic!("{path} is {other:?}"),
        }
        found.push(path);
    }
}
