//! A quota beside a model of it, in random operations.

#[path = "differential/rng.rs"]
mod rng;

use std::collections::BTreeMap;
use std::sync::Arc;

use rangewatch_wasi::fs::{
    Create, File, HostDir, IntoDir, MemoryFs, Node, OpenOptions, Overlay, Quota,
};

use self::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Dir,
    /// The number of the file or symbolic link.
    File(usize),
    Symlink(usize),
}

/// What was made through the quota.
#[derive(Default)]
struct Model {
    /// By directory and name.
    names: BTreeMap<(usize, &'static str), Known>,
    /// The size of each file and symbolic link.
    sizes: Vec<u64>,
    open: Vec<(usize, Arc<dyn File>)>,
}

impl Model {
    fn n_bytes(&self) -> u64 {
        let is_used = |number: usize| {
            let known = [Known::File(number), Known::Symlink(number)];
            self.names.values().any(|name| known.contains(name))
                || self.open.iter().any(|(open, _)| *open == number)
        };
        let sizes = self.sizes.iter().enumerate();
        sizes
            .filter(|(number, _)| is_used(*number))
            .map(|(_, size)| size)
            .sum()
    }
}

const LIMIT_BYTES: u64 = 1_000;
const LIMIT_ENTRIES: u64 = 12;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Random operations in two directories. The charge is at all times that of the model, and nothing
/// when all is removed and closed.
fn agrees_with_the_model(fs: impl IntoDir, seed: u64, n_steps: usize) {
    let quota = Quota::new(fs, LIMIT_BYTES, LIMIT_ENTRIES);
    let root = quota.clone().into_dir();
    root.create_dir("sub").unwrap();
    let Node::Dir(sub) = root.lookup("sub").unwrap() else {
        panic!("it was made as a directory");
    };
    let dirs = [root, sub];
    let mut numbers = Rng(seed);
    let mut model = Model::default();
    for step in 0..n_steps {
        let mut place = || {
            let dir = numbers.below(2) as usize;
            (dir, NAMES[numbers.below(4) as usize])
        };
        let (from, to) = (place(), place());
        let (dir, to_dir) = (&*dirs[from.0], &*dirs[to.0]);
        let n = numbers.below(600);
        let n_open = model.open.len() as u64;
        let file = (n_open > 0).then(|| numbers.below(n_open) as usize);
        let op = numbers.below(13);
        match op {
            0..=2 => {
                let mut options = OpenOptions::default();
                (options.read, options.write) = (true, true);
                options.create = if n.is_multiple_of(2) {
                    Create::IfMissing
                } else {
                    Create::Never
                };
                options.truncate = n.is_multiple_of(3);
                if let Ok(Node::File(opened)) = dir.open(from.1, options) {
                    let file = match model.names.get(&from) {
                        Some(Known::File(file)) => *file,
                        _ => {
                            model.sizes.push(0);
                            model.names.insert(from, Known::File(model.sizes.len() - 1));
                            model.sizes.len() - 1
                        }
                    };
                    if options.truncate {
                        model.sizes[file] = 0;
                    }
                    model.open.push((file, opened));
                }
            }
            3 => {
                if dir.remove_file(from.1).is_ok() {
                    model.names.remove(&from);
                }
            }
            4 => {
                if dir.link(from.1, to_dir, to.1).is_ok() {
                    model.names.insert(to, model.names[&from]);
                }
            }
            5 | 6 => {
                let known = [from, to].map(|place| model.names.get(&place));
                let are_same = known[0] == known[1] && known[0] != Some(&Known::Dir) || from == to;
                if dir.rename(from.1, to_dir, to.1).is_ok() && !are_same {
                    let moved = model.names.remove(&from).unwrap();
                    model.names.insert(to, moved);
                }
            }
            7 => {
                let target = "t".repeat(1 + n as usize % 40);
                if dir.symlink(from.1, &target).is_ok() {
                    model.sizes.push(target.len() as u64);
                    model
                        .names
                        .insert(from, Known::Symlink(model.sizes.len() - 1));
                }
            }
            8 => {
                if n.is_multiple_of(2) {
                    if dir.create_dir(from.1).is_ok() {
                        model.names.insert(from, Known::Dir);
                    }
                } else if dir.remove_dir(from.1).is_ok() {
                    model.names.remove(&from);
                }
            }
            _ => {
                let Some(at) = file else { continue };
                let (file, open) = &model.open[at];
                let size = &mut model.sizes[*file];
                match op {
                    9 => {
                        let buf = vec![1; numbers.below(300) as usize];
                        if let Ok(n_bytes) = open.write_at(&buf, n) {
                            if n_bytes > 0 {
                                *size = (*size).max(n + n_bytes as u64);
                            }
                        }
                    }
                    10 => {
                        let buf = vec![1; numbers.below(300) as usize];
                        *size += open.append(&buf).unwrap_or(0) as u64;
                    }
                    11 => {
                        if open.set_size(n).is_ok() {
                            *size = n;
                        }
                    }
                    _ => drop(model.open.swap_remove(at)),
                }
            }
        }
        assert_eq!(
            (quota.used_bytes(), quota.n_entries()),
            (model.n_bytes(), 1 + model.names.len() as u64),
            "after step {step} of seed {seed}: operation {op} of {from:?} and {to:?}, {:?}",
            model.names
        );
        assert!(quota.used_bytes() <= LIMIT_BYTES && quota.n_entries() <= LIMIT_ENTRIES);
    }
    model.open.clear();
    for ((dir, name), known) in model.names {
        match known {
            Known::Dir => dirs[dir].remove_dir(name).unwrap(),
            _ => dirs[dir].remove_file(name).unwrap(),
        }
    }
    assert_eq!((quota.used_bytes(), quota.n_entries()), (0, 1));
}

#[test]
fn a_quota_of_a_memory_filesystem_agrees_with_its_model() {
    for seed in 0..40 {
        agrees_with_the_model(MemoryFs::new(), seed, 1_000);
    }
}

#[test]
fn a_quota_of_a_host_directory_agrees_with_its_model() {
    for seed in 0..10 {
        let host = tempfile::tempdir().unwrap();
        agrees_with_the_model(HostDir::open(host.path()).unwrap(), seed, 500);
    }
}

#[test]
fn a_quota_of_an_overlay_agrees_with_its_model() {
    for seed in 0..40 {
        let overlay = Overlay::new(MemoryFs::new(), MemoryFs::new());
        agrees_with_the_model(overlay, seed, 1_000);
    }
}
